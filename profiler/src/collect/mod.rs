//! From events to profiles: touches are gathered per container while they
//! come in, and folded into one recording an image at the end.
//!
//! A container is known by its control group, which the kernel side names
//! before the group's first touch, and by where that group is: programs in a
//! container can give a group any name below their own. A touch from a group that tells nothing
//! (a nested one, or an engine's helper in the same rootfs) is known by the
//! rootfs it falls on.
//!
//! ```text
//! Collector
//! └── Table, one a container        what is known of each name
//!     ├── Tree                      names by their components
//!     │   ├── Chunks, Bytes         what it is stored in
//!     │   └── Index                 how a name is found
//!     └── (sealed) ─► Recording     one an image; writes the profile
//!         └── Sorted                names in order
//! ```

mod bytes;
mod chunks;
pub(crate) mod clock;
mod index;
mod marks;
mod recording;
mod sorted;
mod table;
mod tree;

use std::collections::{BTreeMap, HashMap};

pub use clock::Clock;
pub use recording::Recording;

use serde::{Deserialize, Serialize};

use crate::capture::{Event, Touch};
use crate::container::oci::unknown_id;
use crate::container::{ContainerInfo, Engine, Group, identify};
use crate::profile::{ImageId, Kind, Lost, Run};
use marks::{Test, Tests};
use table::{Mark, Role, Table, WORKLOAD, WRITTEN};

/// A container as the control group's name tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContainerKey {
    /// The engine whose naming scheme it is.
    pub engine: Engine,
    /// Full ID.
    pub id: String,
}

/// Most failed lookups kept of one container; programs that probe names can
/// make any number.
const MISSING_MAX: usize = 100_000;

/// Everything seen of one container.
#[derive(Debug, Default)]
struct Container {
    table: Table,
    /// Lookups beyond [`MISSING_MAX`].
    missing_dropped: u64,
    /// Touches of what is inside of it and of no known image.
    unattributed: u64,
    /// What may be no container: a control group without an engine's name.
    doubtful: bool,
    /// Whether a rootfs is known to be its own.
    has_rootfs: bool,
    /// Device of its rootfs; 0 before its first touch.
    dev: u32,
}

/// The container of a control group, and those around it, nearest first.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    place: usize,
    around: Vec<usize>,
}

/// What an event taught a [`Collector`].
#[derive(Debug, Default)]
pub struct Learnt {
    /// The containers that it is the first of, with the process by which they
    /// were seen.
    pub containers: Vec<(ContainerKey, u32)>,
    /// Where the touch was kept, as in [`Collector::keep`].
    pub place: usize,
    /// Whether the recordings would be others without it, what
    /// [`Counts`] tells apart.
    pub changed: bool,
}

/// What a [`Collector`] counts of a container without a record of each touch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Device of the rootfs that was touched last.
    pub dev: u32,
    /// Failed lookups beyond those that are kept.
    pub missing_dropped: u64,
    /// Touches there was no room for.
    pub dropped: u64,
}

/// Events that could not be delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// All of them.
    pub all: Lost,
    /// Those of them that are known to be a control group's.
    pub by_group: HashMap<u64, Lost>,
}

/// Gathers events.
#[derive(Debug)]
pub struct Collector {
    clock: Clock,
    containers: Vec<Container>,
    /// Device of the host's root filesystem: no container's own.
    host_dev: u32,
    /// Places in `containers`, by key and path of the control group; one that
    /// is known by a snapshot alone may have no path.
    places: BTreeMap<(ContainerKey, String), usize>,
    by_cgroup: HashMap<u64, Owner>,
    by_rootfs: HashMap<u32, usize>,
    /// By control group.
    lost: HashMap<u64, Lost>,
    tests: Tests,
}

impl Collector {
    /// An empty one, whose times count from now on. `host_dev` is the device
    /// of the host's root filesystem: containers may have a directory of it
    /// for a rootfs, but so may anything else.
    pub fn new(host_dev: u32) -> Self {
        Self::with_clock(host_dev, Clock::now())
    }

