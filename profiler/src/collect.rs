//! From events to profiles: touches are gathered per container while they
//! come in, and folded into one profile an image at the end.
//!
//! A container is known by its control group, which the kernel side names
//! before the group's first touch; a touch from a group that tells nothing
//! (a nested one, or an engine's helper in the same rootfs) is known by the
//! rootfs it falls on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt as _;

use crate::capture::{Event, Touch};
use crate::container::oci::unknown_id;
use crate::container::{ContainerInfo, Engine, Group, identify};
use crate::profile::{BytePath, ImageId, Kind, NameEntry, PathEntry, Profile, Run};

/// A container as the control group's name tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerKey {
    /// The engine whose naming scheme it is.
    pub engine: Engine,
    /// Full ID.
    pub id: String,
}

/// Everything seen of one container.
#[derive(Debug, Default)]
struct Table {
    paths: HashMap<BytePath, Seen>,
    names: HashMap<BytePath, Seen>,
    missing: HashMap<BytePath, Seen>,
}

/// What is kept of a path. Small: there may be a million.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Bit set of [`Kind`].
    kinds: u8,
    written: bool,
    /// A touch by the container's own programs.
    workload: bool,
    /// Index into the interned task names.
    comm: u32,
}

/// Most failed lookups kept of one container; programs that probe names can
/// make any number.
const MISSING_MAX: usize = 100_000;

/// The container of a control group, and those around it, nearest first.
#[derive(Debug, Clone)]
struct Place {
    key: ContainerKey,
    around: Vec<ContainerKey>,
}

impl Place {
    /// A group that has no name of its own is told from a later one at the
    /// same path by its number.
    fn new(group: Group, cgroup: u64) -> Self {
        let (engine, id) = group.container;
        let id = if engine == Engine::Unknown { unknown_id(&id, cgroup) } else { id };
        let around = group.around.into_iter();
        Self {
            key: ContainerKey { engine, id },
            around: around.map(|(engine, id)| ContainerKey { engine, id }).collect(),
        }
    }
}

/// Gathers events.
#[derive(Debug, Default)]
pub struct Collector {
    cgroups: HashMap<u64, Place>,
    rootfs: HashMap<u32, ContainerKey>,
    tables: BTreeMap<ContainerKey, Table>,
    comms: Vec<String>,
    comm_index: HashMap<String, u32>,
}

impl Collector {
    /// Takes an event. Returns the container if this was its first.
    pub fn take(&mut self, event: Event) -> Option<ContainerKey> {
        match event {
            Event::Cgroup { cgroup, names, .. } => {
                let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
                let place = Place::new(identify(&names)?, cgroup);
                let key = place.key.clone();
                self.cgroups.insert(cgroup, place);
                if self.tables.contains_key(&key) {
                    return None;
                }
                self.tables.insert(key.clone(), Table::default());
                Some(key)
            }
            Event::Touch(touch) => {
                self.touch(touch);
                None
            }
        }
    }

    fn touch(&mut self, touch: Touch) {
        let owner = self.rootfs.get(&touch.dev);
        let key = match self.cgroups.get(&touch.cgroup) {
            // A runtime inside a container, before it enters the inner
            // rootfs, or a program that made a group of its own.
            Some(place) if owner.is_some_and(|owner| place.around.contains(owner)) => {
                owner.expect("just seen").clone()
            }
            // Of a container that was there before, whose own group is still.
            Some(place)
                if place.key.engine == Engine::Unknown
                    && place.around.first().is_some_and(|outer| !self.has_rootfs(outer)) =>
            {
                place.around[0].clone()
            }
            Some(place) => {
                // The newest owner of a device number wins: numbers are
                // reused after a container's rootfs is unmounted. What may be
                // no container takes none from one that is.
                let vacant = owner.is_none_or(|owner| owner.engine == Engine::Unknown);
                if owner != Some(&place.key) && (vacant || place.key.engine != Engine::Unknown) {
                    self.rootfs.insert(touch.dev, place.key.clone());
                }
                place.key.clone()
            }
            None => match owner {
                Some(key) => key.clone(),
                // Not a container: a service or build step with a rootfs of
                // its own.
                None => return,
            },
        };
        self.keep(&key, touch);
    }

