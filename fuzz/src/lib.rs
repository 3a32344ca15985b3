//! What the fuzz targets do with an input: one file a target.
//!
//! They go through the library's public interface, as the program does, so
//! they check whole images and not only that a parser returns.

pub mod apk;
pub mod dpkg;
pub mod elf;
pub mod image;
pub mod journal;
pub mod layer;
pub mod layout;
pub mod packages;
pub mod profile;
