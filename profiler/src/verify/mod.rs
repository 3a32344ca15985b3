//! What a run on a small image looked for in vain.
//!
//! ```text
//! original image ─► Tree ─┐
//! small image ────► Tree ─┼─► Comparison ─┬─ miss(name) ───► Miss
//!  (or a plan's kept set) ┘               └─ of(profile) ──► Findings
//! ```
//!
//! A *miss* is a name that was looked up and not found, and that the original
//! image has. A lookup of what the original does not have either fails there
//! as well and tells nothing; nor does one below a mount, or of what the run
//! itself makes and removes.
//!
//! Not everything that is gone makes a lookup fail: a program that lists a
//! directory never asks for what it does not find there. Such things are
//! *notes*: they explain a failure, but are none by themselves.

mod comparison;
mod healing;
mod imports;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::Serialize;

pub use comparison::Comparison;
pub(crate) use comparison::Mounts;
pub use healing::{Added, Healing, Round, Step};

use crate::profile::{BytePath, KindSet};

/// What a run's profile tells of a small image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Sorted by name.
    pub misses: Vec<Miss>,
    /// Sorted by cause and place.
    pub notes: Vec<Note>,
}

/// A name that was looked up in the small image in vain, and that leads
/// somewhere in the original.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Miss {
    /// The name as it was spoken, made absolute.
    pub name: BytePath,
    /// What of the original the small image lacks on the way: symlinks, and
    /// last the file that the name leads to. Never empty.
    pub files: Vec<Gone>,
    /// In what ways it was looked up.
    pub kinds: KindSet,
    /// `comm` of the first task that looked.
    pub comm: String,
    /// Its executable, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<BytePath>,
    /// The tests in which it was looked up, where they are known.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tests: BTreeSet<String>,
}

/// A file of the original that the small image lacks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Gone {
    /// Its place, no symlinks.
    pub path: BytePath,
    /// What it is.
    pub kind: FileKind,
    /// Bytes of content; 0 for what is no regular file.
    pub bytes: u64,
    /// The package it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Character or block device.
    Device,
    /// FIFO.
    Fifo,
}

/// Something that the small image lacks and that made no lookup fail, or
/// none that is known to matter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Note {
    /// Why it may matter.
    pub why: Why,
    /// The directory or name it is about.
    pub path: BytePath,
    /// What is not there; never empty.
    pub gone: Vec<Gone>,
    /// `comm` of the task it concerned, where that is known.
    pub comm: String,
}

/// Why something that made no lookup fail may matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// A Python module that was loaded and is no package's imports it.
    Imported,
    /// A file was looked for in a directory that is gone. The original does
    /// not have the file either; but it may have been meant to be made there.
    MadeIn,
    /// A name was looked for in vain and then made by the run itself.
    Remade,
    /// A directory was listed that has more entries in the original.
    Listed,
    /// A Python module that was loaded and is of a package imports it,
    /// somewhere: most such statements are in functions that never run.
    ImportedByPackage,
}
