//! Which entries of which layers make up the part that is kept.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::{Entry, EntryKind};
use super::header::{BLOCK, directory, padded, rename, resize};
use super::tree::Origin;
use super::{Addition, ImageError, Layer, NodeId, NodeKind, SourceImage, Subset, Tree};

/// What follows a header.
#[derive(Debug)]
pub enum Content {
    /// The content of this entry of the same layer.
    Entry(usize),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// What is written for one entry.
#[derive(Debug)]
pub struct Item<'a> {
    /// The layer it comes from.
    pub layer: &'a Layer,
    /// Index into the layer's entries.
    pub entry: usize,
    /// Header group; none: the entry's own, byte for byte.
    pub header: Option<Vec<u8>>,
    /// What follows.
    pub content: Option<Content>,
}

impl Item<'_> {
    /// Bytes in a tar.
    fn bytes(&self) -> u64 {
        let header = match &self.header {
            Some(header) => header.len() as u64,
            None => self.layer.entries[self.entry].header_len,
        };
        let content = match &self.content {
            Some(Content::Entry(entry)) => self.layer.entries[*entry].size,
            Some(Content::Bytes(bytes)) => bytes.len() as u64,
            None => 0,
        };
        header + padded(content)
    }
}

/// Where a layer of the result comes from: what history says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The source's layer of this index, filtered.
    Layer(usize),
    /// Made by this program: how, in words.
    Made(String),
}

/// One layer of the result.
#[derive(Debug)]
pub struct Selection<'a> {
    /// Where it comes from.
    pub source: Source,
    /// In an order that puts directories and first names before what needs
    /// them.
    pub items: Vec<Item<'a>>,
}

impl<'a> Selection<'a> {
    /// Bytes of the layer as a tar.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(Item::bytes).sum::<u64>() + 2 * BLOCK
    }

    /// The source's layer, if all of it is written as it stands.
    pub fn unchanged(&self) -> Option<&'a Layer> {
        let layer = self.items.first()?.layer;
        let as_it_stands = |item: &Item<'_>| {
            let own = match &item.content {
                None => true,
                Some(Content::Entry(entry)) => *entry == item.entry,
                Some(Content::Bytes(_)) => false,
            };
            own && item.header.is_none() && std::ptr::eq(item.layer, layer)
        };
        let whole = matches!(self.source, Source::Layer(_))
            && self.items.len() == layer.entries.len()
            && self.items.iter().all(as_it_stands);
        whole.then_some(layer)
    }

    /// All of a layer that is put on top.
    pub fn whole(addition: &'a Addition) -> Self {
        let layer = &addition.layer;
        let item =
            |entry| Item { layer, entry, header: None, content: Some(Content::Entry(entry)) };
        Self {
            source: Source::Made(addition.created_by.clone()),
            items: (0..layer.entries.len()).map(item).collect(),
        }
    }
}

/// The items of every layer by the entry whose place they take.
type Items<'a> = Vec<BTreeMap<usize, Item<'a>>>;

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
    subset: &Subset,
    squash: bool,
) -> Result<Vec<Selection<'a>>, ImageError> {
    let mut all = subset.keep.clone();
    for &id in &subset.keep {
        let mut at = id;
        while at != tree.root() {
            at = tree.node(at).parent;
            all.insert(at);
        }
    }
    let mut layers: Items<'_> = image.layers.iter().map(|_| BTreeMap::new()).collect();
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
                let edit = names.iter().find_map(|name| subset.edits.get(name));
                select_file(image, tree, &names, edit, &mut layers)?;
            }
            continue;
        }
        // One that no layer describes comes with what is in it; by itself it
        // gets an entry as engines would make it.
        if node.origins.is_empty() && !tree.children(id).any(|child| all.contains(&child)) {
            let path = tree.path(id);
            let path = path.strip_prefix(b"/").unwrap_or(&path);
            if let Some(place) = first_below(image, path) {
                let layer = &image.layers[place.layer];
                let header = Some(directory(path));
                let item = Item { layer, entry: place.entry, header, content: None };
                layers[place.layer].insert(place.entry, item);
            }
            continue;
        }
        let repeated = |origin: &Origin| Item {
            layer: &image.layers[origin.layer],
            entry: origin.entry,
            header: None,
            content: None,
        };
        match (squash, node.origins.first(), node.origins.last()) {
            // One entry, as the topmost layer has it, before all that is in it.
            (true, Some(first), Some(last)) => {
                layers[first.layer].insert(first.entry, repeated(last));
            }
            _ => {
                for origin in &node.origins {
                    layers[origin.layer].insert(origin.entry, repeated(origin));
                }
            }
        }
    }
    if squash {
        let items: Vec<Item<'_>> = layers.into_iter().flat_map(BTreeMap::into_values).collect();
        let source = Source::Made("profiler minimize --squash".into());
        return Ok(if items.is_empty() { Vec::new() } else { vec![Selection { source, items }] });
    }
    Ok(layers
        .into_iter()
        .enumerate()
        .filter(|(_, items)| !items.is_empty())
        .map(|(index, items)| Selection {
            source: Source::Layer(index),
            items: items.into_values().collect(),
        })
        .collect())
}

