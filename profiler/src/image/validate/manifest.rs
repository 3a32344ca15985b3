//! Index, manifest, config and layers of a layout or a registry.

use std::collections::HashSet;

use serde_json::Value;

use super::super::ImageError;
use super::super::archive::JSON_MAX;
use super::super::blob::{Blob, digest_of};
use super::config;
use super::finding::{Findings, Problem};
use super::layer::{self, Expected};
use super::media::{CONFIGS, Compression, INDEXES, MANIFESTS, is_foreign};
use super::stack::Stack;
use super::store::Layout;

/// Indexes within indexes that are followed.
const DEPTH_MAX: u32 = 4;

/// Checks everything below the layout's roots.
///
/// # Errors
/// When the place of the blobs cannot be read.
pub fn check(layout: &Layout, findings: &mut Findings) -> Result<(), ImageError> {
    let mut walk = Walk { layout, findings, seen: HashSet::new() };
    for root in &layout.roots {
        walk.manifest(root, 0)?;
    }
    Ok(())
}

/// Whether it is a SHA-256 digest as image formats write them.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

struct Walk<'a> {
    layout: &'a Layout,
    findings: &'a mut Findings,
    /// Digests of manifests that were checked.
    seen: HashSet<String>,
}

/// A descriptor's own words.
struct Descriptor<'a> {
    digest: &'a str,
    size: u64,
    media_type: &'a str,
}

