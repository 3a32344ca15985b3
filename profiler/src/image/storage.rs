//! `containers-storage:`, the storage of Podman, Buildah and CRI-O.
//!
//! Its layers lie split into differences and headers, in a format that only
//! its own library knows; so `podman` hands images over, or `skopeo` where
//! there is no Podman. They come as a directory of the kind that the image's
//! manifest is, because then the config stays as it is, byte for byte: an OCI
//! layout from Podman if the manifest is OCI's, else
//!
//! ```text
//! manifest.json   the manifest
//! HEX             config and layers, by the digits of their digests
//! ```
//!
//! Sources: containers-transports(5), "dir:"; podman-save(1).

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::blob::{Blob, digest_of};
use super::registry::blob_of;
use super::select::Selection;
use super::staged::{Staged, directory};
use super::{
    ImageError, OpenOptions, Reference, SourceImage, Transport, WriteOptions, Written, layout,
};
use crate::progress::{self, Stage};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Why the storage could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Nothing that knows the storage is installed.
    #[error(
        "containers-storage: needs podman or skopeo, and neither is installed; install one (the Debian packages have these names), or name another transport"
    )]
    NoProgram,
    /// Names are to be given, or images run.
    #[error(
        "images of containers-storage: are run by podman, which is not installed; install it (the Debian package has this name), or load the image into Docker"
    )]
    NoPodman,
    /// The program failed.
    #[error("{program} failed: {why}")]
    Failed {
        /// What was run.
        program: String,
        /// What it said.
        why: String,
    },
}

/// A program that knows the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Podman,
    Skopeo,
}

impl Tool {
    fn find() -> Result<Self, StorageError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let has = |name: &str| std::env::split_paths(&path).any(|place| place.join(name).is_file());
        match () {
            () if has("podman") => Ok(Self::Podman),
            () if has("skopeo") => Ok(Self::Skopeo),
            () => Err(StorageError::NoProgram),
        }
    }

    fn command(self) -> Command {
        let mut command = Command::new(if self == Self::Podman { "podman" } else { "skopeo" });
        command.stdin(Stdio::null());
        command
    }

    /// Whether there is an image of that name.
    fn has(self, name: &str) -> Result<bool, StorageError> {
        let mut command = self.command();
        if self == Self::Podman {
            command.args(["image", "exists", name]);
            let status = command.output().map_err(|error| failed(&command, &error))?.status;
            return match status.code() {
                Some(0) => Ok(true),
                Some(1) => Ok(false),
                // It cannot look at its storage: asking again tells why.
                _ => run(self.command().args(["image", "list", "--quiet"])).map(|_| false),
            };
        }
        command.args(["inspect", "--raw", &format!("containers-storage:{name}")]);
        let output = command.output().map_err(|error| failed(&command, &error))?;
        Ok(output.status.success())
    }
}

/// Opens an image of the storage.
///
/// # Errors
/// See [`ImageError`].
pub fn open(reference: &Reference, options: &OpenOptions<'_>) -> Result<SourceImage, ImageError> {
    progress::begin(options.progress, Stage::Exporting, 0);
    let saved = Saved::new(reference)?;
    let get = |path: &str| {
        saved.get(path)?.ok_or_else(|| {
            ImageError::damaged(reference.to_string(), format!("the storage gave no {path}"))
        })
    };
    let mut image = layout::read(reference, &get, options)?;
    // Made for this copy; the storage itself may have another.
    image.manifest_digest = None;
    Ok(image)
}

/// An image as it was handed over.
pub(super) struct Saved {
    directory: TempDir,
    /// The manifest of a directory that is no layout.
    manifest: Option<Vec<u8>>,
    /// What an index would say of the manifest.
    pub descriptor: Value,
}

