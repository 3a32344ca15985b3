//! Small files of the image, read whole.

use crate::image::{ImageError, NodeId, NodeKind, Tree};

/// More than any configuration or list holds; the rest is not looked at.
const SIZE_MAX: u64 = 16 << 20;

/// A node's content; empty for what is no regular file.
///
/// # Errors
/// When it cannot be read.
pub fn read(tree: &Tree<'_>, id: NodeId) -> Result<Vec<u8>, ImageError> {
    tree.read(id, SIZE_MAX)
}

/// What a path leads to, as text; empty where there is no such file, and where
/// it cannot be read: writing the image will say so, if the file is kept.
pub fn read_lossy(tree: &Tree<'_>, path: &[u8]) -> String {
    let Some(id) = tree.walk(path, true).end else { return String::new() };
    if tree.node(id).kind != NodeKind::File {
        return String::new();
    }
    read(tree, id).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}
