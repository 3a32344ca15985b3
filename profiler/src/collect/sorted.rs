//! The paths of a tree in the order of their bytes, without writing them out
//! first.

use super::tree::{NodeId, Nodes};

/// The nodes by parent and label.
pub struct Sorted<'a> {
    nodes: &'a Nodes,
    /// By parent, then by label.
    order: Vec<NodeId>,
    /// Bit set of the nodes that have children.
    parents: Vec<u64>,
}

impl<'a> Sorted<'a> {
    /// Sorts. Takes four bytes a node.
    pub fn new(nodes: &'a Nodes) -> Self {
        let mut order: Vec<NodeId> = (0..nodes.len() as NodeId).collect();
        order.sort_unstable_by(|&a, &b| {
            nodes.parent(a).cmp(&nodes.parent(b)).then_with(|| nodes.label(a).cmp(nodes.label(b)))
        });
        let mut parents = vec![0; nodes.len().div_ceil(64)];
        for node in 0..nodes.len() as NodeId {
            if let Some(word) = parents.get_mut(nodes.parent(node) as usize / 64) {
                *word |= 1 << (nodes.parent(node) % 64);
            }
        }
        Self { nodes, order, parents }
    }

    /// Every node below `root` in the order of the bytes of their paths.
    pub fn walk(&self, root: NodeId) -> Walk<'_> {
        let mut walk =
            Walk { sorted: self, directories: Vec::new(), waiting: Vec::new(), path: Vec::new() };
        walk.enter(root);
        walk
    }
}

/// A walk under way.
///
/// `/a-` stands between `/a` and `/a/b`: a node and what is below it are not
/// neighbours. So a node with children waits, after it is given out, until
/// the next sibling would come after its name and a slash. Those that wait at
/// one time are each the start of the next one's name, and the latest has its
/// turn first.
pub struct Walk<'a> {
    sorted: &'a Sorted<'a>,
    /// Directories from the root down to where the walk is.
    directories: Vec<Directory>,
    /// Nodes of those directories that are yet to be entered.
    waiting: Vec<NodeId>,
    path: Vec<u8>,
}

struct Directory {
    /// Place of the next child in the order.
    next: usize,
    /// Place after the last one.
    end: usize,
    /// Length of the directory's path.
    path: usize,
    /// How many were waiting when it was entered.
    waiting: usize,
}

impl Walk<'_> {
    /// Goes on to the next node.
    pub fn advance(&mut self) -> Option<NodeId> {
        loop {
            let directory = self.directories.last_mut()?;
            let next = (directory.next < directory.end).then(|| self.sorted.order[directory.next]);
            let nodes = self.sorted.nodes;
            let due = self.waiting[directory.waiting..].last().copied().filter(|&waiting| {
                next.is_none_or(|next| slash_before(nodes.label(waiting), nodes.label(next)))
            });
            let Some(node) = due.or(next) else {
                self.directories.pop();
                continue;
            };
            self.path.truncate(directory.path);
            self.path.push(b'/');
            self.path.extend_from_slice(nodes.label(node));
            if due.is_some() {
                self.waiting.pop();
                self.enter(node);
                continue;
            }
            directory.next += 1;
            if self.sorted.parents[node as usize / 64] & 1 << (node % 64) != 0 {
                self.waiting.push(node);
            }
            return Some(node);
        }
    }

    /// The path of the node that [`advance`](Self::advance) gave last.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    fn enter(&mut self, node: NodeId) {
        let Sorted { nodes, order, .. } = self.sorted;
        let next = order.partition_point(|&child| nodes.parent(child) < node);
        let end = next + order[next..].partition_point(|&child| nodes.parent(child) == node);
        let (path, waiting) = (self.path.len(), self.waiting.len());
        self.directories.push(Directory { next, end, path, waiting });
    }
}

/// Whether `label` and a slash sort before `other`.
fn slash_before(label: &[u8], other: &[u8]) -> bool {
    match other.strip_prefix(label) {
        // Another label has no slash.
        Some(rest) => rest.first().is_some_and(|&byte| byte > b'/'),
        None => label < other,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tree::Tree;
    use super::*;

    fn walked(tree: &Tree, root: NodeId) -> Vec<Vec<u8>> {
        let sorted = Sorted::new(tree.nodes());
        let mut walk = sorted.walk(root);
        let mut paths = Vec::new();
        while let Some(node) = walk.advance() {
            assert_eq!(walk.path(), tree.nodes().path(node));
            paths.push(walk.path().to_vec());
        }
        paths
    }

    #[test]
    fn the_order_is_that_of_bytes() {
        let mut tree = Tree::default();
        let root = tree.add_root().unwrap();
        let mut paths =
            vec!["/a", "/a/b", "/a!", "/a!/c", "/a!-", "/a!-/d", "/a0", "/", "//x", "/a/"];
        paths.push("/a/b/c");
        for path in &paths {
            tree.insert(root, path.as_bytes()).unwrap();
        }
        // Made on the way.
        paths.push("/");
        let expected: BTreeSet<_> = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        assert_eq!(walked(&tree, root), expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn random_paths_come_in_the_order_of_a_sorted_set() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut tree = Tree::default();
            let roots = [tree.add_root().unwrap(), tree.add_root().unwrap()];
            let mut expected = [BTreeSet::new(), BTreeSet::new()];
            for _ in 0..random.usize(..300) {
                let mut path = Vec::new();
                let which = random.usize(..2);
                for _ in 0..random.usize(1..6) {
                    path.push(b'/');
                    path.extend(
                        (0..random.usize(..4)).map(|_| random.choice(*b"a!0-\xff\n.").unwrap()),
                    );
                    expected[which].insert(path.clone());
                }
                tree.insert(roots[which], &path).unwrap();
            }
            for (root, expected) in roots.into_iter().zip(expected) {
                assert_eq!(walked(&tree, root), expected.into_iter().collect::<Vec<_>>(), "{seed}");
            }
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let mut tree = Tree::default();
        let root = tree.add_root().unwrap();
        tree.insert(root, "/a".repeat(100_000).as_bytes()).unwrap();
        let sorted = Sorted::new(tree.nodes());
        let mut walk = sorted.walk(root);
        assert_eq!(std::iter::from_fn(|| walk.advance()).count(), 100_000);
    }
}
