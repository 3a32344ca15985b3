//! What dpkg knows of a package's files.
//!
//! `info/NAME.list` has a line for every path, directories included, as the
//! package spells it; `NAME.md5sums` has `HASH  PATH` for regular files, the
//! path without its first slash. `diversions` has three lines for each file
//! that one package moves out of the way of its own: the name, where the
//! others' version went, and who diverts.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Included, Unbounded};
use std::ops::Range;

use crate::image::{NodeId, NodeKind, Tree};
use crate::packages::file::lines;
use crate::packages::{leads_to_directory, locate, text};

/// Paths that other packages' versions of a file were moved to.
#[derive(Debug, Default)]
pub struct Diversions(BTreeMap<Vec<u8>, (Vec<u8>, String)>);

impl Diversions {
    /// Reads the file; a cut last entry is none.
    pub fn parse(bytes: &[u8]) -> Self {
        let lines: Vec<&[u8]> = lines(bytes).map(|(_, line)| line).collect();
        let entries = lines.chunks_exact(3);
        Self(entries.map(|e| (e[0].to_vec(), (e[1].to_vec(), text(e[2])))).collect())
    }

    /// Where a package's file of this name is.
    fn place<'a>(&'a self, path: &'a [u8], package: &str) -> &'a [u8] {
        match self.0.get(path) {
            // A colon stands for the administrator: every package's is moved.
            Some((to, by)) if by != package => to,
            _ => path,
        }
    }
}

/// Each line of a list and the node it is about.
pub type Lines = Vec<(Range<usize>, Option<NodeId>)>;

/// Looks up the lines of a `.list`.
pub fn list(tree: &Tree<'_>, bytes: &[u8], package: &str, diversions: &Diversions) -> Lines {
    lines(bytes)
        .map(|(range, line)| (range, locate(tree, diversions.place(line, package))))
        .collect()
}

/// Looks up the lines of a `.md5sums`.
pub fn md5sums(tree: &Tree<'_>, bytes: &[u8], package: &str, diversions: &Diversions) -> Lines {
    lines(bytes)
        .map(|(range, line)| {
            let path = line.splitn(2, |&byte| byte == b' ').nth(1).unwrap_or_default();
            let path = path.strip_prefix(b" ").or(path.strip_prefix(b"*")).unwrap_or(path);
            let path = path.strip_prefix(b"./").unwrap_or(path);
            let absolute = [b"/", path].concat();
            let node = if path.is_empty() {
                None
            } else {
                locate(tree, diversions.place(&absolute, package))
            };
            (range, node)
        })
        .collect()
}

/// What a list says of a package.
#[derive(Debug, Default)]
pub struct Owned {
    /// Payload: everything but directories and the copyright file.
    pub files: BTreeSet<NodeId>,
    /// The copyright file. It is about the package, and one kept for its own
    /// sake does not make the package present.
    pub about: Vec<NodeId>,
    /// Directories of the package that are links to directories in the image.
    pub merged: Vec<NodeId>,
}

/// Sorts what a list's lines lead to.
pub fn owned(tree: &Tree<'_>, bytes: &[u8], found: &Lines) -> Owned {
    // Directories of the package that are links here are told by what the
    // list has in them.
    let paths: BTreeSet<&[u8]> = found.iter().map(|(range, _)| &bytes[range.clone()]).collect();
    let has_content = |line: &[u8]| {
        let directory = [line.trim_ascii_end(), b"/"].concat();
        let next = paths.range::<[u8], _>((Included(directory.as_slice()), Unbounded)).next();
        next.is_some_and(|path| path.starts_with(&directory))
    };
    let mut owned = Owned::default();
    for (range, node) in found {
        let Some(id) = *node else { continue };
        let line = &bytes[range.clone()];
        if tree.node(id).kind == NodeKind::Dir {
            continue;
        }
        if leads_to_directory(tree, id) && has_content(line) {
            owned.merged.push(id);
        } else if is_copyright(&tree.path(id)) {
            owned.about.push(id);
        } else {
            owned.files.insert(id);
        }
    }
    owned
}

/// `/usr/share/doc/NAME/copyright`.
fn is_copyright(path: &[u8]) -> bool {
    path.strip_prefix(b"/usr/share/doc/")
        .and_then(|rest| rest.strip_suffix(b"/copyright"))
        .is_some_and(|name| !name.contains(&b'/'))
}
