//! The rootfs that an image's layers stack up to.
//!
//! Layers are applied in order: entries replace what is there, `.wh.NAME`
//! removes a name of the layers below, `.wh..wh..opq` all of a directory's.
//! Source: OCI image specification, "layer.md".

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::entry::EntryKind;
use super::{ImageError, Layer};

/// A node's number in its tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub u32);

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// Regular file.
    File,
    /// Directory.
    Dir,
    /// Symbolic link with its target.
    Symlink(Vec<u8>),
    /// Character device.
    Char,
    /// Block device.
    Block,
    /// FIFO.
    Fifo,
}

/// Which entry of which layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Index into the image's layers.
    pub layer: usize,
    /// Index into the layer's entries.
    pub entry: usize,
}

/// A file, directory, link or device of the rootfs.
#[derive(Debug, Clone)]
pub struct Node {
    /// Last component of its path; empty for the root.
    pub name: Vec<u8>,
    /// The directory it is in; the root is its own.
    pub parent: NodeId,
    /// What it is.
    pub kind: NodeKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes of content, holes of sparse files counted.
    pub size: u64,
    /// The entries that make it, lowest layer first: several for a directory
    /// that layers repeat, none for one that no layer mentions.
    pub origins: Vec<Origin>,
    /// The entry that says what it is and holds its content: for a hard link
    /// the first name's. None for directories.
    pub content: Option<Origin>,
    /// Other names of the same file; index into the tree's groups.
    group: Option<usize>,
    alive: bool,
    children: BTreeMap<Vec<u8>, NodeId>,
}

impl Node {
    /// A directory that no layer describes.
    fn directory(parent: NodeId, name: &[u8]) -> Self {
        Self {
            name: name.to_vec(),
            parent,
            kind: NodeKind::Dir,
            mode: 0o755,
            uid: 0,
            gid: 0,
            size: 0,
            origins: Vec::new(),
            content: None,
            group: None,
            alive: true,
            children: BTreeMap::new(),
        }
    }
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// Every symlink followed, in order.
    pub links: Vec<NodeId>,
    /// Where the walk ended, if that exists.
    pub end: Option<NodeId>,
    /// The deepest existing directory reached.
    pub reached: NodeId,
}

/// A reader that can seek.
pub trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

/// Links followed before a walk is given up, as the kernel does.
const LINKS_MAX: usize = 40;

/// See the module.
#[derive(Debug)]
pub struct Tree<'a> {
    layers: &'a [Layer],
    nodes: Vec<Node>,
    groups: Vec<Vec<NodeId>>,
}

impl<'a> Tree<'a> {
    /// Applies the layers.
    ///
    /// # Errors
    /// [`ImageError::Damaged`] when a hard link leads nowhere.
    pub fn build(layers: &'a [Layer]) -> Result<Self, ImageError> {
        let root = Node::directory(NodeId(0), b"");
        let mut tree = Self { layers, nodes: vec![root], groups: Vec::new() };
        for layer in 0..layers.len() {
            tree.apply(layer)?;
        }
        Ok(tree)
    }

