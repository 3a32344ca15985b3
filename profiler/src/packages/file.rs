//! Files of databases: how they are read, and what becomes of them.

use std::ops::Range;

use super::Inventory;
use crate::image::{ImageError, NodeId, NodeKind, Tree};

/// More than any database has; a sparse file may claim anything.
const LIMIT: u64 = 512 << 20;

/// Which parts of a database say what: ways to cut it.
#[derive(Debug)]
pub enum Cut {
    /// Pieces that each belong to a package, by index; what is in no piece
    /// stays.
    Records(Vec<(Range<usize>, usize)>),
    /// Lines, each about a node; goes when its package does.
    Lines(usize, Vec<(Range<usize>, Option<NodeId>)>),
    /// As it is, while the package is there.
    With(usize),
    /// Pieces of packages that hold lines about nodes.
    Nested(Vec<super::apk::Record>),
    /// An RPM database in SQLite: header numbers by package index. Other
    /// files that make up the database, which the cut one does not need.
    Sqlite(Vec<(i64, usize)>, Vec<NodeId>),
    /// Whatever it says, it stays.
    Whole,
}

/// One file of a database.
#[derive(Debug)]
pub struct DatabaseFile {
    /// Where it lies.
    pub node: NodeId,
    /// Links that lead there from where scanners look.
    pub links: Vec<NodeId>,
    /// How it is cut.
    pub cut: Cut,
}

/// All files of all databases.
pub type Databases = Vec<DatabaseFile>;

/// The regular file at a path, and the links on the way.
pub fn find(tree: &Tree<'_>, path: &str) -> Option<(NodeId, Vec<NodeId>)> {
    let walk = tree.walk(path.as_bytes(), true);
    let end = walk.end.filter(|&end| tree.node(end).kind == NodeKind::File)?;
    Some((end, walk.links))
}

/// Content of a file; none with a warning when it claims an absurd size.
///
/// # Errors
/// When the image cannot be read.
pub fn content(
    tree: &Tree<'_>,
    id: NodeId,
    inventory: &mut Inventory,
) -> Result<Option<Vec<u8>>, ImageError> {
    let size = tree.node(id).size;
    if size > LIMIT {
        let path = String::from_utf8_lossy(&tree.path(id)).into_owned();
        inventory.warnings.push(format!(
            "package database {path} has {size} bytes; it is not read, and its packages are unknown"
        ));
        return Ok(None);
    }
    read(tree, id).map(Some)
}

/// Content of a file.
///
/// # Errors
/// When the image cannot be read.
pub fn read(tree: &Tree<'_>, id: NodeId) -> Result<Vec<u8>, ImageError> {
    tree.read(id, LIMIT)
}

/// Lines of a text, each with its line feed.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = (Range<usize>, &[u8])> {
    let mut at = 0;
    bytes.split_inclusive(|&byte| byte == b'\n').map(move |line| {
        let range = at..at + line.len();
        at = range.end;
        (range, line.strip_suffix(b"\n").unwrap_or(line))
    })
}
