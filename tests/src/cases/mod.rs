//! The case programs: small ways of touching files, each a known trap for
//! whoever records them, with what the profile must hold of it.
//!
//! ```text
//! cases prepare ROOT    a tree with /case/NN for each case, and the program
//! cases run [NN…]       touches the files, in a container made of that tree
//! cases check PROFILE   compares the profile with the table
//! ```
//!
//! A case touches names below its own `/case/NN` only, and a decoy beside
//! them is touched by nothing; so the profile's entries below `/case/NN` must
//! be those of the table, no more and no fewer. The program is static, needs
//! nothing but its own file, and makes each system call itself: a library's
//! wrapper may choose another one than it is named after.

pub mod check;
mod elf;
pub mod expect;
pub mod image;
mod int80;
pub mod run;
mod sys;
mod table;
pub mod time;
mod tree;
mod uring;

use std::ffi::CString;

pub use table::ALL;
pub use tree::prepare;

use expect::Entry;

/// One case.
pub struct Case {
    /// 1 to 40.
    pub number: u8,
    /// What it is about.
    pub title: &'static str,
    /// Where it can be performed.
    pub setting: Setting,
    /// Makes the files it touches.
    prepare: fn(&tree::Tree) -> anyhow::Result<()>,
    /// Touches them.
    run: fn(&Here) -> anyhow::Result<()>,
    /// What the profile must hold below the case's directory.
    pub expect: fn() -> Vec<Entry>,
}

/// Where a case can be performed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// In any container with the capabilities [`run::CAPABILITIES`].
    Any,
    /// In a container of its own, set up as the text says.
    Own(&'static str),
}

impl Case {
    /// Its directory in the container.
    pub fn directory(&self) -> String {
        format!("/case/{:02}", self.number)
    }
}

/// The case of this number.
pub fn by_number(number: u8) -> Option<&'static Case> {
    ALL.iter().find(|case| case.number == number)
}

/// A running case: its names, and what the command line adds.
struct Here {
    directory: String,
    /// Which part of the case, for those that need more than one container.
    part: Option<String>,
}

impl Here {
    /// The part that was asked for.
    fn part(&self) -> anyhow::Result<&str> {
        self.part.as_deref().ok_or_else(|| anyhow::anyhow!("this case has parts: use --part"))
    }

    /// Absolute name of something in the case's directory.
    fn at(&self, name: impl AsRef<[u8]>) -> CString {
        let mut path = self.directory.clone().into_bytes();
        if !name.as_ref().is_empty() {
            path.push(b'/');
            path.extend_from_slice(name.as_ref());
        }
        name_of(path)
    }
}

/// A name for the kernel.
fn name_of(bytes: impl Into<Vec<u8>>) -> CString {
    CString::new(bytes).expect("names of cases hold no NUL")
}
