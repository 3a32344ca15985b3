//! Reading and writing container images.
//!
//! [`open`] turns a [`Reference`] into a [`SourceImage`]: config, and layers
//! whose entries are indexed and whose bytes can be read at random. Archives
//! and layouts are read in place; what cannot be (the daemon's stream, and of
//! compressed layers what is likely to be wanted) is copied to an unnamed
//! temporary file. [`Tree`] is the
//! rootfs that the layers stack up to, [`write`] stores a filtered copy.
//!
//! ```text
//! Reference ─ open ─► SourceImage ─ Tree::build ─► Tree
//!                          │                        │ what to keep
//!                          └──────── write ◄────────┘
//! ```

mod archive;
mod blob;
mod compression;
mod config;
mod daemon;
mod engine;
mod entry;
mod error;
mod garbage;
mod gzip;
mod header;
mod index;
mod layer;
mod layers;
mod layout;
mod multi;
mod overlay2;
mod parser;
mod platform;
mod reference;
mod referrers;
mod registry;
mod select;
mod sink;
mod sparse;
mod staged;
mod storage;
#[cfg(test)]
pub(crate) mod tests;
pub mod tree;
mod unpack;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

pub use engine::{Lent, Store, Temporary};
pub use error::ImageError;
pub use layer::Layer;
pub use multi::{Member, check_index_output, write_index};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, Transport};
pub use referrers::{Artifact, attach, check_attach, subject};
pub use registry::RegistryError;
pub use storage::StorageError;
pub use tree::{Node, NodeId, NodeKind, ReadSeek, Tree, Walk};
pub use unpack::Likely;
pub use validate::{Finding, Problem, validate};

use crate::progress::Progress;

/// An image that was opened.
#[derive(Debug)]
pub struct SourceImage {
    /// How it was asked for.
    pub reference: String,
    /// Digest of the config, `sha256:…`: what Docker and Podman call the ID.
    pub id: String,
    /// Digest of the manifest, where the transport has one.
    pub manifest_digest: Option<String>,
    /// The config's bytes as they stand.
    pub config: Vec<u8>,
    /// Digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<String>,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// Platforms of the index it was taken from, its own among them; empty
    /// when it comes from none.
    pub platforms: Vec<Platform>,
}

/// The part of an image that is written.
#[derive(Debug, Default)]
pub struct Subset {
    /// What is kept; the directories above need not be named.
    pub keep: BTreeSet<NodeId>,
    /// New contents of regular files that are kept; all else of them stays.
    pub edits: BTreeMap<NodeId, Vec<u8>>,
}

/// A layer that is put on top of the image's own.
#[derive(Debug)]
pub struct Addition {
    /// The layer; see [`Layer::made`].
    pub layer: Layer,
    /// What the config's history says of it.
    pub created_by: String,
}

/// How an image is written.
#[derive(Debug, Default)]
pub struct WriteOptions {
    /// Annotations of the manifest (OCI outputs only).
    pub annotations: BTreeMap<String, String>,
    /// Replace what is there under that name.
    pub force: bool,
    /// One layer instead of the source's.
    pub squash: bool,
    /// Layers on top, lowest first.
    pub additions: Vec<Addition>,
    /// Threads at work, one a layer at most; none: one a processor. The
    /// result does not depend on it.
    pub threads: Option<NonZeroUsize>,
    /// Where it is told how far the work has come.
    pub progress: Option<Arc<Progress>>,
}

/// How an image is opened.
#[derive(Default, Clone, Copy)]
pub struct OpenOptions<'a> {
    /// Which image of an index; none: this machine's platform, or the only
    /// one. An image of another platform is an error.
    pub platform: Option<&'a Platform>,
    /// Which contents of compressed layers will be read. The others may be
    /// read too, at the cost of unpacking their layer once more; none: all.
    pub likely: Option<&'a Likely<'a>>,
    /// Threads at work; none: one a processor.
    pub threads: Option<NonZeroUsize>,
    /// Where it is told how far the work has come.
    pub progress: Option<&'a Progress>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Digest of the new config.
    pub id: String,
    /// Digest of the new manifest, where the output has one.
    pub manifest_digest: Option<String>,
    /// Bytes of the layers, uncompressed.
    pub bytes: u64,
    /// How many layers it has.
    pub layers: usize,
}

/// Opens an image for reading.
///
/// # Errors
/// See [`ImageError`].
pub fn open(reference: &Reference) -> Result<SourceImage, ImageError> {
    open_with(reference, &OpenOptions::default())
}

/// Opens an image for reading.
///
/// # Errors
/// See [`ImageError`].
pub fn open_with(
    reference: &Reference,
    options: &OpenOptions<'_>,
) -> Result<SourceImage, ImageError> {
    match reference.transport {
        Transport::DockerDaemon => daemon::open(reference, options),
        Transport::DockerArchive => archive::open(reference, options),
        Transport::Oci => layout::open_directory(reference, options),
        Transport::OciArchive => layout::open_archive(reference, options),
        Transport::ContainersStorage => storage::open(reference, options),
        Transport::Registry => registry::open(reference, options),
    }
}

/// Writes a part of an image.
///
/// The source's layers are kept apart unless told otherwise, those that become
/// empty are dropped.
/// Nothing is left behind on failure, and nothing existing is touched.
///
/// # Errors
/// See [`ImageError`].
pub fn write(
    image: &SourceImage,
    tree: &Tree,
    subset: &Subset,
    output: &Reference,
    options: &WriteOptions,
) -> Result<Written, ImageError> {
    let mut layers = select::select(image, tree, subset, options.squash)?;
    layers.extend(options.additions.iter().map(select::Selection::whole));
    match output.transport {
        Transport::DockerDaemon => daemon::write(image, &layers, output, options),
        Transport::DockerArchive => archive::write(image, &layers, output, options),
        Transport::Oci => layout::write_directory(image, &layers, output, options),
        Transport::OciArchive => layout::write_archive(image, &layers, output, options),
        Transport::ContainersStorage => storage::write(image, &layers, output, options),
        Transport::Registry => registry::write(image, &layers, output, options),
    }
}

/// Fails if the output exists and may not be replaced. Asked before the work
/// begins, since it may take long.
///
/// # Errors
/// [`ImageError::Exists`], or that the place cannot be looked at.
pub fn check_output(output: &Reference, force: bool) -> Result<(), ImageError> {
    match output.transport {
        Transport::DockerDaemon => daemon::check_output(output, force),
        Transport::DockerArchive | Transport::OciArchive => sink::check_file(output, force),
        Transport::Oci => layout::check_output(output, force),
        Transport::ContainersStorage => storage::check_output(output, force),
        Transport::Registry => registry::check_output(output, force),
    }
}
