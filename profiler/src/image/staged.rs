//! An image as an OCI layout in a temporary directory, for outputs that take
//! it from there.

use std::path::Path;

use tempfile::TempDir;

use super::select::Selection;
use super::{ImageError, Reference, SourceImage, Transport, WriteOptions, Written, layout};

/// A layout with one image; dropping this removes it.
pub struct Staged {
    directory: TempDir,
    /// What was written.
    pub written: Written,
}

impl Staged {
    /// Writes the layout.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub fn write(
        image: &SourceImage,
        layers: &[Selection<'_>],
        options: &WriteOptions,
    ) -> Result<Self, ImageError> {
        let directory = directory()?;
        let output = Reference {
            transport: Transport::Oci,
            name: directory.path().display().to_string(),
            tag: None,
        };
        let written = layout::write_directory(image, layers, &output, options)?;
        Ok(Self { directory, written })
    }

    /// The layout.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// A directory that is removed when it is dropped.
///
/// # Errors
/// When it cannot be made.
pub fn directory() -> Result<TempDir, ImageError> {
    tempfile::Builder::new()
        .prefix("profiler-")
        .tempdir()
        .map_err(ImageError::io("create a temporary directory in", std::env::temp_dir()))
}