    fn apply(&mut self, layer: usize) -> Result<(), ImageError> {
        let layers = self.layers;
        let entries = &layers[layer].entries;
        // Whiteouts first: they concern the layers below, wherever in this
        // one they stand.
        for entry in entries {
            let (directory, name) = split(&entry.path);
            let Some(hidden) = name.strip_prefix(b".wh.") else { continue };
            let Some(directory) = self.lookup(&absolute(directory)) else { continue };
            if hidden == b".wh..opq" {
                let children: Vec<_> = self.node(directory).children.values().copied().collect();
                for child in children {
                    self.detach(child);
                }
            } else if !hidden.starts_with(b".wh.")
                && let Some(&child) = self.node(directory).children.get(hidden)
            {
                self.detach(child);
            }
        }
        for (index, entry) in entries.iter().enumerate() {
            let (directory, name) = split(&entry.path);
            if name.starts_with(b".wh.") {
                continue;
            }
            let origin = Origin { layer, entry: index };
            let parent = self.make_directories(layer, directory);
            let (kind, group, content) = match &entry.kind {
                EntryKind::File => (NodeKind::File, None, Some(origin)),
                EntryKind::Dir => (NodeKind::Dir, None, None),
                EntryKind::Symlink(target) => {
                    (NodeKind::Symlink(target.clone()), None, Some(origin))
                }
                EntryKind::Char => (NodeKind::Char, None, Some(origin)),
                EntryKind::Block => (NodeKind::Block, None, Some(origin)),
                EntryKind::Fifo => (NodeKind::Fifo, None, Some(origin)),
                EntryKind::Hardlink(target) => {
                    let Some(first) = self.lookup(&absolute(target)) else {
                        return Err(ImageError::damaged(
                            format!("layer {}", layers[layer].diff_id),
                            format!(
                                "hard link {} leads to {}, which is not there",
                                String::from_utf8_lossy(&entry.path),
                                String::from_utf8_lossy(target)
                            ),
                        ));
                    };
                    let group = self.group_of(first);
                    let node = self.node(first);
                    (node.kind.clone(), Some(group), node.content)
                }
            };
            let linked = content.filter(|_| group.is_some());
            let size = linked.map_or(entry.len(), |c| layers[c.layer].entries[c.entry].len());
            if name.is_empty() {
                // The root directory's own entry; it cannot be anything else.
                if kind != NodeKind::Dir {
                    continue;
                }
                let root = &mut self.nodes[0];
                (root.mode, root.uid, root.gid) = (entry.mode, entry.uid, entry.gid);
                root.origins.push(origin);
                continue;
            }
            let old = self.node(parent).children.get(name).copied();
            if let Some(old) = old {
                if kind == NodeKind::Dir && self.node(old).kind == NodeKind::Dir {
                    let node = &mut self.nodes[old.0 as usize];
                    (node.mode, node.uid, node.gid) = (entry.mode, entry.uid, entry.gid);
                    node.origins.push(origin);
                    continue;
                }
                self.detach(old);
            }
            let id = self.add(Node {
                name: name.to_vec(),
                parent,
                kind,
                mode: entry.mode,
                uid: entry.uid,
                gid: entry.gid,
                size,
                origins: vec![origin],
                content,
                group,
                alive: true,
                children: BTreeMap::new(),
            });
            if let Some(group) = group {
                self.groups[group].push(id);
            }
        }
        Ok(())
    }

    fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes[node.parent.0 as usize].children.insert(node.name.clone(), id);
        self.nodes.push(node);
        id
    }

    fn detach(&mut self, id: NodeId) {
        let (parent, name) = (self.node(id).parent, self.node(id).name.clone());
        self.nodes[parent.0 as usize].children.remove(&name);
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            let node = &mut self.nodes[id.0 as usize];
            node.alive = false;
            pending.extend(std::mem::take(&mut node.children).into_values());
        }
    }

    /// The hard link group of a node, made if need be.
    fn group_of(&mut self, id: NodeId) -> usize {
        if let Some(group) = self.node(id).group {
            return group;
        }
        let group = self.groups.len();
        self.groups.push(vec![id]);
        self.nodes[id.0 as usize].group = Some(group);
        group
    }

    /// The directory of this path; made where layers leave it out. A symlink
    /// of the same layer is followed, one of a layer below is hidden: engines
    /// unpack each layer by itself.
    fn make_directories(&mut self, layer: usize, path: &[u8]) -> NodeId {
        let mut at = self.root();
        for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            let child = self.node(at).children.get(part).copied();
            at = match child {
                Some(child) => match &self.node(child).kind {
                    NodeKind::Dir => child,
                    NodeKind::Symlink(_)
                        if self.node(child).origins.last().map(|o| o.layer) == Some(layer) =>
                    {
                        match self.walk_from(at, part, true).end {
                            Some(end) if self.node(end).kind == NodeKind::Dir => end,
                            _ => self.replace_by_directory(child),
                        }
                    }
                    _ => self.replace_by_directory(child),
                },
                None => self.implicit_directory(at, part),
            };
        }
        at
    }

    fn replace_by_directory(&mut self, id: NodeId) -> NodeId {
        let (parent, name) = (self.node(id).parent, self.node(id).name.clone());
        self.detach(id);
        self.implicit_directory(parent, &name)
    }

    fn implicit_directory(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
        self.add(Node::directory(parent, name))
    }

    /// The root directory.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.iter().filter(|node| node.alive).count()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.nodes[0].children.is_empty()
    }

    /// A node by its number.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// Absolute path of a node.
    pub fn path(&self, id: NodeId) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = id;
        while at != self.root() {
            names.push(self.node(at).name.as_slice());
            at = self.node(at).parent;
        }
        if names.is_empty() {
            return b"/".to_vec();
        }
        let mut path = Vec::new();
        for name in names.into_iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        path
    }

    /// The node at a path; no symlink is followed.
    pub fn lookup(&self, path: &[u8]) -> Option<NodeId> {
        let mut at = self.root();
        for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            at = *self.node(at).children.get(part)?;
        }
        Some(at)
    }

    /// Follows a path from the root as the kernel would inside the rootfs.
    pub fn walk(&self, path: &[u8], follow_last: bool) -> Walk {
        self.walk_from(self.root(), path, follow_last)
    }

    /// Follows a path from a directory; an absolute one from the root.
    pub fn walk_from(&self, base: NodeId, path: &[u8], follow_last: bool) -> Walk {
        let mut walk = Walk { links: Vec::new(), end: None, reached: base };
        let mut at = base;
        // Components still to go, last first.
        let mut rest: Vec<Vec<u8>> = Vec::new();
        let push = |rest: &mut Vec<Vec<u8>>, path: &[u8]| {
            rest.extend(path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
        };
        if path.starts_with(b"/") {
            at = self.root();
        }
        // A trailing slash asks for the directory behind a link.
        let follow_last = follow_last || path.ends_with(b"/");
        push(&mut rest, path);
        walk.reached = at;
        while let Some(part) = rest.pop() {
            if self.node(at).kind != NodeKind::Dir {
                // More to go below something that is no directory; only
                // empty parts (a trailing slash) may remain.
                if part.is_empty() {
                    continue;
                }
                return walk;
            }
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at = self.node(at).parent;
                    walk.reached = at;
                    continue;
                }
                _ => {}
            }
            let Some(&child) = self.node(at).children.get(&part) else { return walk };
            let last = rest.iter().all(|part| part.is_empty());
            match &self.node(child).kind {
                NodeKind::Symlink(target) if !last || follow_last => {
                    if walk.links.len() == LINKS_MAX {
                        return walk;
                    }
                    walk.links.push(child);
                    if target.starts_with(b"/") {
                        at = self.root();
                        walk.reached = at;
                    }
                    push(&mut rest, target);
                }
                kind => {
                    at = child;
                    if *kind == NodeKind::Dir {
                        walk.reached = child;
                    }
                }
            }
        }
        walk.end = Some(at);
        walk
    }

    /// What is in a directory, by name.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.node(id).children.values().copied()
    }

    /// The child of that name.
    pub fn child(&self, id: NodeId, name: &[u8]) -> Option<NodeId> {
        self.node(id).children.get(name).copied()
    }

    /// Every node, directories before what is in them, by name.
    pub fn all(&self) -> Vec<NodeId> {
        let mut all = Vec::with_capacity(self.nodes.len());
        let mut pending = vec![self.root()];
        while let Some(id) = pending.pop() {
            all.push(id);
            pending.extend(self.node(id).children.values().rev());
        }
        all
    }

    /// All names of a file that has several; empty for the others.
    pub fn hard_links(&self, id: NodeId) -> Vec<NodeId> {
        let group = self.node(id).group.map(|group| self.groups[group].as_slice());
        group.unwrap_or_default().iter().copied().filter(|&id| self.node(id).alive).collect()
    }

    /// The first `limit` bytes of a node's content; empty for what is no
    /// regular file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, id: NodeId, limit: u64) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        if let Some(reader) = self.open(id)? {
            let path = String::from_utf8_lossy(&self.path(id)).into_owned();
            let failed = ImageError::io("read", path);
            reader.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        }
        Ok(bytes)
    }

    /// A regular file's content; none for everything else.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(&self, id: NodeId) -> Result<Option<Box<dyn ReadSeek>>, ImageError> {
        let node = self.node(id);
        let Some(content) = node.content.filter(|_| node.kind == NodeKind::File) else {
            return Ok(None);
        };
        let layer = &self.layers[content.layer];
        layer.expanded(&layer.entries[content.entry]).map(Some)
    }
}

/// Directory and last component of a path; of one component, nothing and that.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn absolute(path: &[u8]) -> Vec<u8> {
    [b"/", path].concat()
}
