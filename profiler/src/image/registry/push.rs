//! Uploading what an OCI layout holds: blobs first, what names them after.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use ureq::http::StatusCode;

use super::super::ImageError;
use super::client::{Content, text};
use super::{Client, RegistryError};

const OCTETS: &str = "application/octet-stream";

/// Uploads at the same time.
const PARALLEL: usize = 4;

/// Uploads the only image or index of a layout under a tag.
///
/// # Errors
/// When the layout cannot be read, or the registry does not take it.
pub fn layout(client: &Client, root: &Path, tag: &str) -> Result<(), ImageError> {
    let index = json(&root.join("index.json"))?;
    let descriptor = index.pointer("/manifests/0").ok_or_else(|| {
        ImageError::damaged(root.display().to_string(), "its index names no manifest")
    })?;
    manifest(client, root, descriptor, tag)
}

fn manifest(client: &Client, root: &Path, of: &Value, name: &str) -> Result<(), ImageError> {
    let file = blob_file(root, of)?;
    let bytes = fs::read(&file).map_err(ImageError::io("read", &file))?;
    let value: Value = json(&file)?;
    for child in value.get("manifests").and_then(Value::as_array).into_iter().flatten() {
        manifest(client, root, child, child["digest"].as_str().unwrap_or_default())?;
    }
    let layers = value.get("layers").and_then(Value::as_array).into_iter().flatten();
    let mut files = Vec::new();
    for descriptor in layers.chain(value.get("config")) {
        files.push((digest(root, descriptor)?, blob_file(root, descriptor)?));
    }
    blobs(client, files)?;
    let media_type = of.get("mediaType").and_then(Value::as_str).unwrap_or_default();
    put_manifest(client, name, &bytes, media_type, digest(root, of)?)?;
    Ok(())
}

/// Uploads blobs, several at a time.
fn blobs(client: &Client, files: Vec<(&str, std::path::PathBuf)>) -> Result<(), ImageError> {
    // The same layer may be there twice.
    let files: BTreeSet<_> = files.into_iter().collect();
    let workers = PARALLEL.min(files.len());
    let queue = Mutex::new(VecDeque::from_iter(files));
    let lock = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || loop {
        let Some((digest, path)) = lock().pop_front() else { return Ok(()) };
        let file = File::open(&path).map_err(ImageError::io("read", &path));
        let result = file.and_then(|file| Ok(put_blob(client, digest, Content::File(&file))?));
        if let Err(error) = result {
            // The others need not go on.
            lock().clear();
            return Err(error);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        // All are waited for, the first error is told.
        results.fold(Ok(()), Result::and)
    })
}

/// Uploads a blob unless it is there.
///
/// # Errors
/// When the registry does not take it, or takes it for another.
pub fn put_blob(client: &Client, digest: &str, content: Content<'_>) -> Result<(), RegistryError> {
    if client.has_blob(digest)? {
        log::info!("{digest} is in the registry already");
        return Ok(());
    }
    let start =
        client.send("POST", &client.path("blobs/uploads/"), &[], Content::Bytes(b"", OCTETS))?;
    if start.status() != StatusCode::ACCEPTED {
        return Err(client.refused(start, "take a blob"));
    }
    let place = text(start.headers(), "location");
    let joint = if place.contains('?') { '&' } else { '?' };
    let done = client.send("PUT", &format!("{place}{joint}digest={digest}"), &[], content)?;
    if done.status() != StatusCode::CREATED {
        return Err(client.refused(done, "take a blob"));
    }
    same(client, digest, &text(done.headers(), "docker-content-digest"))
}

/// Uploads a manifest; returns whether the registry knows of subjects.
///
/// # Errors
/// When the registry does not take it, or takes it for another.
pub fn put_manifest(
    client: &Client,
    name: &str,
    bytes: &[u8],
    media_type: &str,
    digest: &str,
) -> Result<bool, RegistryError> {
    let target = client.path(&format!("manifests/{name}"));
    let done = client.send("PUT", &target, &[], Content::Bytes(bytes, media_type))?;
    if done.status() != StatusCode::CREATED {
        return Err(client.refused(done, "take a manifest"));
    }
    same(client, digest, &text(done.headers(), "docker-content-digest"))?;
    Ok(done.headers().contains_key("oci-subject"))
}

/// What the registry computed must be what was sent.
fn same(client: &Client, expected: &str, found: &str) -> Result<(), RegistryError> {
    if found.is_empty() || found == expected || !found.starts_with("sha256:") {
        return Ok(());
    }
    Err(client.unreachable(&format!("{expected} arrived there as {found}")))
}

fn json(path: &Path) -> Result<Value, ImageError> {
    let bytes = fs::read(path).map_err(ImageError::io("read", path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ImageError::damaged(path.display().to_string(), error.to_string()))
}

fn digest<'v>(root: &Path, descriptor: &'v Value) -> Result<&'v str, ImageError> {
    let digest = descriptor.get("digest").and_then(Value::as_str).unwrap_or_default();
    if super::name::is_digest(digest) {
        return Ok(digest);
    }
    Err(ImageError::damaged(root.display().to_string(), format!("{digest:?} is no digest")))
}

fn blob_file(root: &Path, descriptor: &Value) -> Result<std::path::PathBuf, ImageError> {
    Ok(root.join("blobs").join(digest(root, descriptor)?.replace(':', "/")))
}
