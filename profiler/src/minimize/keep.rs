//! The set that grows: nodes to keep, each with the reason it came in for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;

use crate::image::{NodeId, NodeKind, Tree};

/// What kind of reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A container touched it.
    Touched,
    /// A symlink on the way to something that was touched.
    Link,
    /// A directory above something that is kept.
    Parent,
    /// Interpreter of a kept script.
    Script,
    /// ELF interpreter or needed library of a kept program.
    Elf,
    /// The image's config names it.
    Config,
    /// Kept in every image: users, groups, the distribution's name.
    System,
    /// A place where other filesystems are mounted or files are made.
    Mount,
    /// The user asked for it.
    Include,
    /// Named in `.note.dlopen` of a kept file.
    Dlopen,
    /// A name service module of `nsswitch.conf`.
    Nss,
    /// How a character set conversion is found.
    Gconv,
    /// Locale data.
    Locale,
    /// Certificate authorities.
    Certs,
    /// A time zone.
    Zone,
    /// Of a Python distribution, package or module that is kept.
    Python,
    /// Of a Node.js package that is kept.
    Node,
    /// Of a Ruby gem that is kept.
    Ruby,
    /// Beside a Java virtual machine that is kept.
    Jvm,
    /// Beside a .NET assembly that is kept.
    Dotnet,
    /// Settings of a PHP extension that is kept.
    Php,
    /// Of a group of files that the user asked for; the detail names it.
    Group,
    /// A run on the small image missed it.
    Healed,
    /// The package manager's own account of what is installed, for scanners.
    Packages,
}

/// Why something is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What kind.
    pub rule: Rule,
    /// In words: kinds of access, the program that needs it, the pattern.
    pub detail: String,
}

/// What is kept, why, and what else there is to say.
#[derive(Debug, Default)]
pub struct Plan {
    /// Nodes kept, with the first reason each came in for.
    pub kept: BTreeMap<NodeId, Reason>,
    /// New contents of kept files; everything else is as in the image.
    pub edits: BTreeMap<NodeId, Vec<u8>>,
    /// Nodes that the user does not want, whatever needs them.
    pub excluded: BTreeSet<NodeId>,
    /// Recorded paths that are not in the result, and why.
    pub unshipped: BTreeMap<Vec<u8>, String>,
    /// What could not be resolved.
    pub warnings: Vec<String>,
}

/// A plan in the making.
pub struct Keeper<'a> {
    /// The rootfs.
    pub tree: &'a Tree<'a>,
    /// So far.
    pub plan: Plan,
    /// Kept nodes whose needs have not been looked at.
    pending: VecDeque<NodeId>,
}

impl<'a> Keeper<'a> {
    /// Nothing kept but the root directory.
    pub fn new(tree: &'a Tree<'a>) -> Self {
        let mut keeper = Self { tree, plan: Plan::default(), pending: VecDeque::new() };
        keeper.keep(tree.root(), Rule::Parent, "root directory");
        keeper
    }

    /// Keeps a node, and the directories above it.
    pub fn keep(&mut self, id: NodeId, rule: Rule, detail: &str) {
        if self.plan.kept.contains_key(&id) {
            return;
        }
        self.plan.kept.insert(id, Reason { rule, detail: detail.into() });
        self.pending.push_back(id);
        let mut at = id;
        while at != self.tree.root() {
            at = self.tree.node(at).parent;
            if self.plan.kept.contains_key(&at) {
                break;
            }
            let of = String::from_utf8_lossy(&self.tree.path(id)).into_owned();
            self.plan.kept.insert(at, Reason { rule: Rule::Parent, detail: of });
        }
    }

    /// Walks to a path as a program would, keeping every link on the way and
    /// what it leads to. Returns the end, if that exists.
    pub fn keep_walk(
        &mut self,
        path: &[u8],
        follow_last: bool,
        rule: Rule,
        detail: &str,
    ) -> Option<NodeId> {
        let walk = self.tree.walk(path, follow_last);
        let name = String::from_utf8_lossy(path).into_owned();
        for link in walk.links {
            self.keep(link, Rule::Link, &name);
        }
        match walk.end {
            Some(end) => self.keep(end, rule, detail),
            None => self.keep(walk.reached, Rule::Parent, &name),
        }
        walk.end
    }

    /// Like [`keep_walk`](Self::keep_walk), but nothing is kept for a path
    /// that leads nowhere; whether it leads somewhere.
    pub fn keep_present(&mut self, path: &[u8], rule: Rule, detail: &str) -> bool {
        let present = self.tree.walk(path, true).end.is_some();
        if present {
            self.keep_walk(path, true, rule, detail);
        }
        present
    }

    /// Keeps what a path leads to with everything below, and what links in
    /// there lead to; whether there is such a path.
    ///
    /// Of a directory that such a link leads to all is kept too, as of Java's
    /// settings in `/etc`; unless it lies so high (`/etc`, `/usr/share`) that
    /// the link cannot mean all of it.
    pub fn keep_below(&mut self, path: &[u8], rule: Rule, detail: &str) -> bool {
        const DEPTH_MIN: usize = 3;
        if !self.keep_present(path, rule, detail) {
            return false;
        }
        let mut pending: Vec<NodeId> = self.tree.walk(path, true).end.into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = pending.pop() {
            if !seen.insert(id) {
                continue;
            }
            self.keep(id, rule, detail);
            pending.extend(self.tree.children(id));
            if let NodeKind::Symlink(_) = self.tree.node(id).kind
                && let Some(end) = self.keep_walk(&self.tree.path(id), true, rule, detail)
                && self.tree.path(end).split(|&byte| byte == b'/').count() > DEPTH_MIN
            {
                pending.push(end);
            }
        }
        true
    }

    /// The next kept node whose needs are to be looked at.
    pub fn next(&mut self) -> Option<NodeId> {
        self.pending.pop_front()
    }

    /// Path of a node, for people.
    pub fn shown(&self, id: NodeId) -> String {
        String::from_utf8_lossy(&self.tree.path(id)).into_owned()
    }
}