impl Saved {
    /// Has an image handed over.
    ///
    /// # Errors
    /// When it is not there, or neither program is.
    pub fn new(reference: &Reference) -> Result<Self, ImageError> {
        let tool = Tool::find()?;
        let there = names(&reference.name).into_iter().map(|name| Ok((tool.has(&name)?, name)));
        let there = there.collect::<Result<Vec<_>, StorageError>>()?;
        let Some((_, name)) = there.into_iter().find(|(has, _)| *has) else {
            let hint = "; see `podman images`".into();
            return Err(ImageError::NotFound { image: reference.to_string(), hint });
        };
        let directory = directory()?;
        let place = directory.path().join("image");
        let mut command = tool.command();
        match tool {
            Tool::Podman => {
                let format = "--format={{.ManifestType}}";
                let kind = run(tool.command().args(["image", "inspect", format, &name]))?;
                // The other one would rewrite the config and lose keys.
                let format = if kind.trim() == OCI_MANIFEST { "oci-dir" } else { "docker-dir" };
                command.args(["save", "--quiet", "--format", format, "--output"]).arg(&place);
                command.arg(&name);
            }
            Tool::Skopeo => {
                command.args(["copy", "--quiet", &format!("containers-storage:{name}")]);
                command.arg(format!("dir:{}", place.display()));
            }
        }
        run(&mut command)?;
        Self::read(reference, directory)
    }

    fn read(reference: &Reference, directory: TempDir) -> Result<Self, ImageError> {
        let place = directory.path().join("image");
        let json = |path: &Path| -> Result<(Vec<u8>, Value), ImageError> {
            let bytes = fs::read(path).map_err(ImageError::io("read", path))?;
            let value = serde_json::from_slice(&bytes)
                .map_err(|error| ImageError::damaged(reference.to_string(), error.to_string()))?;
            Ok((bytes, value))
        };
        if place.join("index.json").exists() {
            let index = json(&place.join("index.json"))?.1;
            let descriptor = index.pointer("/manifests/0").cloned().unwrap_or_default();
            return Ok(Self { directory, manifest: None, descriptor });
        }
        let (manifest, value) = json(&place.join("manifest.json"))?;
        // OCI's need not say what it is.
        let media_type = value.get("mediaType").and_then(Value::as_str);
        let descriptor = json!({
            "mediaType": media_type.unwrap_or(OCI_MANIFEST),
            "digest": digest_of(&manifest),
            "size": manifest.len(),
        });
        Ok(Self { directory, manifest: Some(manifest), descriptor })
    }

    /// A file by the name it would have in an OCI layout; none if there is
    /// none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self, path: &str) -> Result<Option<Blob>, ImageError> {
        if path == "index.json" {
            let index = json!({"schemaVersion": 2, "manifests": [self.descriptor]});
            return blob_of(index.to_string().as_bytes()).map(Some);
        }
        let place = self.directory.path().join("image");
        let file = match &self.manifest {
            None => place.join(path),
            Some(manifest) => {
                let hex = path.rsplit('/').next().unwrap_or_default();
                if self.descriptor["digest"].as_str() == Some(&format!("sha256:{hex}")) {
                    return blob_of(manifest).map(Some);
                }
                place.join(hex)
            }
        };
        match File::open(&file) {
            Ok(open) => Blob::whole(open).map(Some).map_err(ImageError::io("read", file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ImageError::io("read", file)(error)),
        }
    }
}

/// Fails if the storage has an image of that name.
///
/// # Errors
/// [`ImageError::Exists`], or when neither program is there.
pub fn check_output(output: &Reference, force: bool) -> Result<(), ImageError> {
    if Tool::find()?.has(&full_name(&output.name))? && !force {
        return Err(ImageError::Exists(output.to_string()));
    }
    Ok(())
}