    /// The same with times that count from a reading of old.
    pub fn with_clock(host_dev: u32, clock: Clock) -> Self {
        Self {
            clock,
            containers: Vec::new(),
            host_dev,
            places: BTreeMap::new(),
            by_cgroup: HashMap::new(),
            by_rootfs: HashMap::new(),
            lost: HashMap::new(),
            tests: Tests::default(),
        }
    }

    /// The clock that its times count by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Takes an event. Returns the containers that it is the first of, with
    /// the process by which they were seen.
    pub fn take(&mut self, event: Event) -> Vec<(ContainerKey, u32)> {
        self.learn(&event).containers
    }

    /// Takes an event and tells what is new by it.
    pub fn learn(&mut self, event: &Event) -> Learnt {
        match event {
            Event::Cgroup { cgroup, names, pid } => {
                let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
                let Some(group) = identify(&names) else { return Learnt::default() };
                let (new, changed) = self.group(*cgroup, group);
                let containers = new.into_iter().map(|key| (key, *pid)).collect();
                Learnt { containers, changed, ..Learnt::default() }
            }
            Event::Touch(touch) => {
                let Some(place) = self.owner(touch) else { return Learnt::default() };
                let test = self.tests.of(touch.epoch);
                let changed = self.containers[place].keep(&self.clock, touch, test);
                Learnt { place, changed, ..Learnt::default() }
            }
            Event::Mark { epoch, name } => {
                self.tests.begin(*epoch, name.clone());
                Learnt { changed: true, ..Learnt::default() }
            }
        }
    }

    /// Takes a touch of the container in that place, as [`learn`](Self::learn)
    /// told it or [`add`](Self::add). Whether it is a new one, as
    /// [`Learnt::changed`]; none when there is no such container.
    pub fn keep(&mut self, place: usize, touch: &Touch) -> Option<bool> {
        let test = self.tests.of(touch.epoch);
        Some(self.containers.get_mut(place)?.keep(&self.clock, touch, test))
    }

    /// The containers that are new, and whether anything is.
    fn group(&mut self, cgroup: u64, group: Group) -> (Vec<ContainerKey>, bool) {
        let (engine, id) = group.container;
        // A group that has no name of its own is told from a later one at the
        // same path by its number.
        let id = if engine == Engine::Unknown { unknown_id(&id, cgroup) } else { id };
        let mut new = Vec::new();
        let known = self.containers.len();
        let own = ((engine, id), group.path);
        let mut places = std::iter::once(own).chain(group.around).map(|((engine, id), path)| {
            let key = ContainerKey { engine, id };
            if self.places_of(&key).next().is_none() {
                new.push(key.clone());
            }
            self.place(key, path)
        });
        let place = places.next().expect("the group's own");
        let around = places.collect();
        let owner = Owner { place, around };
        let changed = self.containers.len() > known || self.by_cgroup.get(&cgroup) != Some(&owner);
        self.by_cgroup.insert(cgroup, owner);
        (new, changed)
    }

    /// A container's place, made if it is new.
    fn place(&mut self, key: ContainerKey, path: String) -> usize {
        let doubtful = key.engine == Engine::Unknown;
        *self.places.entry((key, path)).or_insert_with(|| {
            self.containers.push(Container { doubtful, ..Container::default() });
            self.containers.len() - 1
        })
    }