/// Picks the entries of one file, link or device under the names that are
/// kept. `edit` is its new content, if it gets one.
fn select_file<'a>(
    image: &'a SourceImage,
    tree: &Tree<'_>,
    names: &[NodeId],
    edit: Option<&Vec<u8>>,
    layers: &mut Items<'a>,
) -> Result<(), ImageError> {
    let mut origins: Vec<Origin> =
        names.iter().filter_map(|&name| tree.node(name).origins.last().copied()).collect();
    origins.sort_unstable();
    let Some(content) = tree.node(names[0]).content else { return Ok(()) };
    let layer = &image.layers[content.layer];
    let group = || {
        let entry = &layer.entries[content.entry];
        let group = layer.header(entry).map_err(ImageError::io("read", "a layer's headers"))?;
        Ok::<_, ImageError>(match edit {
            Some(bytes) => resize(&group, bytes.len() as u64),
            None => group,
        })
    };
    let written = || match edit {
        Some(bytes) => Content::Bytes(bytes.clone()),
        None => Content::Entry(content.entry),
    };
    let path_of = |origin: &Origin| &image.layers[origin.layer].entries[origin.entry].path;
    if origins.contains(&content) {
        let kept: BTreeSet<&Vec<u8>> = origins.iter().map(path_of).collect();
        for &origin in &origins {
            let of_content = origin == content;
            let header = match &image.layers[origin.layer].entries[origin.entry].kind {
                _ if of_content => edit.map(|_| group()).transpose()?,
                // It names another link, which is dropped.
                EntryKind::Hardlink(target) if !kept.contains(target) => {
                    Some(rename(&group()?, path_of(&origin), Some(path_of(&content))))
                }
                _ => None,
            };
            let item = Item {
                layer: &image.layers[origin.layer],
                entry: origin.entry,
                header,
                content: of_content.then(written),
            };
            layers[origin.layer].insert(origin.entry, item);
        }
        return Ok(());
    }
    // The name that carries the content is dropped: the first that is left
    // takes it over, and the others become links to that one. Content is
    // copied from where it lies, which is in the same layer unless an upper
    // layer links into a lower one.
    let group = group()?;
    let mut heir: Option<&Vec<u8>> = None;
    for origin in &origins {
        let name = path_of(origin);
        let header = Some(rename(&group, name, heir.map(Vec::as_slice)));
        let place = match heir {
            None if origin.layer != content.layer => &content,
            _ => origin,
        };
        let item = Item {
            layer: &image.layers[place.layer],
            entry: place.entry,
            header,
            content: heir.is_none().then(written),
        };
        layers[place.layer].insert(place.entry, item);
        heir.get_or_insert(name);
    }
    Ok(())
}

/// Where the first entry below a directory stands; none if no layer ever had
/// one.
fn first_below(image: &SourceImage, path: &[u8]) -> Option<Origin> {
    let inside =
        |entry: &Entry| entry.path.strip_prefix(path).is_some_and(|rest| rest.starts_with(b"/"));
    image.layers.iter().enumerate().find_map(|(layer, read)| {
        read.entries.iter().position(inside).map(|entry| Origin { layer, entry })
    })
}
