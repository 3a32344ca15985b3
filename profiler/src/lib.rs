//! Runtime file-access profiler and image minimizer for Linux containers.
//!
//! [`capture`] records from the kernel which files a container touches,
//! [`container`] says which container and image an event belongs to,
//! [`profile`] is the document both write, [`image`] reads and writes OCI and
//! Docker images, and [`minimize`] turns image + profile into a small image;
//! [`verify`] says what a run on that looked for in vain, [`watch`] what
//! containers in production do.
//! The library never prints and knows nothing of the command line.

pub mod capture;
pub mod collect;
pub mod container;
pub mod coverage;
pub mod doctor;
pub mod export;
pub mod files;
pub mod image;
pub mod journal;
pub mod mark;
pub mod minimize;
pub mod packages;
mod parallel;
pub mod profile;
pub mod progress;
pub mod report;
pub mod sbom;
pub mod session;
pub mod verify;
pub mod watch;