    /// Path and place of all that goes by that key.
    fn places_of<'a>(
        &'a self,
        key: &ContainerKey,
    ) -> impl Iterator<Item = (&'a str, usize)> + use<'a> {
        let key = key.clone();
        self.places
            .range((key.clone(), String::new())..)
            .take_while(move |((other, _), _)| *other == key)
            .map(|((_, path), &place)| (path.as_str(), place))
    }

    /// The place of the container that a touch is of.
    fn owner(&mut self, touch: &Touch) -> Option<usize> {
        let own_dev = touch.dev != self.host_dev;
        let owner = self.by_rootfs.get(&touch.dev).copied();
        Some(match self.by_cgroup.get(&touch.cgroup) {
            Some(Owner { place, around }) => match (owner, around.first()) {
                // A runtime inside a container, before it enters the inner
                // rootfs, or a program that made a group of its own.
                (Some(owner), _) if around.contains(&owner) => owner,
                // Of a container that was there before, whose own group is
                // still.
                (_, Some(&outer))
                    if self.containers[*place].doubtful && !self.containers[outer].has_rootfs =>
                {
                    outer
                }
                _ => {
                    // The newest owner of a device number wins: numbers are
                    // reused after a container's rootfs is unmounted. What
                    // may be no container takes none from one that is.
                    let vacant = owner.is_none_or(|owner| self.containers[owner].doubtful);
                    if own_dev
                        && owner != Some(*place)
                        && (vacant || !self.containers[*place].doubtful)
                    {
                        self.by_rootfs.insert(touch.dev, *place);
                        self.containers[*place].has_rootfs = true;
                    }
                    *place
                }
            },
            // None: not a container, but a service or build step with a rootfs
            // of its own.
            None => owner?,
        })
    }

    /// Adds a container of which no event need have told, and whose control
    /// group has that path; empty where that is not known. Its place.
    pub fn add(&mut self, key: &ContainerKey, path: &str) -> usize {
        self.place(key.clone(), path.to_owned())
    }

    /// Adds to the events that could not be delivered from a control group.
    pub fn add_lost(&mut self, cgroup: u64, lost: Lost) {
        *self.lost.entry(cgroup).or_default() += lost;
    }

    /// Adds to the losses of control groups; returns what is left, which is
    /// the whole machine's.
    pub fn add_losses(&mut self, losses: &Losses) -> Lost {
        let mut rest = losses.all;
        for (&cgroup, &lost) in &losses.by_group {
            rest -= lost;
            self.add_lost(cgroup, lost);
        }
        rest
    }

    /// The counts of each place.
    pub fn counts(&self) -> impl Iterator<Item = Counts> {
        self.containers.iter().map(|container| Counts {
            dev: container.dev,
            missing_dropped: container.missing_dropped,
            dropped: container.table.dropped,
        })
    }

    /// Sets the counts of a place; none when there is no such container.
    pub fn set_counts(&mut self, place: usize, counts: Counts) -> Option<()> {
        let container = self.containers.get_mut(place)?;
        let Counts { dev, missing_dropped, dropped } = counts;
        container.dev = dev;
        container.missing_dropped = missing_dropped;
        container.table.dropped = dropped;
        Some(())
    }

    /// Containers seen, in order of their IDs.
    pub fn containers(&self) -> impl Iterator<Item = &ContainerKey> {
        let mut keys: Vec<_> = self.places.keys().map(|(key, _)| key).collect();
        keys.dedup();
        keys.into_iter()
    }

    /// How many touches of a container were kept.
    pub fn touches(&self, key: &ContainerKey) -> u64 {
        self.places_of(key).map(|(_, place)| self.containers[place].touches()).sum()
    }

    /// Settles what the groups inside of containers are, once it is known
    /// which of all containers are real. In a real one:
    ///
    /// - a group with a container's name is one of an engine inside, or means
    ///   to be taken for a neighbour. Whatever it is, the engines that know
    ///   the outer container know nothing of it: its touches are unattributed,
    ///   at the outer one's cost.
    /// - a group without, on the outer container's rootfs, is a part of it.
    /// - any other has a rootfs of its own and is not looked at.
    ///
    /// Of several groups with the name of one container the topmost is real.
    /// Returns what was taken out.
    pub fn settle(&mut self, is_known: impl Fn(&ContainerKey) -> bool) -> Vec<ContainerKey> {
        let mut by_depth: Vec<_> = self
            .places
            .iter()
            .filter(|((_, path), _)| !path.is_empty())
            .map(|((key, path), &place)| (key.clone(), path.clone(), place))
            .collect();
        by_depth.sort_by_key(|(_, path, _)| path.matches('/').count());
        // Paths are used again: of several at one the newest that was there
        // before the inner group. Places are in order of appearance.
        let mut real: HashMap<String, Vec<usize>> = HashMap::new();
        let mut topmost: HashMap<ContainerKey, usize> = HashMap::new();
        let mut moved: HashMap<usize, usize> = HashMap::new();
        let mut taken_out = Vec::new();
        for (key, path, place) in by_depth {
            let above = path.rmatch_indices('/').map(|(end, _)| &path[..end]);
            let outer = above.filter_map(|path| real.get(path)).next().and_then(|outer| {
                outer.iter().filter(|&&outer| outer < place).max().or_else(|| outer.first())
            });
            let Some(&outer) = outer.or_else(|| topmost.get(&key)) else {
                if is_known(&key) {
                    real.entry(path).or_default().push(place);
                }
                topmost.insert(key, place);
                continue;
            };
            self.places.remove(&(key.clone(), path));
            let inner = std::mem::take(&mut self.containers[place]);
            let outer_dev = self.containers[outer].dev;
            if key.engine != Engine::Unknown {
                if inner.touches() > 0 {
                    self.containers[outer].unattributed += inner.touches();
                    taken_out.push(key);
                }
            } else if inner.dev == outer_dev && outer_dev != self.host_dev {
                let outer = &mut self.containers[outer];
                outer.missing_dropped = outer.missing_dropped.saturating_add(inner.missing_dropped);
                outer.table.absorb(inner.table);
            }
            moved.insert(place, outer);
        }
        for owner in self.by_cgroup.values_mut() {
            owner.place = moved.get(&owner.place).copied().unwrap_or(owner.place);
        }
        taken_out
    }

    /// Folds the containers that `infos` knows into one recording an image,
    /// in order of image IDs. `run` is the same for all but its containers,
    /// mounts and losses: to those in `run`, which concern the whole machine,
    /// come those of the image's own containers, and those of control groups
    /// that are no container's, because these may touch any container's
    /// files.
    pub fn into_recordings(
        mut self,
        infos: &BTreeMap<ContainerKey, ContainerInfo>,
        run: &Run,
    ) -> Vec<Recording> {
        let mut run = run.clone();
        let mut lost_by_place: HashMap<usize, Lost> = HashMap::new();
        for (cgroup, lost) in self.lost {
            match self.by_cgroup.get(&cgroup) {
                Some(owner) => *lost_by_place.entry(owner.place).or_default() += lost,
                None => run.lost += lost,
            }
        }
        // A bare runtime's containers have no image: one profile a bundle.
        let mut images: BTreeMap<(&str, &str), (&ImageId, Run, Option<Table>)> = BTreeMap::new();
        for ((key, _), place) in self.places {
            let Container { table, missing_dropped, unattributed, .. } =
                std::mem::take(&mut self.containers[place]);
            let mut lost = lost_by_place.remove(&place).unwrap_or_default();
            lost.unattributed += unattributed;
            // Known only as what is around another.
            if table.is_empty() && table.dropped == 0 && lost == Lost::default() {
                continue;
            }
            let Some(info) = infos.get(&key) else { continue };
            let by = match info.image.id.as_str() {
                "" => ("", info.image.reference.as_str()),
                id => (id, ""),
            };
            let (_, run, merged) =
                images.entry(by).or_insert_with(|| (&info.image, run.clone(), None));
            run.containers.insert(info.id.clone());
            run.mounts.extend(info.mounts.iter().cloned());
            run.missing_dropped = run.missing_dropped.saturating_add(missing_dropped);
            run.lost += lost;
            match merged {
                Some(merged) => merged.absorb(table),
                None => *merged = Some(table),
            }
        }
        let (names, places) = self.tests.table();
        images
            .into_values()
            .map(|(image, mut run, table)| {
                let table = table.unwrap_or_default();
                run.lost += Lost { unreadable: table.dropped, ..Lost::default() };
                Recording {
                    image: image.clone(),
                    run,
                    marks: names.clone(),
                    places: places.clone(),
                    table: table.seal(),
                    clock: self.clock,
                }
            })
            .collect()
    }
}