/// Puts an image into the storage.
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
    let name = full_name(&output.name);
    let tool = Tool::find()?;
    if tool == Tool::Skopeo {
        let staged = Staged::write(image, layers, options)?;
        let from = format!("oci:{}", staged.path().display());
        let to = format!("containers-storage:{name}");
        progress::begin(options.progress.as_deref(), Stage::Uploading, 0);
        run(tool.command().args(["copy", "--quiet", &from, &to]))?;
        return Ok(without_manifest(staged.written));
    }
    // From an archive, because Podman takes a name from there; what it loads
    // from a directory it names after that.
    let directory = directory()?;
    let path = directory.path().join("image.tar");
    let archive = Reference {
        transport: Transport::OciArchive,
        name: path.display().to_string(),
        tag: Some(name.clone()),
    };
    let written = layout::write_archive(image, layers, &archive, options)?;
    progress::begin(options.progress.as_deref(), Stage::Uploading, 0);
    run(tool.command().args(["load", "--quiet", "--input"]).arg(&path))?;
    let id = run(tool.command().args(["image", "inspect", "--format={{.Id}}", &name]))?;
    if written.id != format!("sha256:{}", id.trim()) {
        let why = format!("it took {} for {}", written.id, id.trim());
        return Err(StorageError::Failed { program: "podman load".into(), why }.into());
    }
    Ok(without_manifest(written))
}

/// The storage writes a manifest of its own.
fn without_manifest(written: Written) -> Written {
    Written { manifest_digest: None, ..written }
}

/// The ID of the image of that name.
///
/// # Errors
/// When Podman cannot be asked.
pub fn id(name: &str) -> Result<Option<String>, ImageError> {
    let podman = podman()?;
    for name in names(name) {
        if podman.has(&name)? {
            let format = "--format={{.Id}}";
            let id = run(podman.command().args(["image", "inspect", format, &name]))?;
            return Ok(Some(format!("sha256:{}", id.trim())));
        }
    }
    Ok(None)
}

/// Gives an image another name.
///
/// # Errors
/// When Podman refuses.
pub fn tag(image: &str, name: &str) -> Result<(), ImageError> {
    let image = image.trim_start_matches("sha256:");
    run(podman()?.command().args(["tag", image, name]))?;
    Ok(())
}

/// Takes a name away, and the image with the last one.
///
/// # Errors
/// When Podman refuses.
pub fn untag(name: &str) -> Result<(), ImageError> {
    run(podman()?.command().args(["image", "rm", name]))?;
    Ok(())
}

/// Podman: only an engine runs images, and skopeo is none.
fn podman() -> Result<Tool, StorageError> {
    match Tool::find()? {
        Tool::Podman => Ok(Tool::Podman),
        Tool::Skopeo => Err(StorageError::NoPodman),
    }
}

/// The names under which an image may be stored: Podman keeps what is built
/// here below "localhost", what comes from Docker's registry below its host.
fn names(name: &str) -> Vec<String> {
    vec![name.to_owned(), full_name(name)]
}

/// A name with host and tag.
pub(super) fn full_name(name: &str) -> String {
    let host = name.split_once('/').map_or("", |(host, _)| host);
    let name = if host.contains(['.', ':']) || host == "localhost" {
        name.to_owned()
    } else {
        format!("localhost/{name}")
    };
    let last = name.rsplit('/').next().unwrap_or(&name);
    if last.contains([':', '@']) { name } else { format!("{name}:latest") }
}

/// Runs a program to its end; what it said on stdout.
fn run(command: &mut Command) -> Result<String, StorageError> {
    let output = command.output().map_err(|error| failed(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().last().unwrap_or("it said nothing").to_owned();
    Err(failed(command, &said))
}

fn failed(command: &Command, why: &dyn std::fmt::Display) -> StorageError {
    let verb = command.get_args().next().unwrap_or_default();
    let program = format!("{} {}", command.get_program().to_string_lossy(), verb.to_string_lossy());
    StorageError::Failed { program, why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_what_podman_would_give_them() {
        for (given, full) in [
            ("a", "localhost/a:latest"),
            ("a/b:c", "localhost/a/b:c"),
            ("localhost/a", "localhost/a:latest"),
            ("quay.example/a:1", "quay.example/a:1"),
            ("h:5000/a", "h:5000/a:latest"),
        ] {
            assert_eq!(full_name(given), full);
        }
    }
}
