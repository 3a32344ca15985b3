//! What is kept of a container while it is watched, or may be.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use crate::capture::Touch;
use crate::container::ContainerInfo;
use crate::profile::{BytePath, Kind};
use crate::verify::{Miss, Mounts};

/// Most lookups kept of a container of which it is not known yet what it is.
const EARLY_MAX: usize = 1000;

/// Most lookups of one container that are told; programs can speak a name in
/// any number of ways.
const TOLD_MAX: usize = 10_000;

/// Most executables of one container that are known by their paths.
const EXECUTABLES_MAX: usize = 4096;

/// A failed lookup of what was removed, before it is told.
#[derive(Debug)]
pub struct Missed {
    /// The lookup.
    pub touch: Touch,
    /// What the original has there.
    pub miss: Miss,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Container {
    /// Path of its control group.
    pub path: String,
    /// Device of its rootfs; 0 before the first touch.
    dev: u32,
    executables: HashMap<(u32, u64), BytePath>,
    pub state: State,
}

/// Whether it is watched.
#[derive(Debug)]
pub enum State {
    /// The engine is being asked.
    Asked {
        /// What was missed meanwhile.
        early: Vec<Missed>,
        /// What there was no room for.
        dropped: u64,
    },
    /// It is not.
    Other,
    /// It is.
    Watched(Box<Watched>),
}

/// A container that is watched.
#[derive(Debug)]
pub struct Watched {
    pub info: ContainerInfo,
    pub mounts: Mounts,
    /// Hashes of what was told.
    told: HashSet<u64>,
    hasher: RandomState,
}

impl Default for State {
    fn default() -> Self {
        Self::Asked { early: Vec::new(), dropped: 0 }
    }
}

/// What becomes of a lookup.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// It is to be told.
    New,
    /// It was told before.
    Again,
    /// It is one too many.
    TooMany,
}

impl Container {
    pub fn new(path: String, state: State) -> Self {
        Self { path, state, ..Self::default() }
    }

    /// Whether a touch is on its own rootfs; `nested` where the touch's
    /// control group is not the container's own.
    pub fn is_on(&mut self, dev: u32, nested: bool) -> bool {
        if !nested {
            self.dev = dev;
        }
        self.dev == dev || self.dev == 0
    }

    /// Learns executables.
    pub fn learn(&mut self, touch: &Touch) {
        if let Some(path) = &touch.path
            && touch.kind == Kind::Exec
            && touch.ino != 0
            && self.executables.len() < EXECUTABLES_MAX
        {
            self.executables.entry((touch.dev, touch.ino)).or_insert_with(|| path.clone());
        }
    }

    /// The executable of a touch, where it is the rootfs's own and known.
    pub fn executable(&self, touch: &Touch) -> Option<BytePath> {
        if touch.foreign_exe {
            return None;
        }
        self.executables.get(&(touch.dev, touch.exe_ino)).cloned()
    }
}

impl State {
    /// Keeps a lookup until it is known what the container is.
    pub fn keep(&mut self, missed: Missed) {
        if let Self::Asked { early, dropped } = self {
            if early.len() < EARLY_MAX {
                early.push(missed);
            } else {
                *dropped += 1;
            }
        }
    }

    /// How many lookups are kept or could not be.
    pub fn waiting(&self) -> u64 {
        match self {
            Self::Asked { early, dropped } => early.len() as u64 + dropped,
            _ => 0,
        }
    }
}

impl Watched {
    pub fn new(info: ContainerInfo, mounts: Mounts) -> Self {
        Self { info, mounts, told: HashSet::new(), hasher: RandomState::new() }
    }

    /// Notes that a lookup is told. Of each name one lookup by each
    /// executable and in each way is, since the container's last start.
    pub fn note(&mut self, touch: &Touch) -> Told {
        let name = touch.name.as_ref().map(BytePath::as_bytes);
        let hash = self.hasher.hash_one((touch.cgroup, touch.dev, touch.exe_ino, touch.kind, name));
        if self.told.contains(&hash) {
            Told::Again
        } else if self.told.len() >= TOLD_MAX {
            Told::TooMany
        } else {
            self.told.insert(hash);
            Told::New
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn touch(name: &str, kind: Kind) -> Touch {
        Touch {
            cgroup: 1,
            dev: 7,
            ino: 0,
            exe_ino: 5,
            time: 0,
            pid: 1,
            comm: "app".into(),
            kind,
            path: None,
            name: Some(name.into()),
            written: false,
            missing: true,
            foreign_exe: false,
            cut: false,
            epoch: 0,
        }
    }

    #[test]
    fn a_lookup_is_told_once_and_no_more_than_the_cap_are() {
        let mut watched = Watched::new(ContainerInfo::default(), Mounts::default());
        assert_eq!(watched.note(&touch("/a", Kind::Open)), Told::New);
        assert_eq!(watched.note(&touch("/a", Kind::Open)), Told::Again);
        assert_eq!(watched.note(&touch("/a", Kind::Stat)), Told::New);
        for number in 2..TOLD_MAX {
            let name = format!("/{number}");
            assert_eq!(watched.note(&touch(&name, Kind::Open)), Told::New, "{name}");
        }
        assert_eq!(watched.note(&touch("/more", Kind::Open)), Told::TooMany);
        assert_eq!(watched.note(&touch("/a", Kind::Open)), Told::Again);
    }

    #[test]
    fn what_waits_is_bounded_and_counted() {
        let mut state = State::default();
        for _ in 0..EARLY_MAX + 3 {
            state.keep(Missed { touch: touch("/a", Kind::Open), miss: Miss::default() });
        }
        let State::Asked { early, dropped } = &state else { panic!() };
        assert_eq!((early.len(), *dropped), (EARLY_MAX, 3));
        assert_eq!(state.waiting(), EARLY_MAX as u64 + 3);
    }

    #[test]
    fn a_nested_group_on_another_rootfs_is_not_the_containers() {
        let mut container = Container::default();
        assert!(container.is_on(7, false) && container.is_on(7, true) && !container.is_on(8, true));
    }
}