impl Container {
    /// How many names were touched, by what is inside of it, too.
    fn touches(&self) -> u64 {
        let own = self.table.count(Role::Path) + self.table.count(Role::Name);
        own as u64 + self.unattributed
    }

    /// Whether the touch changes what is known, [`Counts`] apart.
    fn keep(&mut self, clock: &Clock, touch: &Touch, test: Test) -> bool {
        let before = self.table.revision;
        self.note(clock, touch, test);
        self.table.revision != before
    }

    fn note(&mut self, clock: &Clock, touch: &Touch, test: Test) {
        self.dev = touch.dev;
        let exe = if touch.foreign_exe { 0 } else { touch.exe_ino };
        let Some(task) = self.table.task(&touch.comm, touch.dev, exe) else {
            self.table.dropped += 1;
            return;
        };
        let mut flags = 0;
        if touch.written {
            flags |= WRITTEN;
        }
        if !touch.foreign_exe {
            flags |= WORKLOAD;
        }
        let mark =
            Mark { first: clock.millis(touch.time), task, kinds: [touch.kind].into(), flags };
        if touch.missing {
            if let Some(name) = &touch.name {
                self.keep_missing(name.as_bytes(), mark, test);
            }
            return;
        }
        // A name that equals the path walked no link: nothing to add.
        if let Some(name) = &touch.name
            && touch.path.as_ref() != Some(name)
        {
            self.table.note(Role::Name, name.as_bytes(), mark, test);
        }
        if let Some(path) = &touch.path {
            let node = self.table.note(Role::Path, path.as_bytes(), mark, test);
            if touch.kind == Kind::Exec
                && let Some(node) = node
            {
                self.table.executed(touch.dev, touch.ino, node);
            }
        }
    }

