//! An original image and what a small one has of it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{FileKind, Findings, Gone, Miss, Note, Why};
use crate::image::tree::split;
use crate::image::{NodeId, NodeKind, Tree};
use crate::minimize::Plan;
use crate::packages::Inventory;
use crate::profile::{BytePath, Kind, KindSet, NameEntry, Profile};

/// Made once for two images, asked for any number of names.
#[derive(Debug)]
pub struct Comparison<'a> {
    pub(super) original: &'a Tree<'a>,
    /// None when there is a plan only.
    small: Option<&'a Tree<'a>>,
    /// What of the original the small image has.
    pub(super) present: HashSet<NodeId>,
    pub(super) inventory: &'a Inventory,
    /// Of the inventory's packages.
    labels: Vec<String>,
}

impl<'a> Comparison<'a> {
    /// Of two images. `inventory` is that of the original.
    pub fn new(original: &'a Tree<'a>, small: &'a Tree<'a>, inventory: &'a Inventory) -> Self {
        let is_dir = |tree: &Tree<'_>, id| tree.node(id).kind == NodeKind::Dir;
        let present = original.all().into_iter().filter(|&id| {
            let there = small.lookup(&original.path(id));
            there.is_some_and(|there| is_dir(small, there) == is_dir(original, id))
        });
        let (present, labels) = (present.collect(), inventory.labels());
        Self { original, small: Some(small), present, inventory, labels }
    }

    /// Of an image and what a plan keeps of it.
    pub fn planned(original: &'a Tree<'a>, plan: &Plan, inventory: &'a Inventory) -> Self {
        let present = plan.kept.keys().copied().collect();
        Self { original, small: None, present, inventory, labels: inventory.labels() }
    }

    /// What is missed by a lookup of a name that failed, made absolute, in
    /// these ways; none if it fails in the original as well, or if the small
    /// image has what it leads to. Who looked is for the caller to fill in.
    pub fn miss(&self, name: &[u8], kinds: KindSet) -> Option<Miss> {
        let follows: BTreeSet<bool> = kinds.iter().map(|kind| kind.follows()).collect();
        let mut gone = Vec::new();
        for follow in follows {
            let walk = self.original.walk(name, follow);
            let Some(end) = walk.end else { continue };
            if self.small.is_some_and(|small| small.walk(name, follow).end.is_some()) {
                continue;
            }
            let way = walk.links.into_iter().chain([end]);
            for id in way.filter(|id| !self.present.contains(id)) {
                if !gone.contains(&id) {
                    gone.push(id);
                }
            }
        }
        let files: Vec<Gone> = gone.into_iter().map(|id| self.gone(id)).collect();
        let name = name.into();
        (!files.is_empty()).then(|| Miss { name, files, kinds, ..Miss::default() })
    }

    /// What a run on the small image missed.
    pub fn of(&self, profile: &Profile) -> Findings {
        let mounts = self.mounts(profile.runs.iter().flat_map(|run| &run.mounts));
        let made = Made::by(profile);
        let mut misses = BTreeMap::new();
        let mut notes = BTreeSet::new();
        for entry in profile.missing.iter().filter(|entry| !mounts.hide(&entry.name)) {
            let Some(miss) = self.miss(entry.name.as_bytes(), entry.kinds) else {
                // Only an open can have been meant to make the file.
                if !entry.kinds.contains(Kind::Open) {
                    continue;
                }
                notes.extend(self.directory_of(entry).filter(|gone| !made.has(&gone.path)).map(
                    |gone| Note {
                        why: Why::MadeIn,
                        path: entry.name.clone(),
                        gone: vec![gone],
                        comm: entry.comm.clone(),
                    },
                ));
                continue;
            };
            if miss.files.iter().any(|gone| mounts.hide(&gone.path)) {
                continue;
            }
            if made.has(&entry.name) || miss.files.iter().any(|gone| made.has(&gone.path)) {
                let (path, comm) = (entry.name.clone(), entry.comm.clone());
                notes.insert(Note { why: Why::Remade, path, gone: miss.files, comm });
                continue;
            }
            let (comm, exe) = (entry.comm.clone(), entry.exe.clone());
            let miss = Miss { comm, exe, tests: tests(profile, entry), ..miss };
            misses.insert(entry.name.clone(), miss);
        }
        // Whether making or removing a name worked is not recorded. In a
        // directory that is not there it cannot have.
        for entry in profile.names.iter().filter(|entry| entry.kinds.contains(Kind::Modify)) {
            let Some(gone) = self.directory_of(entry) else { continue };
            if mounts.hide(&entry.name) || mounts.hide(&gone.path) || made.has(&gone.path) {
                continue;
            }
            let miss = Miss {
                name: gone.path.clone(),
                kinds: entry.kinds,
                comm: entry.comm.clone(),
                tests: tests(profile, entry),
                files: vec![gone],
                ..Miss::default()
            };
            misses.entry(miss.name.clone()).or_insert(miss);
        }
        notes.extend(self.listed(profile).filter(|note| !mounts.hide(&note.path)));
        Findings { misses: misses.into_values().collect(), notes: notes.into_iter().collect() }
    }

