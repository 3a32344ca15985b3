//! A plan as an allow-list for other image builders: one file a format.

mod dockerfile;
mod paths;
mod paths0;

use std::io::{self, Write};

use crate::image::{NodeId, SourceImage, Tree};
use crate::minimize::Plan;

/// Why a plan could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The format cannot tell this path.
    #[error("path {0:?} cannot stand in a list of lines; use --format paths0")]
    Unspeakable(String),
    /// A Dockerfile cannot tell this path.
    #[error(
        "path {0:?} cannot stand in a Dockerfile that copies file by file, and the image has no shell and GNU tar to pick it; use --format paths0"
    )]
    Uncopyable(String),
    /// A Dockerfile cannot tell this part of the config.
    #[error(
        "{0} of the image's config has a line break, which a Dockerfile cannot tell; use --format paths0"
    )]
    LineBreak(String),
    /// The image could not be read.
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
    /// Writing failed.
    #[error("cannot write the export: {0}; choose another place with -o")]
    Io(#[from] io::Error),
}

/// What there is to export.
#[derive(Debug)]
pub struct Export<'a> {
    /// The image the plan is of.
    pub image: &'a SourceImage,
    /// Its rootfs.
    pub tree: &'a Tree<'a>,
    /// What is kept.
    pub plan: &'a Plan,
}

impl Export<'_> {
    /// Kept paths in order, relative to the rootfs, the root itself left out.
    fn paths(&self) -> Vec<(Vec<u8>, NodeId)> {
        let mut paths: Vec<_> = self
            .plan
            .kept
            .keys()
            .filter(|&&id| id != self.tree.root())
            .map(|&id| (self.tree.path(id)[1..].to_vec(), id))
            .collect();
        paths.sort_unstable();
        paths
    }
}

/// One format.
pub trait Format {
    /// Writes the plan.
    ///
    /// # Errors
    /// See [`ExportError`].
    fn write(&self, export: &Export<'_>, writer: &mut dyn Write) -> Result<(), ExportError>;
}

/// Lines of paths, for `tar --no-recursion -T`.
pub fn paths() -> Box<dyn Format> {
    Box::new(paths::Paths)
}

/// NUL-terminated paths, for `tar --no-recursion --null -T`.
pub fn paths0() -> Box<dyn Format> {
    Box::new(paths0::Paths0)
}

/// A Dockerfile that builds the small image.
pub fn dockerfile() -> Box<dyn Format> {
    Box::new(dockerfile::Dockerfile)
}