    fn keep_missing(&mut self, name: &[u8], mark: Mark, test: Test) {
        if self.table.count(Role::Missing) < MISSING_MAX || self.table.contains(Role::Missing, name)
        {
            self.table.note(Role::Missing, name, mark, test);
        } else {
            self.missing_dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Profile, load};

    /// The host's root device.
    const HOST: u32 = 1;

    fn cgroup(cgroup: u64, id: &str) -> Event {
        group(cgroup, &format!("/docker/{id}"))
    }

    fn group(cgroup: u64, path: &str) -> Event {
        let names = path[1..].rsplit('/').map(|name| name.as_bytes().to_vec());
        Event::Cgroup { cgroup, pid: 1, names: names.collect() }
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
            epoch: 0,
            time: 0,
            ino: 1,
            exe_ino: 0,
        }
    }

    fn missing(cgroup: u64, name: &str) -> Event {
        Event::Touch(Touch { path: None, missing: true, ..touch(cgroup, "", name) })
    }

    /// Containers of one image, the cgroup and first letter of each ID.
    fn collector(containers: &[(u64, &str)]) -> Collector {
        let mut collector = Collector::new(HOST);
        for &(number, letter) in containers {
            assert_eq!(collector.take(cgroup(number, &letter.repeat(64))).len(), 1);
        }
        collector
    }

    fn infos(
        collector: &Collector,
        image: impl Fn(&str) -> String,
    ) -> BTreeMap<ContainerKey, ContainerInfo> {
        collector
            .containers()
            .map(|key| {
                let image = ImageId { id: image(&key.id), ..ImageId::default() };
                (key.clone(), ContainerInfo { id: key.id.clone(), image, ..Default::default() })
            })
            .collect()
    }

    fn recordings(collector: Collector) -> Vec<Recording> {
        let infos = infos(&collector, |_| "sha256:1".into());
        let run = Run { command: vec!["true".into()], ..Run::default() };
        collector.into_recordings(&infos, &run)
    }

