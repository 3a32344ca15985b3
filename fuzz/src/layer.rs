//! Layers: tar headers, PAX records, GNU extensions, whiteouts, hard links.
//!
//! ```text
//! length of the first layer, u32 little-endian | first layer | second layer
//! ```
//!
//! What is taken for an image is written again in part and read again: what
//! was kept must be there, as it was, and nothing else.

use std::collections::BTreeSet;
use std::io::Read as _;

use profiler::image::{self, NodeId, NodeKind, Subset, Tree, WriteOptions};

/// Takes in one input.
pub fn run(data: &[u8]) {
    let Some((length, rest)) = data.split_first_chunk::<4>() else { return };
    let length = u32::from_le_bytes(*length) as usize;
    let mut first = rest[..length.min(rest.len())].to_vec();
    let mut second = rest[first.len()..].to_vec();
    repair(&mut first);
    repair(&mut second);
    let mut layers: Vec<&[u8]> = vec![&first];
    if !second.is_empty() {
        layers.push(&second);
    }
    let Some(source) = crate::image::of_layers(&layers) else { return };
    let Ok(tree) = Tree::build(&source.layers) else { return };
    for squash in [false, true] {
        let subset = part(&tree, first.len());
        let options = WriteOptions { force: true, squash, ..WriteOptions::default() };
        let output = crate::image::archive("result.tar");
        // Names that no tar can tell, and the like, may be refused.
        if image::write(&source, &tree, &subset, &output, &options).is_err() {
            continue;
        }
        let result = image::open(&output).expect("what was written can be read");
        let result = Tree::build(&result.layers).expect("what was written is an image");
        compare(&tree, &subset, &result);
    }
}

/// A mutated header would always fail at its checksum: gives every header the
/// one it should have.
fn repair(tar: &mut [u8]) {
    let mut at = 0;
    while let Some(block) = tar.get_mut(at..at + 512) {
        if block.iter().all(|&byte| byte == 0) {
            return;
        }
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&block[124..136]).ok();
        let size = size.map(|text| text.trim_matches(['\0', ' ']));
        let size = size.and_then(|text| usize::from_str_radix(text, 8).ok()).unwrap_or(0);
        at = at.saturating_add(512).saturating_add(size.div_ceil(512).saturating_mul(512));
    }
}

/// Two thirds of the nodes, and another content for some of the files.
fn part(tree: &Tree<'_>, salt: usize) -> Subset {
    let mut subset = Subset::default();
    for id in tree.all() {
        if (id.0 as usize + salt) % 3 != 0 {
            subset.keep.insert(id);
        }
        if tree.node(id).kind == NodeKind::File && (id.0 as usize + salt) % 5 == 0 {
            subset.edits.insert(id, format!("edited {}", id.0).into_bytes());
        }
    }
    subset
}

fn compare(tree: &Tree<'_>, subset: &Subset, result: &Tree<'_>) {
    let mut kept: BTreeSet<NodeId> = subset.keep.clone();
    for &id in &subset.keep {
        let mut at = id;
        while at != tree.root() {
            at = tree.node(at).parent;
            kept.insert(at);
        }
    }
    let paths: BTreeSet<Vec<u8>> = kept.iter().map(|&id| tree.path(id)).collect();
    for id in result.all() {
        let path = result.path(id);
        let shown = String::from_utf8_lossy(&path).into_owned();
        assert!(path == b"/" || paths.contains(&path), "{shown} was not asked for");
    }
    for id in kept {
        let (path, node) = (tree.path(id), tree.node(id));
        let shown = String::from_utf8_lossy(&path).into_owned();
        let found = result.lookup(&path).unwrap_or_else(|| panic!("{shown} is lost"));
        let new = result.node(found);
        assert_eq!(new.kind, node.kind, "{shown} is something else");
        // Headers of a file's several names may contradict each other.
        if !node.origins.is_empty() && tree.hard_links(id).is_empty() {
            let of = |node: &image::Node| (node.mode, node.uid, node.gid);
            assert_eq!(of(new), of(node), "{shown} has another mode or owner");
        }
        if node.kind != NodeKind::File {
            continue;
        }
        let names = tree.hard_links(id);
        let edit = subset.edits.get(&id);
        let edit = edit.or_else(|| {
            let kept = names.iter().filter(|name| subset.keep.contains(name));
            kept.copied().find_map(|name| subset.edits.get(&name))
        });
        let old = match edit {
            // Of several the first in the group counts.
            Some(_) if names.len() > 1 => continue,
            Some(edit) => edit.clone(),
            None => content(tree, id),
        };
        assert_eq!(content(result, found), old, "{shown} has another content");
    }
}

fn content(tree: &Tree<'_>, id: NodeId) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(reader) = tree.open(id).expect("a file that opens") {
        reader.take(1 << 16).read_to_end(&mut bytes).expect("a file that reads");
    }
    bytes
}