impl Walk<'_> {
    /// An index or a manifest.
    fn manifest(&mut self, descriptor: &Value, depth: u32) -> Result<(), ImageError> {
        let Some(found) = self.descriptor("manifest", descriptor) else { return Ok(()) };
        if !self.seen.insert(found.digest.to_owned()) {
            return Ok(());
        }
        let place = format!("manifest {}", found.digest);
        let expected_index = INDEXES.contains(&found.media_type);
        if !expected_index && !MANIFESTS.contains(&found.media_type) {
            let expected = "that of an image manifest or index".into();
            let found = found.media_type.into();
            self.findings.add(&place, Problem::MediaType { found, expected });
        }
        let Some(value) = self.json(&place, &found)? else { return Ok(()) };
        if value.get("schemaVersion").and_then(Value::as_u64) != Some(2) {
            let found = value.get("schemaVersion").map(Value::to_string).unwrap_or_default();
            let expected = "2".into();
            self.findings.add(&place, Problem::Value { key: "schemaVersion", found, expected });
        }
        // OCI's may leave it out.
        if let Some(own) = value.get("mediaType").and_then(Value::as_str)
            && own != found.media_type
        {
            let expected = format!("{}, as its descriptor says", found.media_type);
            self.findings.add(&place, Problem::MediaType { found: own.into(), expected });
        }
        let Some(manifests) = value.get("manifests").and_then(Value::as_array) else {
            if expected_index {
                self.findings.add(&place, Problem::Field("manifests"));
                return Ok(());
            }
            return self.image(&place, &value, descriptor);
        };
        if depth < DEPTH_MAX {
            for manifest in manifests {
                self.manifest(manifest, depth + 1)?;
            }
        } else {
            self.findings.add(&place, Problem::Unchecked("indexes are nested too deep"));
        }
        Ok(())
    }

    /// A manifest's config and layers.
    fn image(&mut self, place: &str, manifest: &Value, by: &Value) -> Result<(), ImageError> {
        let config = match manifest.get("config") {
            Some(descriptor) => self.descriptor("config", descriptor),
            None => {
                self.findings.add(place, Problem::Field("config"));
                None
            }
        };
        let layers = manifest.get("layers").and_then(Value::as_array);
        let Some(layers) = layers else {
            self.findings.add(place, Problem::Field("layers"));
            return Ok(());
        };
        // Artefacts (attestations, signatures, lists of contents) have other
        // configs and other layers; their blobs are checked all the same.
        let is_image = config.as_ref().is_none_or(|config| CONFIGS.contains(&config.media_type));
        let is_artifact =
            manifest.get("artifactType").is_some() || manifest.get("subject").is_some();
        let mut known = config::Config::default();
        if let Some(config) = &config {
            let at = format!("config {}", config.digest);
            if !is_image && !is_artifact {
                let (found, expected) =
                    (config.media_type.into(), "that of an image config".into());
                self.findings.add(&at, Problem::MediaType { found, expected });
            }
            let blob = self.layout.blob(config.digest)?;
            if let Some(bytes) = self.small(&at, config, blob)
                && is_image
            {
                known = config::check(&at, &bytes, self.findings);
            }
        }
        if let Some(diff_ids) = &known.diff_ids
            && diff_ids.len() != layers.len()
        {
            let (layers, diff_ids) = (layers.len(), diff_ids.len());
            self.findings.add(place, Problem::LayerCount { layers, diff_ids });
        }
        self.platform(place, by, &known);
        let diff_ids = known.diff_ids.unwrap_or_default();
        let mut stack = Stack::default();
        for (number, layer) in layers.iter().enumerate() {
            let diff_id = diff_ids.get(number).map(String::as_str);
            self.layer(layer, diff_id, is_image && !is_artifact, &mut stack)?;
        }
        Ok(())
    }

    /// The index's word on the platform against the config's.
    fn platform(&mut self, place: &str, descriptor: &Value, config: &config::Config) {
        let said = |key: &str| descriptor.get("platform")?.get(key)?.as_str();
        if let (Some(os), Some(machine), Some(found)) =
            (said("os"), said("architecture"), &config.platform)
        {
            let expected = format!("{os}/{machine}");
            if expected != *found {
                let found = found.clone();
                self.findings.add(place, Problem::Platform { expected, found });
            }
        }
    }

    fn layer(
        &mut self,
        descriptor: &Value,
        diff_id: Option<&str>,
        of_image: bool,
        stack: &mut Stack,
    ) -> Result<(), ImageError> {
        let Some(found) = self.descriptor("layer", descriptor) else {
            stack.push_unknown();
            return Ok(());
        };
        let place = format!("layer {}", found.digest);
        let is_layer = Compression::declared(found.media_type).is_some();
        // Attestations beside an image have image configs and JSON for layers.
        let is_other = found.media_type.starts_with("application/vnd.in-toto");
        if of_image && !is_layer && !is_other {
            let (found, expected) = (found.media_type.into(), "that of a layer".into());
            self.findings.add(&place, Problem::MediaType { found, expected });
        }
        let Some(blob) = self.layout.blob(found.digest)? else {
            stack.push_unknown();
            let elsewhere = descriptor.get("urls").and_then(Value::as_array);
            if !(is_foreign(found.media_type) && elsewhere.is_some_and(|urls| !urls.is_empty())) {
                self.findings.add(&place, Problem::Missing(self.layout.absent(found.digest)));
            }
            return Ok(());
        };
        if !is_layer {
            stack.push_unknown();
            self.whole(&place, &found, &blob);
            return Ok(());
        }
        let expected = Expected {
            blob: Some((found.digest, found.size)),
            media_type: Some(found.media_type).filter(|_| !self.layout.is_repacked()),
            diff_id,
        };
        match layer::check(&place, &blob, &expected, self.findings) {
            Some(entries) => stack.push(&place, &entries, self.findings),
            None => stack.push_unknown(),
        }
        Ok(())
    }

    /// A descriptor's parts, each of which must be there.
    fn descriptor<'d>(&mut self, what: &str, value: &'d Value) -> Option<Descriptor<'d>> {
        let digest = value.get("digest").and_then(Value::as_str).unwrap_or_default();
        if !is_digest(digest) {
            self.findings.add(what, Problem::NotADigest(digest.into()));
            return None;
        }
        let Some(size) = value.get("size").and_then(Value::as_u64) else {
            self.findings.add(format!("{what} {digest}"), Problem::Descriptor("size"));
            return None;
        };
        let media_type = value.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        Some(Descriptor { digest, size, media_type })
    }

    /// A small blob whose digest and size are right, or findings that they
    /// are not; the bytes are good for more checks either way.
    fn small(&mut self, place: &str, of: &Descriptor<'_>, blob: Option<Blob>) -> Option<Vec<u8>> {
        let Some(blob) = blob else {
            self.findings.add(place, Problem::Missing(self.layout.absent(of.digest)));
            return None;
        };
        let bytes = match blob.read_all(JSON_MAX) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.findings.add(place, Problem::Missing(error.to_string()));
                return None;
            }
        };
        if bytes.len() as u64 != of.size {
            let found = bytes.len() as u64;
            self.findings.add(place, Problem::Size { expected: of.size, found });
        }
        let found = digest_of(&bytes);
        if found != of.digest {
            self.findings.add(place, Problem::Digest { expected: of.digest.into(), found });
        }
        Some(bytes)
    }

    /// A manifest's JSON.
    fn json(&mut self, place: &str, of: &Descriptor<'_>) -> Result<Option<Value>, ImageError> {
        let blob = self.layout.manifest(of.digest)?;
        let Some(bytes) = self.small(place, of, blob) else { return Ok(None) };
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                self.findings.add(place, Problem::NotJson(error.to_string()));
                Ok(None)
            }
        }
    }

    /// A blob of any size, as far as its descriptor describes it.
    fn whole(&mut self, place: &str, of: &Descriptor<'_>, blob: &Blob) {
        match layer::digest(blob) {
            Ok((found, bytes)) => {
                if bytes != of.size {
                    self.findings.add(place, Problem::Size { expected: of.size, found: bytes });
                }
                if found != of.digest {
                    self.findings.add(place, Problem::Digest { expected: of.digest.into(), found });
                }
            }
            Err(error) => self.findings.add(place, Problem::Missing(error.to_string())),
        }
    }
}
