//! The image config: what every engine needs to find in it.

use serde_json::Value;

use super::finding::{Findings, Problem};

/// What the rest of the image is compared with.
#[derive(Debug, Default)]
pub struct Config {
    /// Digests of the unpacked layers; none when there is no such list.
    pub diff_ids: Option<Vec<String>>,
    /// `OS/ARCHITECTURE`.
    pub platform: Option<String>,
}

/// Checks a config.
pub fn check(place: &str, bytes: &[u8], findings: &mut Findings) -> Config {
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => {
            findings.add(place, Problem::NotJson(error.to_string()));
            return Config::default();
        }
    };
    let mut text = |key: &'static str| {
        let text = value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        if text.is_none() {
            findings.add(place, Problem::Field(key));
        }
        text
    };
    let (architecture, os) = (text("architecture"), text("os"));
    let platform = os.zip(architecture).map(|(os, machine)| format!("{os}/{machine}"));
    let diff_ids = diff_ids(place, &value, findings);
    if let Some(diff_ids) = &diff_ids {
        let history = value.get("history").and_then(Value::as_array);
        let entries = history
            .into_iter()
            .flatten()
            .filter(|entry| entry.get("empty_layer").and_then(Value::as_bool) != Some(true));
        let entries = entries.count();
        // History is optional.
        if history.is_some_and(|history| !history.is_empty()) && entries != diff_ids.len() {
            findings.add(place, Problem::History { entries, diff_ids: diff_ids.len() });
        }
    }
    Config { diff_ids, platform }
}

fn diff_ids(place: &str, value: &Value, findings: &mut Findings) -> Option<Vec<String>> {
    let kind = value.pointer("/rootfs/type").and_then(Value::as_str).unwrap_or_default();
    if kind != "layers" {
        let (found, expected) = (kind.into(), "layers".into());
        findings.add(place, Problem::Value { key: "rootfs.type", found, expected });
    }
    let Some(ids) = value.pointer("/rootfs/diff_ids").and_then(Value::as_array) else {
        findings.add(place, Problem::Field("rootfs.diff_ids"));
        return None;
    };
    let mut texts = Vec::new();
    for id in ids {
        let text = id.as_str().unwrap_or_default();
        if !super::manifest::is_digest(text) {
            findings.add(place, Problem::NotADigest(text.into()));
        }
        texts.push(text.to_owned());
    }
    Some(texts)
}
