//! Names as a tree of their components: a million files of one directory
//! hold that directory's name once.

use std::hash::{BuildHasher as _, RandomState};

use super::bytes::{Bytes, Handle};
use super::chunks::Chunks;
use super::index::Index;

/// A node's number. Parents have lower numbers than their children.
pub type NodeId = u32;

/// No node.
pub const NONE: NodeId = NodeId::MAX;

#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// [`NONE`] for a root.
    pub parent: NodeId,
    /// The component. Handles grow with node numbers.
    label: Handle,
}

/// The nodes without the means to find one by its name.
#[derive(Debug, Default)]
pub struct Nodes {
    nodes: Chunks<Node>,
    labels: Bytes,
}

impl Nodes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node above; [`NONE`] for a root.
    pub fn parent(&self, node: NodeId) -> NodeId {
        self.nodes.get(node).parent
    }

    /// A node's own component.
    pub fn label(&self, node: NodeId) -> &[u8] {
        self.labels.get(self.nodes.get(node).label)
    }

    /// The whole path, from the root on.
    pub fn path(&self, node: NodeId) -> Vec<u8> {
        let mut line = Vec::new();
        let mut at = node;
        while self.parent(at) != NONE {
            line.push(at);
            at = self.parent(at);
        }
        let mut path = Vec::new();
        for &node in line.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(self.label(node));
        }
        path
    }

    /// Calls `take` with every node's parent and label, in order, and frees
    /// the nodes on the way.
    pub fn consume(self, mut take: impl FnMut(NodeId, NodeId, &[u8])) {
        let mut labels = self.labels;
        for (id, node) in (0..).zip(self.nodes) {
            labels.release_before(node.label);
            take(id, node.parent, labels.get(node.label));
        }
    }
}

/// A forest that grows.
#[derive(Debug, Default)]
pub struct Tree {
    nodes: Nodes,
    index: Index<NodeId>,
    /// Keyed at random: names come from programs that may mean harm.
    state: RandomState,
}

impl Tree {
    /// The nodes.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The nodes alone; the index is freed.
    pub fn into_nodes(self) -> Nodes {
        self.nodes
    }

    /// A new root. None when there is no room.
    pub fn add_root(&mut self) -> Option<NodeId> {
        self.add(NONE, b"")
    }

    fn add(&mut self, parent: NodeId, label: &[u8]) -> Option<NodeId> {
        let id = NodeId::try_from(self.nodes.len()).ok().filter(|&id| id != NONE)?;
        let label = self.nodes.labels.push(label)?;
        self.nodes.nodes.push(Node { parent, label });
        Some(id)
    }

    /// The child of that name.
    pub fn child(&self, parent: NodeId, label: &[u8]) -> Option<NodeId> {
        self.index.find(self.state.hash_one((parent, label)), |&id| {
            self.nodes.parent(id) == parent && self.nodes.label(id) == label
        })
    }

    /// The child of that name, made if it is not there. None when there is no
    /// room for it: node numbers or label bytes are used up, or the label is
    /// longer than any name a file can have.
    pub fn grow(&mut self, parent: NodeId, label: &[u8]) -> Option<NodeId> {
        if let Some(id) = self.child(parent, label) {
            return Some(id);
        }
        let id = self.add(parent, label)?;
        let Self { nodes, index, state } = self;
        index.insert(id, |&id| state.hash_one((nodes.parent(id), nodes.label(id))));
        Some(id)
    }

    /// The node of a path below `root`.
    pub fn find(&self, root: NodeId, path: &[u8]) -> Option<NodeId> {
        components(path).try_fold(root, |node, label| self.child(node, label))
    }

    /// The node of a path below `root`, made if it is not there. None as for
    /// [`grow`](Self::grow).
    pub fn insert(&mut self, root: NodeId, path: &[u8]) -> Option<NodeId> {
        components(path).try_fold(root, |node, label| self.grow(node, label))
    }
}

/// Components of an absolute path. They may be empty: `//` and a slash at the
/// end are part of a name as it was spoken, and `/` is one empty component.
fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.strip_prefix(b"/").unwrap_or(path).split(|&byte| byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_a_node_of_its_own() {
        let mut tree = Tree::default();
        let root = tree.add_root().unwrap();
        let other = tree.add_root().unwrap();
        let paths =
            [&b"/"[..], b"//", b"/a", b"/a/", b"/a//b", b"/a/b", b"/a/../b", b"/\xff\n/\xc3"];
        let ids = paths.map(|path| tree.insert(root, path).unwrap());
        for (path, id) in paths.iter().zip(ids) {
            assert_eq!(tree.nodes().path(id), *path);
            assert_eq!(tree.find(root, path), Some(id));
            assert_eq!(tree.insert(root, path), Some(id));
            assert_eq!(tree.find(other, path), None);
        }
        assert!(ids.iter().collect::<std::collections::BTreeSet<_>>().len() == ids.len());
        assert_eq!(tree.find(root, b"/b"), None);
    }

    #[test]
    fn a_label_without_room_is_refused() {
        let mut tree = Tree::default();
        let root = tree.add_root().unwrap();
        assert_eq!(tree.insert(root, &[b"/a/", &[b'x'; 1 << 16][..]].concat()), None);
        assert!(tree.insert(root, &[b"/a/", &[b'x'; 4095][..]].concat()).is_some());
    }

    #[test]
    fn nodes_are_consumed_in_order() {
        let mut tree = Tree::default();
        let root = tree.add_root().unwrap();
        for number in 0..20_000 {
            tree.insert(root, format!("/directory-{}/{number}", number % 100).as_bytes()).unwrap();
        }
        let mut copy = Tree::default();
        tree.into_nodes().consume(|id, parent, label| {
            let new = if parent == NONE { copy.add_root() } else { copy.grow(parent, label) };
            assert_eq!(new, Some(id));
        });
        assert_eq!(copy.nodes().path(20_100), b"/directory-99/19999");
    }
}
