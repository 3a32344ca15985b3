//! What kept files need: one file a rule.

pub mod config;
mod elf;
pub mod groups;
mod libraries;
mod script;
mod text;

use std::io::Read as _;

use serde_json::Value;

use super::keep::Keeper;
use crate::image::{ImageError, NodeKind, SourceImage};

/// What the image's config says of the place programs run in.
#[derive(Debug, Default)]
pub struct Environment {
    /// `config` of the image config.
    pub config: Value,
    /// Directories of `PATH`.
    pub path: Vec<String>,
    /// Directories of `LD_LIBRARY_PATH`.
    pub library_path: Vec<String>,
}

/// What runtimes set where the config sets none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Environment {
    /// Reads an image's config; one that is no JSON says nothing.
    pub fn of(image: &SourceImage) -> Self {
        let value: Value = serde_json::from_slice(&image.config).unwrap_or_default();
        let config = value.get("config").cloned().unwrap_or_default();
        let variable = |name: &str| {
            let list = config.get("Env").and_then(Value::as_array);
            list.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .find_map(|entry| entry.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
        };
        let split = |text: String| {
            text.split(':').filter(|part| part.starts_with('/')).map(str::to_owned).collect()
        };
        let path = split(variable("PATH").unwrap_or_else(|| DEFAULT_PATH.into()));
        let library_path = split(variable("LD_LIBRARY_PATH").unwrap_or_default());
        Self { config, path, library_path }
    }
}

/// Looks at every kept file until nothing new is needed.
///
/// # Errors
/// When a file of the image cannot be read.
pub fn close(keeper: &mut Keeper<'_>, environment: &Environment) -> Result<(), ImageError> {
    let mut libraries = libraries::Libraries::new(keeper, environment)?;
    while let Some(id) = keeper.next() {
        if keeper.tree.node(id).kind != NodeKind::File {
            continue;
        }
        let Some(mut reader) = keeper.tree.open(id)? else { continue };
        let mut magic = Vec::with_capacity(4);
        if reader.by_ref().take(4).read_to_end(&mut magic).is_err() {
            continue;
        }
        if magic == b"\x7fELF" {
            elf::keep(keeper, id, &mut libraries)?;
        } else if magic.starts_with(b"#!") {
            script::keep(keeper, id, environment)?;
        }
    }
    Ok(())
}
