//! Runtime file-access profiler and image minimizer for Linux containers.
//!
//! [`capture`] records from the kernel which files a container touches,
//! [`container`] says which container and image an event belongs to,
//! [`profile`] is the document both write, [`image`] reads and writes OCI and
//! Docker images, and [`minimize`] turns image + profile into a small image.
//! The library never prints and knows nothing of the command line.

pub mod capture;
pub mod collect;
pub mod container;
pub mod coverage;
pub mod doctor;
pub mod export;
pub mod files;
pub mod image;
pub mod mark;
pub mod minimize;
pub mod packages;
pub mod profile;
pub mod report;
pub mod sbom;
pub mod session;
