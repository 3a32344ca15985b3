//! What is wrong, and where.

use std::fmt;

/// One thing that is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The blob, and the entry of a layer if it is of one:
    /// `layer sha256:… usr/bin/sh`.
    pub place: String,
    /// What is wrong there.
    pub problem: Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A blob that is named is not there.
    #[error("is missing: {0}")]
    Missing(String),
    /// The bytes are not those that the digest promises.
    #[error("has digest {found}, should have {expected}")]
    Digest {
        /// As named.
        expected: String,
        /// As computed.
        found: String,
    },
    /// Its name is no digest this program knows.
    #[error("{0:?} is not a SHA-256 digest")]
    NotADigest(String),
    /// More or fewer bytes than its descriptor says.
    #[error("has {found} bytes, its descriptor says {expected}")]
    Size {
        /// As described.
        expected: u64,
        /// As counted.
        found: u64,
    },
    /// A descriptor without what it must have.
    #[error("its descriptor has no {0}")]
    Descriptor(&'static str),
    /// A media type where another kind is expected.
    #[error("has media type {found:?}, expected {expected}")]
    MediaType {
        /// As given; empty when there is none.
        found: String,
        /// In words.
        expected: String,
    },
    /// It cannot be parsed.
    #[error("is no JSON: {0}")]
    NotJson(String),
    /// A key that must be there is not, or has another type.
    #[error("has no {0}")]
    Field(&'static str),
    /// A key has a value that it must not have.
    #[error("has {key} {found:?}, expected {expected:?}")]
    Value {
        /// The key.
        key: &'static str,
        /// As given.
        found: String,
        /// As it must be.
        expected: String,
    },
    /// The index says another platform than the config.
    #[error("is for {found}, its index says {expected}")]
    Platform {
        /// In the index.
        expected: String,
        /// In the config.
        found: String,
    },
    /// Manifest and config do not count the same layers.
    #[error("has {layers} layers, its config names {diff_ids} (rootfs.diff_ids)")]
    LayerCount {
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
    /// The history tells of another number of layers.
    #[error("tells of {entries} layers in its history and names {diff_ids} (rootfs.diff_ids)")]
    History {
        /// Entries that are not marked as empty layers.
        entries: usize,
        /// Diff IDs.
        diff_ids: usize,
    },
    /// The unpacked layer is not what the config names.
    #[error("has diff ID {found}, its config says {expected}")]
    DiffId {
        /// In the config.
        expected: String,
        /// As computed.
        found: String,
    },
    /// The bytes are packed in another way than the media type says.
    #[error("is {found}, its media type {media_type} says {expected}")]
    Compression {
        /// As declared.
        media_type: String,
        /// What that means.
        expected: &'static str,
        /// By its first bytes.
        found: &'static str,
    },
    /// It cannot be unpacked.
    #[error("cannot be unpacked: {0}")]
    Unpack(String),
    /// It is no well-formed tar.
    #[error("is no well-formed tar: {0}")]
    Tar(String),
    /// A name that is absolute, leads upwards or is not normalised.
    #[error("its name {0}")]
    Name(&'static str),
    /// The same name twice in one layer.
    #[error("is there twice")]
    Duplicate,
    /// A hard link to nothing.
    #[error("is a hard link to {target}, which {why}")]
    HardLink {
        /// Where it should lead.
        target: String,
        /// What is wrong there.
        why: &'static str,
    },
    /// A name that begins with `.wh.` and is no whiteout.
    #[error("is no whiteout: {0}")]
    Whiteout(&'static str),
    /// What it lies in is no directory.
    #[error("lies in {parent}, which is {what}")]
    Parent {
        /// Path of the parent.
        parent: String,
        /// What that is.
        what: &'static str,
    },
    /// Something this program cannot look into.
    #[error("was not checked further: {0}")]
    Unchecked(&'static str),
}

/// Collects findings.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Takes one in.
    pub fn add(&mut self, place: impl Into<String>, problem: Problem) {
        self.0.push(Finding { place: place.into(), problem });
    }

    /// All of them, in the order found.
    pub fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}
