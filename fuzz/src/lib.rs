//! What the fuzz targets do with an input: one file a target.
//!
//! They go through the library's public interface, as the program does, so
//! they check whole images and not only that a parser returns.

pub mod elf;
pub mod image;
pub mod layer;
pub mod layout;
pub mod profile;
