//! Checks that an image is whole and says one thing everywhere, as registries
//! and engines expect it.
//!
//! ```text
//! index ─► manifest ─► config     digests, sizes, media types, platform
//!              └─────► layers     digests, sizes, diff IDs, compression, tar
//! ```
//!
//! Everything wrong is reported, not the first of it, and nothing is repaired.
//! Sources: OCI image specification ("manifest.md", "config.md", "layer.md",
//! "image-index.md"), Docker's image manifest version 2 schema 2, and what
//! go-containerregistry's `pkg/v1/validate` looks at.

mod archive;
mod config;
mod finding;
mod layer;
mod manifest;
mod media;
mod stack;
mod store;
mod tar;
#[cfg(test)]
mod tests;

pub use finding::{Finding, Problem};

use super::{ImageError, Reference};
use finding::Findings;
use store::Store;

/// Checks an image, or all of a layout or archive that is named without a tag.
/// An index is checked with every image in it, whatever its platform.
///
/// An image of the Docker daemon is checked as the daemon exports it.
///
/// # Errors
/// When the image is not there or cannot be read at all; a blob that is
/// missing or damaged is a finding.
pub fn validate(reference: &Reference) -> Result<Vec<Finding>, ImageError> {
    let mut findings = Findings::default();
    match Store::open(reference, &mut findings)? {
        Store::Layout(layout) => manifest::check(&layout, &mut findings)?,
        Store::Archive(members) => {
            archive::check(&members, reference.tag.as_deref(), &mut findings)?;
        }
    }
    Ok(findings.into_vec())
}
