//! Artefacts that refer to an image: SBOMs, plans, signatures.
//!
//! ```text
//! {"mediaType": "…image.manifest.v1+json", "artifactType": TYPE,
//!  "config": EMPTY, "layers": [THE BYTES], "subject": THE IMAGE}
//! ```
//!
//! A layout lists such a manifest in its index. A registry that knows of
//! subjects lists it at `/v2/NAME/referrers/DIGEST`; for one that does not,
//! the list is an index kept under the tag `sha256-HEX`. Sources: OCI image
//! specification 1.1 ("manifest.md", "Guidelines for artifact usage"), OCI
//! distribution specification 1.1 ("Pushing manifests with subject",
//! "Referrers tag schema").

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::blob::digest_of;
use super::{ImageError, Reference, Transport, layout, registry};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// What is attached to an image.
#[derive(Debug, Clone, Copy)]
pub struct Artifact<'a> {
    /// Media type of the content, which says what kind of artefact it is:
    /// `application/vnd.cyclonedx+json`.
    pub artifact_type: &'a str,
    /// The content.
    pub bytes: &'a [u8],
    /// Annotations of its manifest.
    pub annotations: &'a BTreeMap<String, String>,
}

/// Attaches an artefact to the image or index of a digest, which is in the
/// layout or registry of `output`. Returns the digest of the artefact's
/// manifest. The same artefact attached again is there once.
///
/// # Errors
/// [`ImageError::Unsupported`] for transports that keep single images,
/// [`ImageError::NotFound`] when there is no such image.
pub fn attach(
    output: &Reference,
    subject: &str,
    artifact: &Artifact<'_>,
) -> Result<String, ImageError> {
    match output.transport {
        Transport::Oci => in_layout(output, subject, artifact),
        Transport::Registry => registry::attach(output, subject, artifact),
        _ => Err(unsupported(output)),
    }
}

/// The digest by which an image in a layout or registry is a subject: that of
/// its manifest, or of its index.
///
/// # Errors
/// As [`attach`].
pub fn subject(output: &Reference) -> Result<String, ImageError> {
    match output.transport {
        Transport::Oci => {
            let (index, _) = index_of(output)?;
            let mut listed = index.get("manifests").and_then(Value::as_array).into_iter().flatten();
            let image = listed.find(|listed| {
                let tag = listed.get("annotations").and_then(|a| a.get(layout::TAG)?.as_str());
                tag == output.tag.as_deref() && listed.get("artifactType").is_none()
            });
            let digest = image.and_then(|image| image.get("digest")?.as_str());
            digest.map(str::to_owned).ok_or_else(|| ImageError::NotFound {
                image: output.to_string(),
                hint: "; the layout has no image of that tag".into(),
            })
        }
        Transport::Registry => registry::digest(output),
        _ => Err(unsupported(output)),
    }
}

/// Fails if the transport cannot have artefacts attached to images. Asked
/// before the work begins.
///
/// # Errors
/// [`ImageError::Unsupported`].
pub fn check_attach(output: &Reference) -> Result<(), ImageError> {
    match output.transport {
        Transport::Oci | Transport::Registry => Ok(()),
        _ => Err(unsupported(output)),
    }
}

fn unsupported(output: &Reference) -> ImageError {
    ImageError::Unsupported {
        image: output.to_string(),
        what: "an artefact attached to an image".into(),
        next: "; oci: and docker:// outputs can have them".into(),
    }
}

impl Artifact<'_> {
    /// Its manifest, for a subject's descriptor.
    pub(super) fn manifest(&self, subject: &Value) -> Vec<u8> {
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": self.artifact_type,
            "config": {"mediaType": EMPTY, "digest": digest_of(b"{}"), "size": 2},
            "layers": [{
                "mediaType": self.artifact_type,
                "digest": digest_of(self.bytes),
                "size": self.bytes.len(),
            }],
            "subject": subject,
        });
        if !self.annotations.is_empty() {
            manifest["annotations"] = json!(self.annotations);
        }
        manifest.to_string().into_bytes()
    }

    /// What lists of referrers say of its manifest.
    pub(super) fn descriptor(&self, manifest: &[u8]) -> Value {
        let mut descriptor = json!({
            "mediaType": MANIFEST,
            "digest": digest_of(manifest),
            "size": manifest.len(),
            "artifactType": self.artifact_type,
        });
        if !self.annotations.is_empty() {
            descriptor["annotations"] = json!(self.annotations);
        }
        descriptor
    }
}

