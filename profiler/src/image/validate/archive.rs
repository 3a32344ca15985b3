//! `docker-archive:`: configs named by their digests, layers by the configs.

use serde_json::Value;

use super::super::ImageError;
use super::super::archive::{JSON_MAX, Members};
use super::super::blob::digest_of;
use super::config;
use super::finding::{Findings, Problem};
use super::layer::{self, Expected};
use super::stack::Stack;

/// Checks the image of a tag, or all.
///
/// # Errors
/// When the archive has no manifest, or no image of that tag.
pub fn check(
    members: &Members,
    tag: Option<&str>,
    findings: &mut Findings,
) -> Result<(), ImageError> {
    let (_, manifest) = members.json("manifest.json")?;
    let images = manifest.as_array().map(Vec::as_slice).unwrap_or_default();
    let wanted = |image: &&Value| {
        let mut tags = image.get("RepoTags").and_then(Value::as_array).into_iter().flatten();
        tag.is_none() || tags.any(|name| name.as_str() == tag)
    };
    let images: Vec<&Value> = images.iter().filter(wanted).collect();
    if images.is_empty() {
        let hint = "; the archive has no image of that tag".into();
        return Err(ImageError::NotFound { image: tag.unwrap_or("manifest.json").into(), hint });
    }
    for image in images {
        check_image(members, image, findings);
    }
    Ok(())
}

fn check_image(members: &Members, image: &Value, findings: &mut Findings) {
    let Some(name) = image.get("Config").and_then(Value::as_str) else {
        findings.add("manifest.json", Problem::Field("Config"));
        return;
    };
    let place = format!("config {name}");
    let bytes = match members.get(name).map(|blob| blob.read_all(JSON_MAX)) {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return findings.add(place, Problem::Missing(error.to_string())),
        Err(error) => return findings.add(place, Problem::Missing(error.to_string())),
    };
    // "HEX.json" or "blobs/sha256/HEX"; some writers use names of their own.
    let stem = name.rsplit('/').next().unwrap_or(name).trim_end_matches(".json");
    let expected = format!("sha256:{stem}");
    let found = digest_of(&bytes);
    if super::manifest::is_digest(&expected) && found != expected {
        findings.add(&place, Problem::Digest { expected, found });
    }
    let known = config::check(&place, &bytes, findings);
    let layers = image.get("Layers").and_then(Value::as_array);
    let layers: Vec<&str> = layers.into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(diff_ids) = &known.diff_ids
        && diff_ids.len() != layers.len()
    {
        let (layers, diff_ids) = (layers.len(), diff_ids.len());
        findings.add("manifest.json", Problem::LayerCount { layers, diff_ids });
    }
    let diff_ids = known.diff_ids.unwrap_or_default();
    let mut stack = Stack::default();
    for (number, name) in layers.into_iter().enumerate() {
        let place = format!("layer {name}");
        let blob = match members.get(name) {
            Ok(blob) => blob,
            Err(error) => {
                findings.add(place, Problem::Missing(error.to_string()));
                stack.push_unknown();
                continue;
            }
        };
        let diff_id = diff_ids.get(number).map(String::as_str);
        let expected = Expected { blob: None, media_type: None, diff_id };
        match layer::check(&place, &blob, &expected, findings) {
            Some(entries) => stack.push(&place, &entries, findings),
            None => stack.push_unknown(),
        }
    }
}