    fn has_rootfs(&self, key: &ContainerKey) -> bool {
        self.rootfs.values().any(|owner| owner == key)
    }

    fn keep(&mut self, key: &ContainerKey, touch: Touch) {
        let comm = match self.comm_index.get(&touch.comm) {
            Some(&index) => index,
            None => {
                let index = self.comms.len() as u32;
                self.comms.push(touch.comm.clone());
                self.comm_index.insert(touch.comm.clone(), index);
                index
            }
        };
        let seen = Seen {
            kinds: 1 << touch.kind as u8,
            written: touch.written,
            workload: !touch.foreign_exe,
            comm,
        };
        let table = self.tables.entry(key.clone()).or_default();
        if touch.missing {
            if let Some(name) = touch.name
                && (table.missing.len() < MISSING_MAX || table.missing.contains_key(&name))
            {
                note(&mut table.missing, name, seen);
            }
            return;
        }
        // A name that equals the path walked no link: nothing to add.
        if let Some(name) = touch.name
            && touch.path.as_ref() != Some(&name)
        {
            note(&mut table.names, name, seen);
        }
        if let Some(path) = touch.path {
            note(&mut table.paths, path, seen);
        }
    }

    /// Adds what was found open or mapped when recording began.
    pub fn add_snapshot(&mut self, key: &ContainerKey, touches: impl IntoIterator<Item = Touch>) {
        self.tables.entry(key.clone()).or_default();
        for touch in touches {
            self.keep(key, touch);
        }
    }

    /// Containers seen, in order of their IDs.
    pub fn containers(&self) -> impl Iterator<Item = &ContainerKey> {
        self.tables.keys()
    }

    /// How many touches of a container were kept.
    pub fn touches(&self, key: &ContainerKey) -> usize {
        self.tables.get(key).map_or(0, |t| t.paths.len() + t.names.len())
    }

    /// Folds the containers that `infos` knows into one profile an image, in
    /// order of image IDs. `run` is the same for all but its containers and
    /// mounts.
    pub fn into_profiles(
        mut self,
        infos: &BTreeMap<ContainerKey, ContainerInfo>,
        run: &Run,
    ) -> Vec<Profile> {
        // A bare runtime's containers have no image: one profile a bundle.
        let mut images: BTreeMap<(String, String), (ImageId, Run, Table)> = BTreeMap::new();
        for (key, table) in std::mem::take(&mut self.tables) {
            let Some(info) = infos.get(&key) else { continue };
            let (_, run, merged) = images
                .entry(match info.image.id.as_str() {
                    "" => (String::new(), info.image.reference.clone()),
                    id => (id.to_owned(), String::new()),
                })
                .or_insert_with(|| (info.image.clone(), run.clone(), Table::default()));
            run.containers.insert(info.id.clone());
            run.mounts.extend(info.mounts.iter().cloned());
            // A filesystem of its own has no path that leads through here.
            let directory = info.rootfs.as_deref().map(|rootfs| rootfs.as_os_str().as_bytes());
            let directory = directory
                .filter(|directory| table.paths.keys().any(|p| inside(p, directory).is_some()));
            merge(&mut merged.paths, table.paths, directory);
            merge(&mut merged.names, table.names, directory);
            merge(&mut merged.missing, table.missing, directory);
        }
        images
            .into_values()
            .map(|(image, run, table)| {
                let mut profile = Profile::new(image);
                profile.runs.push(run);
                profile.paths = self.path_entries(table.paths);
                profile.names = self.name_entries(table.names);
                profile.missing = self.name_entries(table.missing);
                profile
            })
            .collect()
    }

    fn path_entries(&self, paths: HashMap<BytePath, Seen>) -> Vec<PathEntry> {
        let mut entries: Vec<_> = paths
            .into_iter()
            .map(|(path, seen)| PathEntry {
                path,
                kinds: kinds(seen.kinds),
                written: seen.written,
                runtime: !seen.workload,
                comm: self.comms[seen.comm as usize].clone(),
                exe: None,
            })
            .collect();
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        entries
    }

