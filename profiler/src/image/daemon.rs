//! `docker-daemon:`, the Docker daemon's own store.
//!
//! Read where it lies if the daemon uses overlay2 on this machine, else
//! through its export.

use std::fs::File;
use std::path::Path;

use hyper::Method;
use serde_json::Value;

use super::blob::Blob;
use super::select::Selection;
use super::{
    ImageError, OpenOptions, Platform, Reference, SourceImage, WriteOptions, Written, archive,
    overlay2,
};
use crate::container::docker::{Docker, DockerError, escape};
use crate::progress::{self, Counted, Progress, Stage};

/// What of a path belongs to image names: repositories and digests.
const NAME: &str = "/@";

/// Opens an image of the daemon.
///
/// # Errors
/// See [`ImageError`].
pub fn open(reference: &Reference, options: &OpenOptions<'_>) -> Result<SourceImage, ImageError> {
    let docker = Docker::from_env()?;
    let info = inspect(&docker, reference)?;
    match overlay2::open(&docker, reference, &info, options.threads) {
        Ok(image) => {
            Platform::check(options.platform, &image.reference, &image.config)?;
            return Ok(image);
        }
        Err(why) => log::info!("reading {reference} through the daemon's export: {why}"),
    }
    let blob = saved(&docker, reference, &info, options.progress)?;
    archive::read(&reference.to_string(), None, blob, options)
}

/// What the daemon exports of an image, an archive.
///
/// # Errors
/// When it has no such image or cannot export it.
pub fn export(reference: &Reference) -> Result<Blob, ImageError> {
    let docker = Docker::from_env()?;
    let info = inspect(&docker, reference)?;
    saved(&docker, reference, &info, None)
}

fn saved(
    docker: &Docker,
    reference: &Reference,
    info: &Value,
    progress: Option<&Progress>,
) -> Result<Blob, ImageError> {
    let mut file = temporary()?;
    // The files' bytes, without headers and padding.
    let about = info.get("Size").and_then(Value::as_u64).unwrap_or(0);
    progress::begin(progress, Stage::Exporting, about);
    let path = format!("/images/{}/get", escape(&reference.name, NAME));
    docker.get_to_writer(&path, &mut Counted::new(&mut file, progress))?;
    Blob::whole(file).map_err(ImageError::io("read", std::env::temp_dir()))
}

fn inspect(docker: &Docker, reference: &Reference) -> Result<Value, ImageError> {
    let path = format!("/images/{}/json", escape(&reference.name, NAME));
    docker.get_json_blocking(&path).map_err(|error| not_found(error, reference))
}

fn not_found(error: DockerError, reference: &Reference) -> ImageError {
    if error.is_not_found() {
        return ImageError::NotFound {
            image: reference.to_string(),
            hint: "; see `docker images`, or name another transport (oci:, docker-archive:)".into(),
        };
    }
    error.into()
}

/// Fails if the daemon has an image of that name.
///
/// # Errors
/// [`ImageError::Exists`], or when the daemon cannot be asked.
pub fn check_output(output: &Reference, force: bool) -> Result<(), ImageError> {
    let docker = Docker::from_env()?;
    match docker.get_json_blocking(&format!("/images/{}/json", escape(&output.name, NAME))) {
        Ok(_) if !force => Err(ImageError::Exists(output.to_string())),
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Loads an image into the daemon.
///
/// # Errors
/// See [`ImageError`].
pub fn write(
    image: &SourceImage,
    layers: &[Selection<'_>],
    output: &Reference,
    options: &WriteOptions,
) -> Result<Written, ImageError> {
    use std::io::{Seek as _, SeekFrom};
    check_output(output, options.force)?;
    let mut file = temporary()?;
    let tag = tagged(&output.name);
    let shown = std::env::temp_dir();
    let written = archive::write_to(image, layers, Some(&tag), &file, &shown, options)?;
    file.seek(SeekFrom::Start(0)).map_err(ImageError::io("read", &shown))?;
    let len = file.metadata().map_err(ImageError::io("read", &shown))?.len();
    progress::begin(options.progress.as_deref(), Stage::Loading, len);
    let file = Counted::new(file, options.progress.clone());
    let answer = Docker::from_env()?.post_from("/images/load?quiet=1", file)?;
    // One JSON document a line; a failure comes with status 200.
    for line in answer.split(|&byte| byte == b'\n') {
        let Ok(value) = serde_json::from_slice::<Value>(line) else { continue };
        if let Some(error) = value.get("error").and_then(Value::as_str) {
            return Err(ImageError::Load(error.to_owned()));
        }
    }
    Ok(written)
}

/// The ID of the image of that name.
///
/// # Errors
/// When the daemon cannot be asked.
pub fn id(name: &str) -> Result<Option<String>, ImageError> {
    let path = format!("/images/{}/json", escape(name, NAME));
    match Docker::from_env()?.get_json_blocking(&path) {
        Ok(info) => Ok(info.get("Id").and_then(Value::as_str).map(str::to_owned)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives an image another name, which has a tag.
///
/// # Errors
/// When the daemon refuses.
pub fn tag(image: &str, name: &str) -> Result<(), ImageError> {
    let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
    let (image, repository) = (escape(image, NAME), escape(repository, ""));
    let path = format!("/images/{image}/tag?repo={repository}&tag={}", escape(tag, ""));
    Ok(Docker::from_env()?.send_blocking(Method::POST, &path)?)
}

/// Takes a name away, and the image with the last one, whatever ran of it.
///
/// # Errors
/// When the daemon refuses.
pub fn untag(name: &str) -> Result<(), ImageError> {
    let path = format!("/images/{}?force=1", escape(name, NAME));
    Ok(Docker::from_env()?.send_blocking(Method::DELETE, &path)?)
}

/// The name with a tag, as archives carry it.
pub(super) fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

fn temporary() -> Result<File, ImageError> {
    tempfile::tempfile()
        .map_err(ImageError::io("create a temporary file in", Path::new(&std::env::temp_dir())))
}
