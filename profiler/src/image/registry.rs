//! `docker://`, images in registries.
//!
//! ```text
//! GET  /v2/NAME/manifests/REF        index or manifest
//! GET  /v2/NAME/blobs/DIGEST         config and layers, several at a time
//! HEAD /v2/NAME/blobs/DIGEST         is it there?
//! POST /v2/NAME/blobs/uploads/, PUT  a blob
//! PUT  /v2/NAME/manifests/REF        a manifest, after all that it names
//! ```
//!
//! What is written is staged as an OCI layout first, so an image has the same
//! digest here as in a layout. Source: OCI distribution specification 1.1.

mod attach;
mod auth;
mod challenge;
mod client;
mod credentials;
mod download;
mod error;
mod name;
mod push;
mod trust;

use std::path::Path;

use serde_json::{Value, json};

pub use client::Access;
pub(super) use client::Client;
pub use error::RegistryError;
pub(super) use name::Name;

use super::blob::Blob;
#[cfg(doc)]
use super::referrers;
use super::referrers::Artifact;
use super::select::Selection;
use super::staged::Staged;
use super::{ImageError, OpenOptions, Reference, SourceImage, WriteOptions, Written, layout};
use crate::progress::{self, Stage};
use download::Downloads;

/// Largest manifest read; registries take no larger ones.
pub(super) const MANIFEST_MAX: u64 = 4 << 20;

/// A manifest or an index as a registry has it.
#[derive(Debug)]
pub(super) struct Manifest {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Media type, as the registry says.
    pub media_type: String,
    /// Digest by which the registry knows it; computed where it does not say.
    pub digest: String,
}

impl Manifest {
    /// What an index would say of it.
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// Opens an image in a registry.
///
/// # Errors
/// See [`ImageError`].
pub fn open(reference: &Reference, options: &OpenOptions<'_>) -> Result<SourceImage, ImageError> {
    let name = Name::parse(&reference.name)?;
    let client = Client::connect(&name, Access::Pull)?;
    progress::begin(options.progress, Stage::Downloading, 0);
    let root = client.manifest(name.reference())?.ok_or_else(|| not_found(reference))?;
    let downloads = Downloads::new(&client, &root);
    std::thread::scope(|scope| {
        let image = layout::read(reference, &|path: &str| downloads.get(scope, path), options);
        // After a failure nobody waits for the rest.
        downloads.stop();
        image
    })
}

fn not_found(reference: &Reference) -> ImageError {
    ImageError::NotFound {
        image: reference.to_string(),
        hint: "; the registry has no such name or tag".into(),
    }
}

/// The descriptor of an image, and a way to its blobs, for checks.
///
/// # Errors
/// See [`ImageError`].
pub(super) fn look(reference: &Reference) -> Result<(Value, Client), ImageError> {
    let name = Name::parse(&reference.name)?;
    let client = Client::connect(&name, Access::Pull)?;
    let root = client.manifest(name.reference())?.ok_or_else(|| not_found(reference))?;
    Ok((root.descriptor(), client))
}

/// A blob, whatever its digest turns out to be, for checks; none if there is
/// none.
///
/// # Errors
/// When it cannot be had.
pub(super) fn fetch(client: &Client, digest: &str) -> Result<Option<Blob>, ImageError> {
    Ok(download::fetch(client, digest, &|| false)?.map(|(blob, _)| blob))
}

/// Fails if the registry has an image of that name and tag.
///
/// # Errors
/// [`ImageError::Exists`], or when the registry cannot be asked.
pub fn check_output(output: &Reference, force: bool) -> Result<(), ImageError> {
    let name = Name::for_output(&output.name)?;
    // Asked in any case: no login is better known before the work begins.
    let client = Client::connect(&name, Access::Push)?;
    if client.has_manifest(name.reference())? && !force {
        return Err(ImageError::Exists(output.to_string()));
    }
    Ok(())
}

/// Uploads an image; its tag appears last.
///
/// # Errors
/// See [`ImageError`].
pub fn write(
    image: &SourceImage,
    layers: &[Selection<'_>],
    output: &Reference,
    options: &WriteOptions,
) -> Result<Written, ImageError> {
    check_output(output, options.force)?;
    let staged = Staged::write(image, layers, options)?;
    progress::begin(options.progress.as_deref(), Stage::Uploading, 0);
    push_layout(output, staged.path())?;
    Ok(staged.written)
}

/// Uploads the only image or index of a layout.
///
/// # Errors
/// See [`ImageError`].
pub(super) fn push_layout(output: &Reference, root: &Path) -> Result<(), ImageError> {
    let name = Name::for_output(&output.name)?;
    let client = Client::connect(&name, Access::Push)?;
    push::layout(&client, root, name.reference())
}

/// The digest of what a name stands for.
///
/// # Errors
/// See [`ImageError`].
pub(super) fn digest(reference: &Reference) -> Result<String, ImageError> {
    let (root, _) = look(reference)?;
    Ok(root["digest"].as_str().unwrap_or_default().to_owned())
}

/// Attaches an artefact; see [`referrers::attach`].
///
/// # Errors
/// See [`ImageError`].
pub(super) fn attach(
    output: &Reference,
    subject: &str,
    artifact: &Artifact<'_>,
) -> Result<String, ImageError> {
    let name = Name::parse(&output.name)?;
    let client = Client::connect(&name, Access::Push)?;
    attach::attach(&client, subject, artifact)
}

/// A small blob in memory as one in a file.
///
/// # Errors
/// When no temporary file can be written.
pub(super) fn blob_of(bytes: &[u8]) -> Result<Blob, ImageError> {
    use std::io::Write as _;
    let failed = || ImageError::io("write a temporary file in", std::env::temp_dir());
    let mut file = tempfile::tempfile().map_err(failed())?;
    file.write_all(bytes).map_err(failed())?;
    Blob::whole(file).map_err(failed())
}