    fn name_entries(&self, names: HashMap<BytePath, Seen>) -> Vec<NameEntry> {
        let mut entries: Vec<_> = names
            .into_iter()
            .map(|(name, seen)| NameEntry {
                name,
                kinds: kinds(seen.kinds),
                comm: self.comms[seen.comm as usize].clone(),
            })
            .collect();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        entries
    }
}

fn note(table: &mut HashMap<BytePath, Seen>, key: BytePath, seen: Seen) {
    table
        .entry(key)
        .and_modify(|old| {
            old.kinds |= seen.kinds;
            old.written |= seen.written;
            old.workload |= seen.workload;
        })
        .or_insert(seen);
}

/// Folds `from` into `into`. Where the rootfs is a plain directory of the
/// host's filesystem (bare runc, vfs and btrfs drivers), paths reach up to
/// that filesystem's root; the directory's own is cut off, and what lies
/// outside of it is not the container's.
fn merge(
    into: &mut HashMap<BytePath, Seen>,
    from: HashMap<BytePath, Seen>,
    directory: Option<&[u8]>,
) {
    for (path, seen) in from {
        let path = match directory {
            None => path,
            Some(directory) => match inside(&path, directory) {
                Some(b"") => "/".into(),
                Some(rest) => rest.into(),
                None => continue,
            },
        };
        note(into, path, seen);
    }
}

/// The rest of a path below a directory.
fn inside<'a>(path: &'a BytePath, directory: &[u8]) -> Option<&'a [u8]> {
    path.0.strip_prefix(directory).filter(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

const KINDS: [Kind; 8] = [
    Kind::Open,
    Kind::Exec,
    Kind::Mmap,
    Kind::Stat,
    Kind::Lstat,
    Kind::Readlink,
    Kind::List,
    Kind::Modify,
];

fn kinds(bits: u8) -> BTreeSet<Kind> {
    KINDS.into_iter().filter(|&kind| bits & 1 << kind as u8 != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup(cgroup: u64, id: &str) -> Event {
        Event::Cgroup { cgroup, pid: 1, names: vec![id.into(), b"docker".to_vec()] }
    }

    fn touch(cgroup: u64, path: &str, name: &str) -> Touch {
        Touch {
            cgroup,
            dev: 7,
            pid: 1,
            comm: "sh".into(),
            kind: Kind::Open,
            path: Some(path.into()),
            name: Some(name.into()),
            written: false,
            missing: false,
            foreign_exe: false,
            cut: false,
        }
    }

    #[test]
    fn replicas_of_an_image_make_one_profile() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let mut collector = Collector::default();
        assert!(collector.take(cgroup(1, &a)).is_some());
        assert!(collector.take(cgroup(1, &a)).is_none());
        collector.take(cgroup(2, &b));
        collector.take(Event::Touch(touch(1, "/bin/dash", "/bin/sh")));
        collector.take(Event::Touch(touch(2, "/bin/dash", "/bin/dash")));
        // Another control group on the same rootfs, and one of nobody.
        collector.take(Event::Touch(touch(3, "/exec", "/exec")));
        collector.take(Event::Touch(Touch { dev: 9, ..touch(4, "/no", "/no") }));
        let infos = collector
            .containers()
            .map(|key| {
                let image = ImageId { id: "sha256:1".into(), ..ImageId::default() };
                (key.clone(), ContainerInfo { id: key.id.clone(), image, ..Default::default() })
            })
            .collect();
        let run = Run { command: vec!["true".into()], ..Run::default() };
        let profiles = collector.into_profiles(&infos, &run);
        assert_eq!(profiles.len(), 1);
        assert_eq!(profiles[0].runs[0].containers.len(), 2);
        let paths: Vec<_> = profiles[0].paths.iter().map(|e| e.path.to_string()).collect();
        assert_eq!(paths, ["/bin/dash", "/exec"]);
        assert_eq!(profiles[0].names[0].name, "/bin/sh".into());
    }
}