    fn paths(profile: &Profile) -> Vec<String> {
        profile.paths.iter().map(|entry| entry.path.to_string()).collect()
    }

    #[test]
    fn a_name_that_says_no_more_than_its_path_is_left_out() {
        let mut collector = collector(&[(1, "a")]);
        for (kind, name) in [(Kind::Open, "/a"), (Kind::Open, "/b"), (Kind::Stat, "/c")] {
            let only_name = Touch { path: None, kind, ..touch(1, "", name) };
            collector.take(Event::Touch(only_name));
        }
        for path in ["/a", "/c", "/d"] {
            collector.take(Event::Touch(touch(1, path, path)));
        }
        let profile = recordings(collector)[0].to_profile();
        let names: Vec<_> = profile.names.iter().map(|entry| entry.name.to_string()).collect();
        assert_eq!(names, ["/b", "/c"]);
    }

    #[test]
    fn replicas_of_an_image_make_one_profile() {
        let mut collector = collector(&[(1, "a"), (2, "b")]);
        assert!(collector.take(cgroup(1, &"a".repeat(64))).is_empty());
        collector.take(Event::Touch(touch(1, "/bin/dash", "/bin/sh")));
        collector.take(Event::Touch(touch(2, "/bin/dash", "/bin/dash")));
        // Another control group on the same rootfs, and one of nobody.
        collector.take(Event::Touch(touch(3, "/exec", "/exec")));
        collector.take(Event::Touch(Touch { dev: 9, ..touch(4, "/no", "/no") }));
        let recordings = recordings(collector);
        assert_eq!(recordings.len(), 1);
        assert_eq!(recordings[0].run().containers.len(), 2);
        let profile = recordings[0].to_profile();
        assert_eq!(paths(&profile), ["/bin/dash", "/exec"]);
        assert_eq!(profile.names[0].name, "/bin/sh".into());
    }