/// The part of a descriptor that a subject has.
pub(super) fn subject_of(descriptor: &Value) -> Value {
    let mut subject = json!({});
    for key in ["mediaType", "digest", "size"] {
        subject[key] = descriptor[key].clone();
    }
    subject
}

/// Puts a descriptor into an index's list unless it is there.
pub(super) fn add(index: &mut Value, descriptor: &Value) {
    let Some(list) = index.get_mut("manifests").and_then(Value::as_array_mut) else { return };
    if list.iter().all(|listed| listed["digest"] != descriptor["digest"]) {
        list.push(descriptor.clone());
    }
}

/// A layout's index and its path.
fn index_of(output: &Reference) -> Result<(Value, PathBuf), ImageError> {
    let path = Path::new(&output.name).join("index.json");
    let text = std::fs::read(&path).map_err(ImageError::io("read", &path))?;
    let index = serde_json::from_slice(&text)
        .map_err(|error| ImageError::damaged(output.to_string(), format!("index.json: {error}")))?;
    Ok((index, path))
}

fn in_layout(
    output: &Reference,
    subject: &str,
    artifact: &Artifact<'_>,
) -> Result<String, ImageError> {
    let (mut index, path) = index_of(output)?;
    let listed = index.get("manifests").and_then(Value::as_array).into_iter().flatten();
    let image = listed.clone().find(|listed| listed["digest"].as_str() == Some(subject));
    let image = image.map(subject_of).ok_or_else(|| ImageError::NotFound {
        image: output.to_string(),
        hint: format!("; its index does not list {subject}"),
    })?;
    let blobs = Path::new(&output.name).join("blobs/sha256");
    let manifest = artifact.manifest(&image);
    for bytes in [&b"{}"[..], artifact.bytes, &manifest] {
        layout::put(&blobs, bytes)?;
    }
    let descriptor = artifact.descriptor(&manifest);
    add(&mut index, &descriptor);
    layout::replace(&path, index.to_string().as_bytes())?;
    Ok(digest_of(&manifest))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_artefact_is_attached_to_a_layout_once() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        let digest = digest_of(b"an image");
        let index = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": MANIFEST, "digest": digest, "size": 8,
            "annotations": {layout::TAG: "1"},
        }]});
        fs::write(root.join("index.json"), index.to_string()).unwrap();
        let output: Reference = format!("oci:{}:1", root.display()).parse().unwrap();
        assert_eq!(subject(&output).unwrap(), digest);
        let annotations = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let artifact = Artifact {
            artifact_type: "application/x+json",
            bytes: b"[]",
            annotations: &annotations,
        };
        let first = attach(&output, &digest, &artifact).unwrap();
        assert_eq!(attach(&output, &digest, &artifact).unwrap(), first);
        let (index, _) = index_of(&output).unwrap();
        let listed = index["manifests"].as_array().unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[1]["artifactType"], "application/x+json");
        assert_eq!(listed[1]["annotations"]["a"], "b");
        let manifest = fs::read(root.join("blobs").join(first.replace(':', "/"))).unwrap();
        assert_eq!(digest_of(&manifest), first);
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(
            manifest["subject"],
            json!({"mediaType": MANIFEST, "digest": digest, "size": 8})
        );
        // The image stays the one of its tag, and others have no such place.
        assert_eq!(subject(&output).unwrap(), digest);
        assert!(attach(&output, &digest_of(b"another"), &artifact).is_err());
        assert!(check_attach(&"docker-archive:x".parse().unwrap()).is_err());
    }
}
