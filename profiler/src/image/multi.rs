//! An index of images for several platforms, from parts of as many sources.
//!
//! ```text
//! index.json ─► index, with the tag ─► manifest of linux/amd64 ─► …
//!                                   └► manifest of linux/arm64 ─► …
//! ```
//!
//! Source: OCI image specification, "image-index.md".

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::layout::{self, publish, put};
use super::sink::{appear, beside, check_file};
use super::{
    ImageError, Platform, Reference, SourceImage, Subset, Transport, Tree, WriteOptions, Written,
    registry, select,
};
use crate::files::directory_of;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// One of the index's images to be.
#[derive(Debug)]
pub struct Member<'a> {
    /// What it runs on.
    pub platform: Platform,
    /// Where it comes from.
    pub image: &'a SourceImage,
    /// The rootfs of that.
    pub tree: &'a Tree<'a>,
    /// What of it is kept.
    pub subset: &'a Subset,
    /// How its layers and manifest are written.
    pub options: &'a WriteOptions,
}

/// Fails if an output cannot hold an index, or exists and may not be
/// replaced.
///
/// # Errors
/// [`ImageError::Unsupported`], [`ImageError::Exists`], or that the place
/// cannot be looked at.
pub fn check_index_output(output: &Reference, force: bool) -> Result<(), ImageError> {
    match output.transport {
        Transport::Oci | Transport::OciArchive | Transport::Registry => {
            super::check_output(output, force)
        }
        _ => Err(ImageError::Unsupported {
            image: output.to_string(),
            what: "an index of several platforms there".into(),
            next: "; write to oci:DIR:TAG, oci-archive:FILE or docker://, or choose one platform \
                   with --platform"
                .into(),
        }),
    }
}

/// Writes images of several platforms and the index that names them, in the
/// order given; `options` are the index's own. Nothing is left behind on
/// failure.
///
/// # Errors
/// See [`ImageError`].
pub fn write_index(
    members: &[Member<'_>],
    output: &Reference,
    options: &WriteOptions,
) -> Result<Vec<Written>, ImageError> {
    check_index_output(output, options.force)?;
    let place = match output.transport {
        Transport::Registry => std::env::temp_dir(),
        _ => directory_of(Path::new(&output.name)).to_owned(),
    };
    // Beside the output, so that its blobs need not be copied.
    let staging = tempfile::Builder::new()
        .prefix(".profiler-")
        .tempdir_in(&place)
        .map_err(ImageError::io("create a temporary directory in", place))?;
    let root = staging.path();
    let mut written = Vec::new();
    for member in members {
        let squash = member.options.squash;
        let layers = select::select(member.image, member.tree, member.subset, squash)?;
        let tagged = Reference {
            transport: Transport::Oci,
            name: root.display().to_string(),
            tag: Some(member.platform.to_string()),
        };
        written.push(layout::write_directory(member.image, &layers, &tagged, member.options)?);
    }
    let descriptor = index(root, members, options)?;
    layout::replace(
        &root.join("index.json"),
        json!({"schemaVersion": 2, "manifests": []}).to_string().as_bytes(),
    )?;
    match output.transport {
        Transport::Oci => adopt(root, descriptor, output)?,
        Transport::OciArchive => {
            check_file(output, options.force)?;
            publish(root, descriptor, output.tag.as_deref())?;
            let path = Path::new(&output.name);
            let mut file = beside(path)?;
            layout::pack(root, file.as_file_mut()).map_err(ImageError::io("write", path))?;
            appear(file, path)?;
        }
        _ => {
            publish(root, descriptor, None)?;
            registry::push_layout(output, root)?;
        }
    }
    Ok(written)
}

/// Stores the index of the images in a layout, whose tags are the platforms;
/// returns its descriptor.
fn index(root: &Path, members: &[Member<'_>], options: &WriteOptions) -> Result<Value, ImageError> {
    let path = root.join("index.json");
    let text = fs::read(&path).map_err(ImageError::io("read", &path))?;
    let list: Value = serde_json::from_slice(&text)
        .map_err(|error| ImageError::damaged(path.display().to_string(), error.to_string()))?;
    let manifests = members
        .iter()
        .map(|member| {
            let platform = &member.platform;
            let tag = platform.to_string();
            let mut descriptor = list["manifests"]
                .as_array()
                .and_then(|all| all.iter().find(|one| one["annotations"][layout::TAG] == tag))
                .cloned()
                .ok_or_else(|| ImageError::damaged(&tag, "its manifest was not written"))?;
            if let Some(descriptor) = descriptor.as_object_mut() {
                descriptor.remove("annotations");
            }
            descriptor["platform"] =
                json!({"architecture": platform.architecture, "os": platform.os});
            if let Some(variant) = &platform.variant {
                descriptor["platform"]["variant"] = json!(variant);
            }
            Ok(descriptor)
        })
        .collect::<Result<Vec<Value>, ImageError>>()?;
    let mut index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    if !options.annotations.is_empty() {
        index["annotations"] = json!(options.annotations);
    }
    let bytes = index.to_string().into_bytes();
    let digest = put(&root.join("blobs/sha256"), &bytes)?;
    Ok(json!({"mediaType": INDEX, "digest": digest, "size": bytes.len()}))
}

/// Moves blobs into a layout, and names what they make last.
fn adopt(root: &Path, descriptor: Value, output: &Reference) -> Result<(), ImageError> {
    let target = Path::new(&output.name);
    let blobs = target.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(ImageError::io("create", &blobs))?;
    let from = root.join("blobs/sha256");
    for entry in fs::read_dir(&from).map_err(ImageError::io("read", &from))? {
        let entry = entry.map_err(ImageError::io("read", &from))?;
        let path = blobs.join(entry.file_name());
        fs::rename(entry.path(), &path).map_err(ImageError::io("write", path))?;
    }
    publish(target, descriptor, output.tag.as_deref())
}
