//! Which entries of which layers make up the part that is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::header::{BLOCK, padded, rename};
use super::tree::Origin;
use super::{ImageError, Layer, NodeId, NodeKind, SourceImage, Tree};

/// What is written for one entry.
#[derive(Debug)]
pub struct Item {
    /// Index into the layer's entries.
    pub entry: usize,
    /// Header group; none: the entry's own, byte for byte.
    pub header: Option<Vec<u8>>,
    /// The entry of the same layer whose content follows.
    pub content: Option<usize>,
}

/// One layer of the result.
#[derive(Debug)]
pub struct Selection<'a> {
    /// Where it comes from.
    pub layer: &'a Layer,
    /// The source's index.
    pub index: usize,
    /// In the source's order.
    pub items: Vec<Item>,
}

impl Selection<'_> {
    /// Bytes of the layer as a tar.
    pub fn bytes(&self) -> u64 {
        let of = |item: &Item| {
            let header = match &item.header {
                Some(header) => header.len() as u64,
                None => self.layer.entries[item.entry].header_len,
            };
            header + item.content.map_or(0, |entry| padded(self.layer.entries[entry].size))
        };
        self.items.iter().map(of).sum::<u64>() + 2 * BLOCK
    }
}

/// Picks the entries; layers that keep nothing are left out.
///
/// No whiteout is needed: of every path only the visible version is written,
/// so there is nothing below to hide.
///
/// # Errors
/// When a header to be rewritten cannot be read.
pub fn select<'a>(
    image: &'a SourceImage,
    tree: &Tree<'_>,
    keep: &BTreeSet<NodeId>,
) -> Result<Vec<Selection<'a>>, ImageError> {
    let mut all = keep.clone();
    for &id in keep {
        let mut at = id;
        while at != tree.root() {
            at = tree.node(at).parent;
            all.insert(at);
        }
    }
    let mut layers: Vec<BTreeMap<usize, Item>> =
        image.layers.iter().map(|_| BTreeMap::new()).collect();
    let mut done = BTreeSet::new();
    for &id in &all {
        let node = tree.node(id);
        if node.kind != NodeKind::Dir {
            if done.insert(id) {
                let mut names: Vec<_> = tree.hard_links(id);
                if names.is_empty() {
                    names.push(id);
                }
                names.retain(|name| all.contains(name));
                done.extend(names.iter().copied());
                select_file(image, tree, &names, &mut layers)?;
            }
            continue;
        }
        for origin in &node.origins {
            let item = Item { entry: origin.entry, header: None, content: None };
            layers[origin.layer].insert(origin.entry, item);
        }
    }
    Ok(image
        .layers
        .iter()
        .zip(layers)
        .enumerate()
        .filter(|(_, (_, items))| !items.is_empty())
        .map(|(index, (layer, items))| Selection {
            layer,
            index,
            items: items.into_values().collect(),
        })
        .collect())
}

/// Picks the entries of one file, link or device under the names that are
/// kept.
fn select_file(
    image: &SourceImage,
    tree: &Tree<'_>,
    names: &[NodeId],
    layers: &mut [BTreeMap<usize, Item>],
) -> Result<(), ImageError> {
    let mut origins: Vec<Origin> =
        names.iter().filter_map(|&name| tree.node(name).origins.last().copied()).collect();
    origins.sort_unstable();
    let Some(content) = tree.node(names[0]).content else { return Ok(()) };
    let layer = &image.layers[content.layer];
    if origins.contains(&content) {
        for origin in origins {
            let of_content = origin == content;
            let item = Item {
                entry: origin.entry,
                header: None,
                content: of_content.then_some(origin.entry),
            };
            layers[origin.layer].insert(origin.entry, item);
        }
        return Ok(());
    }
    // The name that carries the content is dropped: the first that is left
    // takes it over, and the others become links to that one. A link may only
    // name an entry of the layers up to its own.
    let group = layer
        .header(&layer.entries[content.entry])
        .map_err(ImageError::io("read", "a layer's headers"))?;
    let mut heir: Option<Vec<u8>> = None;
    for origin in origins {
        let name = &image.layers[origin.layer].entries[origin.entry].path;
        let header = rename(&group, name, heir.as_deref());
        // Content is copied from where it lies, which is in the same layer
        // unless an upper layer links into a lower one.
        let entry = if origin.layer == content.layer { origin.entry } else { content.entry };
        let item =
            Item { entry, header: Some(header), content: heir.is_none().then_some(content.entry) };
        layers[content.layer].insert(entry, item);
        heir.get_or_insert_with(|| name.clone());
    }
    Ok(())
}
