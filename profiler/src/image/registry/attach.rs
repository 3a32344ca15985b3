//! Referrers in a registry, with or without its help.

use serde_json::{Value, json};
use ureq::http::StatusCode;

use super::super::ImageError;
use super::super::blob::digest_of;
use super::super::referrers::{self, Artifact};
use super::client::Content;
use super::{Client, push};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Attaches an artefact to the manifest of a digest; see
/// [`referrers::attach`].
///
/// # Errors
/// When there is no such manifest or the registry does not take it.
pub fn attach(
    client: &Client,
    subject: &str,
    artifact: &Artifact<'_>,
) -> Result<String, ImageError> {
    let image = client.manifest(subject)?.ok_or_else(|| ImageError::NotFound {
        image: format!("{}@{subject}", client.shown()),
        hint: "; the registry has no such manifest".into(),
    })?;
    let manifest = artifact.manifest(&image.descriptor());
    let digest = digest_of(&manifest);
    for bytes in [b"{}", artifact.bytes] {
        let content = Content::Bytes(bytes, "application/octet-stream");
        push::put_blob(client, &digest_of(bytes), content)?;
    }
    if !push::put_manifest(client, &digest, &manifest, MANIFEST, &digest)? {
        list_by_tag(client, subject, &artifact.descriptor(&manifest))?;
    }
    Ok(digest)
}

/// Lists a referrer under the tag that stands in for the registry's own list.
fn list_by_tag(client: &Client, subject: &str, descriptor: &Value) -> Result<(), ImageError> {
    // One that has the list keeps it itself, whatever it says of subjects.
    let list = client.path(&format!("referrers/{subject}"));
    if client.send("GET", &list, &[("Accept", INDEX)], Content::None)?.status() == StatusCode::OK {
        return Ok(());
    }
    let tag = subject.replacen(':', "-", 1);
    let mut index = match client.manifest(&tag)? {
        Some(found) => serde_json::from_slice(&found.bytes).map_err(|error| {
            ImageError::damaged(format!("{}:{tag}", client.shown()), error.to_string())
        })?,
        None => json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}),
    };
    referrers::add(&mut index, descriptor);
    let bytes = index.to_string().into_bytes();
    push::put_manifest(client, &tag, &bytes, INDEX, &digest_of(&bytes))?;
    Ok(())
}