    /// The directory of a name, if the original has it, the small image has
    /// not, and the name itself is new in it.
    fn directory_of(&self, entry: &NameEntry) -> Option<Gone> {
        let name = entry.name.as_bytes();
        let end = name.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        let (directory, name) = split(&name[..end]);
        let id = self.original.walk(directory, true).end?;
        let is_new = self.original.child(id, name).is_none();
        let is_gone = self.original.node(id).kind == NodeKind::Dir && !self.present.contains(&id);
        (is_new && is_gone).then(|| self.gone(id))
    }

    /// Directories that were listed and have more entries in the original.
    fn listed(&self, profile: &Profile) -> impl Iterator<Item = Note> {
        let listed = profile.paths.iter().filter(|entry| entry.kinds.contains(Kind::List));
        listed.filter(|entry| !entry.runtime).filter_map(|entry| {
            let id = self.original.lookup(entry.path.as_bytes())?;
            let gone = self.original.children(id).filter(|id| !self.present.contains(id));
            let gone: Vec<Gone> = gone.map(|id| self.gone(id)).collect();
            let (path, comm) = (entry.path.clone(), entry.comm.clone());
            (!gone.is_empty()).then_some(Note { why: Why::Listed, path, gone, comm })
        })
    }

    /// Mount points as they are named, and where in the image they are.
    pub(crate) fn mounts<'b>(&self, named: impl Iterator<Item = &'b BytePath>) -> Mounts {
        let mut all: Vec<BytePath> = named.cloned().collect();
        for at in 0..all.len() {
            let place = self.original.walk(all[at].as_bytes(), true).end;
            all.extend(place.map(|id| self.original.path(id).into()));
        }
        Mounts(all)
    }

    pub(super) fn gone(&self, id: NodeId) -> Gone {
        let node = self.original.node(id);
        let kind = FileKind::of(&node.kind);
        Gone {
            path: self.original.path(id).into(),
            kind,
            bytes: if kind == FileKind::File { node.size } else { 0 },
            package: self.inventory.owner(id).map(|index| self.labels[index].clone()),
        }
    }
}

impl FileKind {
    fn of(kind: &NodeKind) -> Self {
        match kind {
            NodeKind::File => Self::File,
            NodeKind::Dir => Self::Directory,
            NodeKind::Symlink(_) => Self::Symlink,
            NodeKind::Char | NodeKind::Block => Self::Device,
            NodeKind::Fifo => Self::Fifo,
        }
    }
}

/// Places that the image does not show through.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Vec<BytePath>);

impl Mounts {
    /// Whether a path is below one.
    pub(crate) fn hide(&self, path: &BytePath) -> bool {
        self.0.iter().any(|mount| path.is_in(mount))
    }
}

/// What the run itself made, as far as can be told.
struct Made<'a> {
    /// Was there at some time of the run.
    found: BTreeSet<&'a BytePath>,
    /// Was meant to be made or removed.
    changed: BTreeSet<&'a BytePath>,
}

impl<'a> Made<'a> {
    fn by(profile: &'a Profile) -> Self {
        let changed = profile.names.iter().filter(|entry| entry.kinds.contains(Kind::Modify));
        Self {
            found: profile.paths.iter().map(|entry| &entry.path).collect(),
            changed: changed.map(|entry| &entry.name).collect(),
        }
    }

    /// Whether a file or directory was there, or was to be.
    fn has(&self, path: &BytePath) -> bool {
        let mut below = path.clone();
        below.0.push(b'/');
        self.found.contains(path)
            || self.changed.contains(path)
            || self
                .found
                .range::<&BytePath, _>(&below..)
                .next()
                .is_some_and(|next| next.is_in(path))
    }
}

/// The tests in which a name was spoken.
fn tests(profile: &Profile, entry: &NameEntry) -> BTreeSet<String> {
    profile.tests(&entry.mark_set()).map(str::to_owned).collect()
}