    #[test]
    fn what_is_saved_is_what_was_recorded() {
        let mut collector = collector(&[(1, "a"), (2, "b")]);
        let exec =
            Touch { kind: Kind::Exec, ino: 5, foreign_exe: true, ..touch(1, "/bin/x", "/x") };
        collector.take(Event::Touch(exec));
        for (exe_ino, comm) in [(5, "x"), (5, "y"), (6, "z")] {
            let touch = Touch { exe_ino, comm: comm.into(), ..touch(1, "/data", "/data") };
            collector.take(Event::Touch(touch));
        }
        collector.take(Event::Touch(Touch { written: true, ..touch(2, "/data", "/data/../data") }));
        let other = Touch { path: Some(b"/\xff\n"[..].into()), ..touch(2, "", "/o") };
        collector.take(Event::Touch(other));
        collector.take(missing(2, "/none/such/"));
        let recording = recordings(collector).remove(0);

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("profile.json");
        recording.save(&path).unwrap();
        let profile = load(&path).unwrap();
        assert_eq!(profile, recording.to_profile());
        assert_eq!(recording.paths(), profile.paths.len());
        let whole = directory.path().join("whole.json");
        crate::profile::save(&profile, &whole).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), std::fs::read(whole).unwrap());

        assert_eq!(paths(&profile), ["/bin/x", "/data", "/\u{fffd}\n"]);
        let [exec, data, _] = &profile.paths[..] else { panic!() };
        assert!(exec.runtime && exec.exe.is_none() && exec.exes == 1);
        // The executable that nothing names, and the other container's, whose
        // touch does not tell.
        assert_eq!((data.exe.clone(), data.exes), (Some("/bin/x".into()), 3));
        assert_eq!((data.comm.as_str(), data.written, data.runtime), ("x", true, false));
        assert_eq!(data.first.as_ref().map(String::len), Some("2030-01-01T00:00:00.000Z".len()));
        assert_eq!(profile.missing[0].name, "/none/such/".into());
    }

    /// Settles with Docker's containers of these letters and those without a
    /// name at these paths known; returns paths and unattributed touches of
    /// each by the first letters of its ID.
    fn settled(mut collector: Collector, known: &[&str]) -> BTreeMap<String, (Vec<String>, u64)> {
        collector.settle(|key| known.iter().any(|known| key.id.starts_with(known)));
        let mut infos = infos(&collector, |id| id.into());
        infos.retain(|key, _| known.iter().any(|known| key.id.starts_with(known)));
        let recordings = collector.into_recordings(&infos, &Run::default());
        let told = recordings.iter().map(|recording| {
            let id = recording.run().containers.first().unwrap();
            let id = id.trim_start_matches('/')[..1].to_owned();
            (id, (paths(&recording.to_profile()), recording.run().lost.unattributed))
        });
        told.collect()
    }

    #[test]
    fn a_group_named_as_a_neighbour_is_not_the_neighbour() {
        let (hostile, neighbour) = ("a".repeat(64), "b".repeat(64));
        for (outer, known) in [
            (format!("/docker/{hostile}"), ["a", "b"]),
            (format!("/system.slice/docker-{hostile}.scope"), ["a", "b"]),
            ("/a".into(), ["/a", "b"]),
        ] {
            for neighbour_first in [true, false] {
                let mut collector = Collector::new(HOST);
                let mut visit = |group_number, path: &str, dev, file| {
                    collector.take(group(group_number, path));
                    collector.take(Event::Touch(Touch { dev, ..touch(group_number, file, file) }));
                };
                if neighbour_first {
                    visit(2, &format!("/docker/{neighbour}"), 8, "/neighbour");
                }
                visit(1, &outer, 7, "/hostile");
                // With another root than its own.
                visit(3, &format!("{outer}/docker/{neighbour}"), 9, "/posed");
                visit(4, &format!("{outer}/x/docker-{neighbour}.scope"), 9, "/posed");
                if !neighbour_first {
                    visit(2, &format!("/docker/{neighbour}"), 8, "/neighbour");
                }
                let settled = settled(collector, &known);
                assert_eq!(settled["a"], (vec!["/hostile".into()], 2), "{outer}");
                assert_eq!(settled["b"], (vec!["/neighbour".into()], 0), "{outer}");
            }
        }
    }

    #[test]
    fn a_group_that_a_container_made_is_a_part_of_it_on_its_own_rootfs_alone() {
        let mut collector = Collector::new(HOST);
        for (number, path, dev, file) in [
            (1, "/a", 7, "/own"),
            (2, "/a/sub", 7, "/sub"),
            (3, "/a/inner", 9, "/inner"),
            // The same path, used again.
            (4, "/a", 7, "/again"),
        ] {
            collector.take(group(number, path));
            collector.take(Event::Touch(Touch { dev, ..touch(number, file, file) }));
        }
        collector.settle(|key| ["/a#1", "/a#4"].contains(&key.id.as_str()));
        let infos = infos(&collector, |id| id.into());
        let recordings = collector.into_recordings(&infos, &Run::default());
        let all: Vec<_> = recordings.iter().map(|one| paths(&one.to_profile())).collect();
        assert_eq!(all, [vec!["/own", "/sub"], vec!["/again"]]);
        assert!(recordings.iter().all(|one| one.incomplete().is_empty()));
    }

    #[test]
    fn the_hosts_root_device_is_no_containers_own() {
        let mut collector = collector(&[(1, "a")]);
        collector.take(Event::Touch(Touch { dev: HOST, ..touch(1, "/in", "/in") }));
        collector.take(Event::Touch(Touch { dev: HOST, ..touch(2, "/host", "/host") }));
        assert_eq!(paths(&recordings(collector)[0].to_profile()), ["/in"]);
    }

    #[test]
    fn missing_names_beyond_the_cap_are_counted() {
        let mut collector = collector(&[(1, "a")]);
        for number in 0..MISSING_MAX + 10 {
            collector.take(missing(1, &format!("/none/{number}")));
        }
        // One that is kept already.
        collector.take(missing(1, "/none/5"));
        let recording = recordings(collector).remove(0);
        assert_eq!(recording.run().missing_dropped, 10);
        assert_eq!(recording.incomplete(), Vec::<String>::new());
        assert_eq!(recording.to_profile().missing.len(), MISSING_MAX);
    }

    #[test]
    fn losses_stay_with_the_containers_they_befell() {
        let mut collector = collector(&[(1, "a"), (2, "b"), (3, "c")]);
        let lost = |count| Lost { ring_full: count, ..Lost::default() };
        for (cgroup, count) in [(1, 10), (2, 100), (1, 20), (3, 1000), (99, 5)] {
            collector.add_lost(cgroup, lost(count));
        }
        let mut infos = infos(&collector, |id| id[..1].into());
        infos.retain(|key, _| !key.id.starts_with('c'));
        let run = Run { lost: lost(1), ..Run::default() };
        let lost: Vec<_> = collector
            .into_recordings(&infos, &run)
            .iter()
            .map(|recording| recording.run().lost.ring_full)
            .collect();
        assert_eq!(lost, [1 + 5 + 30, 1 + 5 + 100]);
    }

    #[test]
    fn a_touch_without_room_makes_the_profile_incomplete() {
        let mut collector = collector(&[(1, "a")]);
        let path = format!("/a/{}", "x".repeat(1 << 16));
        collector.take(Event::Touch(touch(1, &path, &path)));
        let recording = recordings(collector).remove(0);
        assert_eq!(recording.run().lost.unreadable, 1);
        assert_eq!(recording.incomplete().len(), 1);
    }

    #[test]
    fn a_touch_belongs_to_the_test_of_its_epoch_whenever_it_is_read() {
        let mut collector = collector(&[(1, "a"), (2, "b")]);
        let in_epoch = |cgroup: u64, path: &str, epoch: u64| {
            Event::Touch(Touch { epoch, ..touch(cgroup, path, path) })
        };
        let by_runtime = |path: &str, epoch: u64| {
            Event::Touch(Touch { foreign_exe: true, epoch, ..touch(1, path, path) })
        };
        let mark = |epoch: u64, name: &str| {
            let name = Some(name.to_owned()).filter(|name| !name.is_empty());
            Event::Mark { epoch, name }
        };
        let Event::Touch(not_there) = missing(2, "/gone") else { unreachable!() };
        for event in [
            in_epoch(1, "/start", 0),
            by_runtime("/passwd", 0),
            mark(1, "z"),
            in_epoch(1, "/both", 1),
            mark(2, ""),
            mark(3, "a"),
            // Read late.
            in_epoch(2, "/late", 1),
            in_epoch(2, "/both", 3),
            in_epoch(1, "/start", 3),
            by_runtime("/program", 3),
            in_epoch(2, "/program", 3),
            by_runtime("/both", 2),
            in_epoch(1, "/between", 2),
            Event::Touch(Touch { epoch: 3, ..not_there }),
            mark(4, "z"),
            in_epoch(1, "/again", 4),
        ] {
            assert_eq!(collector.take(event), []);
        }
        let recording = &recordings(collector)[0];
        let profile = recording.to_profile();
        assert_eq!(profile.marks, ["", "a", "z"]);
        let sets: Vec<_> = profile
            .paths
            .iter()
            .map(|entry| (entry.path.to_string(), entry.mark_set().to_string()))
            .collect();
        let told = |path: &str, set: &str| (path.to_owned(), set.to_owned());
        assert_eq!(
            sets,
            [
                told("/again", "2"),
                told("/between", "0"),
                told("/both", "1-2"),
                told("/late", "2"),
                told("/passwd", ""),
                told("/program", "1"),
                told("/start", "0-1"),
            ]
        );
        assert_eq!(profile.missing[0].mark_set().to_string(), "1");
        // Nothing is said of what goes without saying.
        assert_eq!(profile.paths.iter().filter(|entry| entry.marks.is_none()).count(), 2);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("p.json");
        recording.save(&file).unwrap();
        assert_eq!(load(&file).unwrap(), profile);
    }
}
