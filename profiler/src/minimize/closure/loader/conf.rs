//! `/etc/ld.so.conf`: the directories that `ldconfig` looks through.

use globset::GlobBuilder;

use super::super::text::read;
use crate::image::{ImageError, NodeKind, Tree};

/// Files that include each other are not followed deeper.
const DEPTH_MAX: usize = 8;

/// Adds the directories that a file and those it includes name.
///
/// # Errors
/// When one cannot be read.
pub fn directories(
    tree: &Tree<'_>,
    path: &[u8],
    found: &mut Vec<Vec<u8>>,
    depth: usize,
) -> Result<(), ImageError> {
    let Some(id) = tree.walk(path, true).end else { return Ok(()) };
    if depth > DEPTH_MAX || tree.node(id).kind != NodeKind::File {
        return Ok(());
    }
    for line in read(tree, id)?.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        let include = line
            .strip_prefix(b"include")
            .filter(|rest| rest.starts_with(b" ") || rest.starts_with(b"\t"));
        if let Some(patterns) = include {
            for pattern in patterns.split(u8::is_ascii_whitespace).filter(|p| !p.is_empty()) {
                for included in glob(tree, path, pattern) {
                    directories(tree, &included, found, depth + 1)?;
                }
            }
        } else if line.starts_with(b"/") {
            // `DIRECTORY=TYPE` is an old form.
            let directory = line.split(|&byte| byte == b'=').next().unwrap_or(line);
            found.push(directory.trim_ascii().to_vec());
        }
    }
    Ok(())
}

/// Paths that fit a pattern whose last component alone is a glob; a relative
/// one is meant from the file that names it.
fn glob(tree: &Tree<'_>, from: &[u8], pattern: &[u8]) -> Vec<Vec<u8>> {
    let absolute = if pattern.starts_with(b"/") {
        pattern.to_vec()
    } else {
        let at = from.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        [&from[..at], b"/", pattern].concat()
    };
    let at = absolute.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    let (directory, last) = (&absolute[..at], &absolute[at + 1..]);
    let Ok(last) = std::str::from_utf8(last) else { return Vec::new() };
    let Ok(glob) = GlobBuilder::new(last).build() else { return Vec::new() };
    let glob = glob.compile_matcher();
    let Some(parent) = tree.walk(directory, true).end else { return Vec::new() };
    tree.children(parent)
        .filter(|&id| glob.is_match(String::from_utf8_lossy(&tree.node(id).name).as_ref()))
        .map(|id| tree.path(id))
        .collect()
}
