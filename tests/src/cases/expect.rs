//! What a profile must hold of a case: data, one row a touch.

use std::fmt;

/// A list of the profile's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// `paths`: files by their place in the rootfs.
    Paths,
    /// `names`: names as spoken, where they differ from the path.
    Names,
    /// `missing`: names that were looked up in vain.
    Missing,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Paths, Self::Names, Self::Missing];

    /// Its key in the profile.
    pub fn key(self) -> &'static str {
        match self {
            Self::Paths => "paths",
            Self::Names => "names",
            Self::Missing => "missing",
        }
    }

    /// Key of the entry's path or name.
    pub fn place(self) -> &'static str {
        if self == Self::Paths { "path" } else { "name" }
    }
}

/// A set of hooks, of which a profiler attaches one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Exits of kernel functions.
    Fexit,
    /// Tracepoints.
    Tracepoint,
}

impl std::str::FromStr for Tier {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "fexit" => Ok(Self::Fexit),
            "tracepoint" => Ok(Self::Tracepoint),
            _ => Err(format!("{name:?} is no tier: fexit or tracepoint")),
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fexit => "fexit",
            Self::Tracepoint => "tracepoint",
        })
    }
}

/// Kinds of access as the profile spells them.
pub mod kind {
    /// Opened.
    pub const OPEN: &str = "open";
    /// Executed, or loaded by the kernel as an interpreter.
    pub const EXEC: &str = "exec";
    /// Mapped into memory by `mmap`.
    pub const MMAP: &str = "mmap";
    /// Attributes read, last symlink followed.
    pub const STAT: &str = "stat";
    /// Attributes of the name itself read.
    pub const LSTAT: &str = "lstat";
    /// Link target read.
    pub const READLINK: &str = "readlink";
    /// Directory listed.
    pub const LIST: &str = "list";
    /// Name created, removed, renamed or bound.
    pub const MODIFY: &str = "modify";
}

/// On which tiers a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// On all.
    Always,
    /// On all but this one, which cannot see it for the reason given.
    Unseen(Tier, &'static str),
    /// On this one only.
    Only(Tier),
    /// Allowed on both, asked for on none.
    Maybe,
    /// Allowed on this one, asked for on none.
    MaybeOn(Tier),
}

/// One row: a place that must be in a section of the profile, with a kind of
/// access. Rows of the same place and section add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it must stand.
    pub section: Section,
    /// Relative to the case's directory; empty for the directory itself.
    pub place: Vec<u8>,
    /// The kind of access.
    pub kind: &'static str,
    /// Opened for writing (`paths` only).
    pub written: bool,
    /// On which tiers.
    pub when: When,
    /// The part of the case that makes the touch, in cases of several.
    pub part: Option<&'static str>,
}

/// A file's place in the rootfs.
pub fn path(place: impl AsRef<[u8]>, kind: &'static str) -> Entry {
    entry(Section::Paths, place, kind)
}

/// A name as spoken.
pub fn name(place: impl AsRef<[u8]>, kind: &'static str) -> Entry {
    entry(Section::Names, place, kind)
}

/// A name looked up in vain.
pub fn missing(place: impl AsRef<[u8]>, kind: &'static str) -> Entry {
    entry(Section::Missing, place, kind)
}

fn entry(section: Section, place: impl AsRef<[u8]>, kind: &'static str) -> Entry {
    let place = place.as_ref().to_vec();
    Entry { section, place, kind, written: false, when: When::Always, part: None }
}

impl Entry {
    /// Opened for writing.
    pub fn written(mut self) -> Self {
        self.written = true;
        self
    }

    /// Made by this part of the case.
    pub fn part(mut self, part: &'static str) -> Self {
        self.part = Some(part);
        self
    }

    /// Not seen on `tier`, for this reason.
    pub fn unseen(mut self, tier: Tier, reason: &'static str) -> Self {
        self.when = When::Unseen(tier, reason);
        self
    }

    /// Seen on `tier` only.
    pub fn only(mut self, tier: Tier) -> Self {
        self.when = When::Only(tier);
        self
    }

    /// Allowed, not asked for.
    pub fn maybe(mut self) -> Self {
        self.when = When::Maybe;
        self
    }

    /// Allowed on `tier`, not asked for.
    pub fn maybe_on(mut self, tier: Tier) -> Self {
        self.when = When::MaybeOn(tier);
        self
    }
}
