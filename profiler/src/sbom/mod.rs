//! Documents about what is in the minimized image, for programs that ask for
//! them: bills of materials in [`cyclonedx`] 1.6 and [`spdx`] 2.3, and
//! [`openvex`] statements about packages that are gone.
//!
//! The same input gives the same bytes: identifiers are derived from the
//! image's digest, times are the image's own.

mod component;
pub mod cyclonedx;
mod language;
pub mod openvex;
pub mod spdx;
mod subject;
#[cfg(test)]
mod tests;
pub mod vulnerabilities;

pub use component::{Component, components};
pub use subject::Subject;

/// A format of bills of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// CycloneDX 1.6, JSON.
    CycloneDx,
    /// SPDX 2.3, JSON.
    Spdx,
}

impl Format {
    /// Writes a document.
    pub fn document(self, subject: &Subject, components: &[Component]) -> serde_json::Value {
        match self {
            Self::CycloneDx => cyclonedx::document(subject, components),
            Self::Spdx => spdx::document(subject, components),
        }
    }
}

/// What the documents name as their maker.
const TOOL: &str = "profiler";
const TOOL_VERSION: &str = env!("CARGO_PKG_VERSION");
