//! What kept files need: one file a rule.
//!
//! Rules of the whole image ([`system`], [`config`], [`locale`]) come first;
//! then every kept file is looked at, for [`loader`] (ELF), [`script`] and
//! [`languages`], until nothing new is needed.

pub mod config;
mod dlopen;
mod elf;
mod gconv;
pub mod groups;
mod languages;
mod loader;
pub mod locale;
#[cfg(test)]
mod made;
mod nss;
mod script;
pub mod system;
#[cfg(test)]
mod tests;
mod text;

use std::collections::VecDeque;
use std::io::Read as _;

use serde_json::Value;

use super::Options;
use super::keep::{Keeper, Rule};
use crate::image::{ImageError, NodeId, NodeKind, SourceImage};
use languages::Languages;
pub use languages::python_source_of;
use loader::Libraries;

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
        let mut environment = Self { config, ..Self::default() };
        environment.path = directories(environment.variable("PATH").unwrap_or(DEFAULT_PATH));
        environment.library_path =
            directories(environment.variable("LD_LIBRARY_PATH").unwrap_or_default());
        environment
    }

    /// A variable that the config sets.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let list = self.config.get("Env").and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    }

    /// Where programs start.
    pub fn directory(&self) -> &str {
        self.config.get("WorkingDir").and_then(Value::as_str).unwrap_or("/")
    }
}

/// The absolute directories of a list with colons.
fn directories(list: &str) -> Vec<String> {
    list.split(':').filter(|part| part.starts_with('/')).map(str::to_owned).collect()
}

/// Looks at every kept file until nothing new is needed.
///
/// # Errors
/// When a file of the image cannot be read.
pub fn close(
    keeper: &mut Keeper<'_>,
    environment: &Environment,
    options: &Options,
) -> Result<(), ImageError> {
    let mut libraries = Libraries::new(keeper.tree, environment)?;
    let mut languages = Languages::new(keeper.tree, options);
    // Libraries wait until all programs were looked at: what a program loads
    // is found by the program's rules, and only what none of them loads was
    // opened by hand.
    let mut waiting = VecDeque::new();
    loop {
        let Some(id) = keeper.next() else {
            match waiting.pop_front() {
                Some(id) if libraries.is_loaded(id) => {}
                Some(id) => libraries.keep(keeper, id)?,
                None => break,
            }
            continue;
        };
        if keeper.tree.node(id).kind != NodeKind::File {
            continue;
        }
        let magic = magic(keeper, id)?;
        if magic == b"\x7fELF" {
            match libraries.parsed(keeper.tree, id)? {
                Some(parsed) if parsed.interpreter.is_none() => waiting.push_back(id),
                _ => libraries.keep(keeper, id)?,
            }
        } else if magic.starts_with(b"#!") {
            script::keep(keeper, id, environment)?;
        }
        let path = keeper.tree.path(id);
        gconv::keep(keeper, &path);
        locale::keep_touched(keeper, &path);
        languages.keep(keeper, id, &path)?;
    }
    merged_usr(keeper);
    libraries.warn(keeper);
    Ok(())
}

/// First four bytes of a file, if it has as many and can be read.
fn magic(keeper: &Keeper<'_>, id: NodeId) -> Result<Vec<u8>, ImageError> {
    let mut magic = Vec::with_capacity(4);
    if let Some(mut reader) = keeper.tree.open(id)?
        && reader.by_ref().take(4).read_to_end(&mut magic).is_err()
    {
        magic.clear();
    }
    Ok(magic)
}

/// The links of a merged `/usr`: names such as `/bin/sh` and `/lib64/ld…` are
/// built into programs, so each stays whose target does.
fn merged_usr(keeper: &mut Keeper<'_>) {
    for path in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr/sbin", "/usr/lib64"]
    {
        let walk = keeper.tree.walk(path.as_bytes(), true);
        if let Some(end) = walk.end
            && keeper.plan.kept.contains_key(&end)
        {
            for link in walk.links {
                keeper.keep(link, Rule::Link, "merged /usr");
            }
        }
    }
}
