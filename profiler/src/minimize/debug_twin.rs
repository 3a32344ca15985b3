//! A second image to look around in: the minimal one, with a static busybox
//! and its applets in one more layer.
//!
//! ```text
//! /busybox/busybox     the program
//! /busybox/sh          -> busybox, and so on for each applet
//! ```
//!
//! The directory is put at the end of `PATH`: a person finds every tool, and
//! the image's own programs find what they found before. The rest of the
//! config stays.

mod busybox;

use serde_json::{Value, json};

pub use busybox::{Busybox, BusyboxError};

use super::closure::DEFAULT_PATH;
use crate::image::{Addition, ImageError, Layer, Tree};

/// Where it goes; another place where the image has something there.
const PLACES: [&str; 2] = ["busybox", ".busybox"];

/// What makes the twin of a minimal image.
#[derive(Debug)]
pub struct DebugTwin {
    /// The layer on top.
    pub addition: Addition,
    /// The config with the new `PATH`; layers and history are still the
    /// source's.
    pub config: Vec<u8>,
    /// Programs that there are, in order.
    pub applets: Vec<String>,
}

/// Makes the layer and the config. The same program and image make the same
/// bytes.
///
/// # Errors
/// When the config is no JSON object, or no temporary file can be written.
pub fn debug_twin(
    busybox: &Busybox,
    tree: &Tree<'_>,
    config: &[u8],
) -> Result<DebugTwin, ImageError> {
    let free = |place: &&&str| tree.lookup(format!("/{place}").as_bytes()).is_none();
    let place = *PLACES.iter().find(free).unwrap_or(&PLACES[0]);
    let tar = layer(busybox, place).map_err(ImageError::io("pack", place))?;
    Ok(DebugTwin {
        addition: Addition {
            layer: Layer::made(&tar)?,
            created_by: "profiler minimize --debug-twin".into(),
        },
        config: with_path(config, &format!("/{place}"))?,
        applets: busybox.applets.clone(),
    })
}

/// The directory as a tar: sorted, owned by root, without times.
fn layer(busybox: &Busybox, place: &str) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let header = |kind: tar::EntryType, mode: u32, size: usize| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header
    };
    let mut directory = header(tar::EntryType::Directory, 0o755, 0);
    builder.append_data(&mut directory, format!("{place}/"), std::io::empty())?;
    let mut program = header(tar::EntryType::Regular, 0o755, busybox.bytes.len());
    builder.append_data(&mut program, format!("{place}/busybox"), busybox.bytes.as_slice())?;
    for applet in busybox.applets.iter().filter(|applet| *applet != "busybox") {
        let mut link = header(tar::EntryType::Symlink, 0o777, 0);
        builder.append_link(&mut link, format!("{place}/{applet}"), "busybox")?;
    }
    builder.into_inner()
}

/// Puts a directory at the end of the config's `PATH`.
fn with_path(config: &[u8], directory: &str) -> Result<Vec<u8>, ImageError> {
    let damaged = |why: String| ImageError::damaged("the source image", why);
    let mut value: Value = serde_json::from_slice(config)
        .map_err(|error| damaged(format!("its config is no JSON: {error}")))?;
    let object = value.as_object_mut().ok_or_else(|| damaged("its config is no object".into()))?;
    // A config without `config` runs with everything at its default.
    let section = object.entry("config").or_insert(Value::Null);
    if section.is_null() {
        *section = json!({});
    }
    let section = section.as_object_mut();
    let section = section.ok_or_else(|| damaged("`config` in its config is no object".into()))?;
    let variables = section.entry("Env").or_insert(Value::Null);
    if variables.is_null() {
        *variables = json!([]);
    }
    let list = variables.as_array_mut();
    let list = list.ok_or_else(|| damaged("`Env` in its config is no list".into()))?;
    let path = |entry: &Value| entry.as_str()?.strip_prefix("PATH=").map(str::to_owned);
    // Of several the last counts.
    match list.iter_mut().rev().find(|entry| path(entry).is_some()) {
        Some(entry) => {
            let old = path(entry).unwrap_or_default();
            let separator = if old.is_empty() { "" } else { ":" };
            *entry = format!("PATH={old}{separator}{directory}").into();
        }
        None => list.push(format!("PATH={DEFAULT_PATH}:{directory}").into()),
    }
    serde_json::to_vec(&value).map_err(|error| damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::{Tar, image};

    fn busybox() -> Busybox {
        Busybox { bytes: b"x".to_vec(), applets: vec!["busybox".into(), "sh".into()] }
    }

    #[test]
    fn the_directory_comes_last_in_path_and_all_else_of_the_config_stays() {
        let of = |config: &str| {
            String::from_utf8(with_path(config.as_bytes(), "/busybox").unwrap()).unwrap()
        };
        assert_eq!(
            of(r#"{"z":1,"config":{"Env":["A=b","PATH=/bin"],"Healthcheck":{"Test":["NONE"]}}}"#),
            r#"{"z":1,"config":{"Env":["A=b","PATH=/bin:/busybox"],"Healthcheck":{"Test":["NONE"]}}}"#
        );
        let default = format!(r#"{{"config":{{"Env":["PATH={DEFAULT_PATH}:/busybox"]}}}}"#);
        for config in [r#"{"config":{}}"#, r#"{"config":null}"#, "{}", r#"{"config":{"Env":null}}"#]
        {
            assert_eq!(of(config), default, "{config}");
        }
        for config in ["[]", r#"{"config":[]}"#, r#"{"config":{"Env":{}}}"#, "x"] {
            assert!(with_path(config.as_bytes(), "/busybox").is_err(), "{config}");
        }
    }

    #[test]
    fn the_layer_is_the_same_every_time_and_hides_nothing_of_the_image() {
        let plain = image(vec![Tar::new().file("app", "x").bytes()]);
        let tree = Tree::build(&plain.layers).unwrap();
        let first = debug_twin(&busybox(), &tree, &plain.config).unwrap();
        let second = debug_twin(&busybox(), &tree, &plain.config).unwrap();
        assert_eq!(first.addition.layer.diff_id, second.addition.layer.diff_id);
        let taken = image(vec![Tar::new().file("busybox/sh", "the image's").bytes()]);
        let tree = Tree::build(&taken.layers).unwrap();
        let twin = debug_twin(&busybox(), &tree, &taken.config).unwrap();
        let config = String::from_utf8(twin.config).unwrap();
        assert!(config.contains(":/.busybox\""), "{config}");
    }
}
