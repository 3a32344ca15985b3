//! What can go wrong with images.

use std::io;
use std::path::PathBuf;

use super::{RegistryError, StorageError};
use crate::container::docker::DockerError;

/// Why an image could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The reference cannot be understood.
    #[error(
        "image reference {text}: {why}; use docker-daemon:NAME, docker-archive:FILE, oci:DIR[:TAG], oci-archive:FILE[:TAG], containers-storage:NAME or docker://HOST/NAME[:TAG]"
    )]
    Reference {
        /// As given.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// There is no such image.
    #[error("image {image} was not found{hint}")]
    NotFound {
        /// The image.
        image: String,
        /// Where to look.
        hint: String,
    },
    /// The image's files contradict each other or are cut short.
    #[error("image {image} is damaged: {why}; copy or build it again")]
    Damaged {
        /// The image or file.
        image: String,
        /// What is wrong.
        why: String,
    },
    /// A blob's bytes are not those its name promises.
    #[error(
        "image {image} is damaged: {what} should have digest {expected}, it has {found}; copy or build it again"
    )]
    DigestMismatch {
        /// The image or file.
        image: String,
        /// Which blob.
        what: String,
        /// As named.
        expected: String,
        /// As computed.
        found: String,
    },
    /// The output is there already.
    #[error("output {0} exists; choose another name, or --force to replace it")]
    Exists(String),
    /// A format this program does not read or write.
    #[error("image {image}: {what} is not supported{next}")]
    Unsupported {
        /// The image or file.
        image: String,
        /// What.
        what: String,
        /// What to do, beginning with a semicolon; may be empty.
        next: String,
    },
    /// Reading or writing failed.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// `read`, `write`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// See [`DockerError`].
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// See [`RegistryError`].
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// See [`StorageError`].
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The daemon took the archive but refused the image.
    #[error("the Docker daemon did not load the image: {0}")]
    Load(String),
}

impl ImageError {
    /// For `map_err` on file operations.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// For `map_err` on operations on unnamed temporary files.
    pub(crate) fn temporary(source: io::Error) -> Self {
        // Mostly it is full: the way out is in the name of the action.
        Self::Io {
            action: "use a temporary file (TMPDIR says where) in",
            path: std::env::temp_dir(),
            source,
        }
    }

    pub(crate) fn damaged(image: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Damaged { image: image.into(), why: why.into() }
    }
}
