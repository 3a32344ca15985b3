//! From the kernel: which task touched which file.
//!
//! [`Probe`] loads the eBPF programs and reads their records; everything else
//! here serves it: field offsets from BTF, the table of system calls, the
//! decoding of records. Nothing in this module knows of images.

mod btf;
mod event;
mod offsets;
mod probe;
mod syscalls;
mod tier;

pub use btf::BtfError;
pub use event::{Event, Touch};
pub use probe::{CaptureError, Options, Probe};
pub use tier::Tier;
