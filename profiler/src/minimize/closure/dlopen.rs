//! Libraries that a file says it opens at run time, in `.note.dlopen`.
//!
//! Source: "dlopen() Metadata for ELF Files", systemd.io/ELF_DLOPEN_METADATA:
//! notes of type 0x407c0c0a and owner `FDO`, each a JSON array of objects with
//! `soname` (alternatives, the best first), `priority` and `feature`.
//!
//! What is *required* or *recommended* is kept where the image has it: the
//! program asks for it without a word in `DT_NEEDED`, and a test need not have
//! come that way. What is *suggested* is not: it is for features that most
//! users go without, and a test that used one has touched it.

use elf::endian::AnyEndian;
use elf::file::Class;
use elf::note::{Note, NoteIterator};
use serde::Deserialize;

/// Type of the notes.
pub const NOTE_TYPE: u64 = 0x407c_0c0a;

/// How much a program wants a library.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// It does not work without.
    Required,
    /// A feature that few use does not.
    Suggested,
    /// Some feature does not; what is meant where nothing is said, and how
    /// what is not known is taken.
    #[default]
    #[serde(other)]
    Recommended,
}

/// A library that may be opened.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Optional {
    /// What for, in a word.
    #[serde(default)]
    pub feature: String,
    /// How much it is wanted.
    #[serde(default)]
    pub priority: Priority,
    /// Names of it, one of which is enough.
    pub soname: Vec<String>,
}

/// Reads the notes of a segment; what is damaged says nothing.
pub fn notes(endian: AnyEndian, class: Class, align: usize, bytes: &[u8]) -> Vec<Optional> {
    let mut optional = Vec::new();
    for note in NoteIterator::new(endian, class, align, bytes) {
        let Note::Unknown(note) = note else { continue };
        if note.n_type != NOTE_TYPE || !matches!(note.name_str(), Ok("FDO")) {
            continue;
        }
        let end = note.desc.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
        if let Ok(list) = serde_json::from_slice::<Vec<Optional>>(&note.desc[..end]) {
            optional.extend(list);
        }
    }
    optional
}
