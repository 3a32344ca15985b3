//! The image config: edited as JSON, so that what this program does not know
//! survives.

use serde_json::{Value, json};

use super::ImageError;
use super::select::Source;

/// Digests of the uncompressed layers in a config.
///
/// # Errors
/// [`ImageError::Damaged`] when it is no config.
pub fn diff_ids(image: &str, config: &[u8]) -> Result<Vec<String>, ImageError> {
    let value: Value = serde_json::from_slice(config)
        .map_err(|error| ImageError::damaged(image, format!("its config is no JSON: {error}")))?;
    let ids = value.pointer("/rootfs/diff_ids").and_then(Value::as_array);
    let ids: Option<Vec<String>> =
        ids.map(|ids| ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect());
    ids.ok_or_else(|| ImageError::damaged(image, "its config names no layers (rootfs.diff_ids)"))
}

/// Puts the new layers into a config. History entries of the source's layers
/// that are gone become empty ones, layers that were made get one of their
/// own, with the image's own time of creation.
///
/// # Errors
/// [`ImageError::Damaged`] when it is no config.
pub fn with_layers(
    image: &str,
    config: &[u8],
    diff_ids: &[String],
    sources: &[&Source],
) -> Result<Vec<u8>, ImageError> {
    let mut value: Value = serde_json::from_slice(config)
        .map_err(|error| ImageError::damaged(image, format!("its config is no JSON: {error}")))?;
    let slot = value
        .pointer_mut("/rootfs/diff_ids")
        .ok_or_else(|| ImageError::damaged(image, "its config names no layers"))?;
    *slot = diff_ids.iter().cloned().map(Value::String).collect();
    let created = value.get("created").cloned();
    let mut layer = 0;
    for entry in value.get_mut("history").and_then(Value::as_array_mut).into_iter().flatten() {
        if entry.get("empty_layer").and_then(Value::as_bool) == Some(true) {
            continue;
        }
        if !sources.contains(&&Source::Layer(layer))
            && let Some(entry) = entry.as_object_mut()
        {
            entry.insert("empty_layer".into(), true.into());
        }
        layer += 1;
    }
    if let Some(history) = value.get_mut("history").and_then(Value::as_array_mut) {
        for source in sources {
            let Source::Made(how) = source else { continue };
            let mut entry = json!({ "created_by": how });
            if let Some(created) = &created {
                entry["created"] = created.clone();
            }
            history.push(entry);
        }
    }
    serde_json::to_vec(&value)
        .map_err(|error| ImageError::damaged(image, format!("its config: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_survive_and_history_stays_consistent() {
        let config = br#"{"zeta":1,"config":{"Healthcheck":{"Test":["CMD","x"]},"OnBuild":["y"]},"rootfs":{"type":"layers","diff_ids":["a","b","c"]},"history":[{"created_by":"1"},{"created_by":"env","empty_layer":true},{"created_by":"2"},{"created_by":"3"}],"alpha":2}"#;
        let new = with_layers(
            "x",
            config,
            &["n".into(), "m".into()],
            &[&Source::Layer(0), &Source::Layer(2)],
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(new).unwrap(),
            r#"{"zeta":1,"config":{"Healthcheck":{"Test":["CMD","x"]},"OnBuild":["y"]},"rootfs":{"type":"layers","diff_ids":["n","m"]},"history":[{"created_by":"1"},{"created_by":"env","empty_layer":true},{"created_by":"2","empty_layer":true},{"created_by":"3"}],"alpha":2}"#
        );
    }
}
