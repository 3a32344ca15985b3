//! Where the blobs of an image lie, whatever the transport.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde_json::Value;

use super::super::archive::{JSON_MAX, Members, open_file};
use super::super::blob::Blob;
use super::super::layout::TAG;
use super::super::{ImageError, Reference, Transport, daemon, registry, storage};
use super::finding::{Findings, Problem};

/// What an image is read from.
pub enum Store {
    /// An OCI layout, or what can be seen as one.
    Layout(Layout),
    /// `docker save`'s format.
    Archive(Members),
}

/// Blobs by digest.
pub struct Layout {
    /// Descriptors of what is checked.
    pub roots: Vec<Value>,
    blobs: Blobs,
}

enum Blobs {
    Directory(PathBuf),
    Archive(Members),
    Storage(storage::Saved),
    Registry(Box<registry::Client>),
}

impl Store {
    /// Opens the place of an image. What is wrong with the layout's own files
    /// becomes findings.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn open(reference: &Reference, findings: &mut Findings) -> Result<Self, ImageError> {
        let shown = reference.to_string();
        let blob = || {
            let file = open_file(reference)?;
            Blob::whole(file).map_err(ImageError::io("read", &reference.name))
        };
        let blobs = match reference.transport {
            Transport::DockerDaemon => {
                return Ok(Self::Archive(Members::index(&shown, daemon::export(reference)?)?));
            }
            Transport::DockerArchive => return Ok(Self::Archive(Members::index(&shown, blob()?)?)),
            Transport::OciArchive => Blobs::Archive(Members::index(&shown, blob()?)?),
            Transport::Oci => Blobs::Directory(PathBuf::from(&reference.name)),
            Transport::ContainersStorage => {
                let saved = storage::Saved::new(reference)?;
                let roots = vec![saved.descriptor.clone()];
                return Ok(Self::Layout(Layout { roots, blobs: Blobs::Storage(saved) }));
            }
            Transport::Registry => {
                let (root, client) = registry::look(reference)?;
                let blobs = Blobs::Registry(Box::new(client));
                return Ok(Self::Layout(Layout { roots: vec![root], blobs }));
            }
        };
        let index = blobs.file("index.json")?.ok_or_else(|| ImageError::NotFound {
            image: shown.clone(),
            hint: "; there is no index.json".into(),
        })?;
        let damaged = |why: String| ImageError::damaged(&shown, format!("index.json: {why}"));
        let bytes = index.read_all(JSON_MAX).map_err(|error| damaged(error.to_string()))?;
        let index: Value =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        version(&blobs, findings)?;
        let all = index.get("manifests").and_then(Value::as_array);
        let all = all.ok_or_else(|| damaged("it names no manifests".into()))?;
        let wanted = |descriptor: &&Value| {
            let tag = descriptor.get("annotations").and_then(|a| a.get(TAG)?.as_str());
            reference.tag.is_none() || tag == reference.tag.as_deref()
        };
        let roots: Vec<Value> = all.iter().filter(wanted).cloned().collect();
        if roots.is_empty() {
            let hint = "; the layout has no image of that tag".into();
            return Err(ImageError::NotFound { image: shown, hint });
        }
        Ok(Self::Layout(Layout { roots, blobs }))
    }
}

/// Checks the file by which a layout is known.
fn version(blobs: &Blobs, findings: &mut Findings) -> Result<(), ImageError> {
    const PLACE: &str = "oci-layout";
    let Some(blob) = blobs.file(PLACE)? else {
        findings.add(PLACE, Problem::Missing("the layout has no such file".into()));
        return Ok(());
    };
    let value: Option<Value> =
        blob.read_all(JSON_MAX).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let version = value.as_ref().and_then(|value| value.get("imageLayoutVersion")?.as_str());
    if version != Some("1.0.0") {
        let found = version.unwrap_or_default().into();
        let expected = "1.0.0".into();
        findings.add(PLACE, Problem::Value { key: "imageLayoutVersion", found, expected });
    }
    Ok(())
}

impl Layout {
    /// A manifest or index; none if there is none.
    ///
    /// # Errors
    /// When the place of the blobs cannot be read.
    pub fn manifest(&self, digest: &str) -> Result<Option<Blob>, ImageError> {
        let Blobs::Registry(client) = &self.blobs else { return self.blob(digest) };
        match client.manifest(digest) {
            Ok(found) => found.map(|found| registry::blob_of(&found.bytes)).transpose(),
            // The registry gave it, as something else: the caller compares.
            Err(ImageError::DigestMismatch { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A config or layer; none if there is none. Its digest is not checked.
    ///
    /// # Errors
    /// When the place of the blobs cannot be read.
    pub fn blob(&self, digest: &str) -> Result<Option<Blob>, ImageError> {
        let name = format!("blobs/{}", digest.replace(':', "/"));
        match &self.blobs {
            Blobs::Storage(saved) => saved.get(&name),
            Blobs::Registry(client) => registry::fetch(client, digest),
            other => other.file(&name),
        }
    }

    /// Whether the layers were unpacked on the way here, and the media types
    /// left as they were: Podman does that.
    pub fn is_repacked(&self) -> bool {
        matches!(self.blobs, Blobs::Storage(_))
    }

    /// What to say of a blob that is not there.
    pub fn absent(&self, digest: &str) -> String {
        match &self.blobs {
            Blobs::Registry(_) => "the registry has no blob of that digest".into(),
            _ => format!("there is no blobs/{}", digest.replace(':', "/")),
        }
    }
}

impl Blobs {
    /// A file of a layout; none if there is none.
    fn file(&self, name: &str) -> Result<Option<Blob>, ImageError> {
        match self {
            Self::Directory(root) => {
                let path = root.join(name);
                match File::open(&path) {
                    Ok(file) => Blob::whole(file).map(Some).map_err(ImageError::io("read", path)),
                    Err(error)
                        if matches!(
                            error.kind(),
                            ErrorKind::NotFound | ErrorKind::NotADirectory
                        ) =>
                    {
                        Ok(None)
                    }
                    Err(error) => Err(ImageError::io("read", path)(error)),
                }
            }
            Self::Archive(members) => Ok(members.get(name).ok()),
            Self::Storage(_) | Self::Registry(_) => Ok(None),
        }
    }
}
