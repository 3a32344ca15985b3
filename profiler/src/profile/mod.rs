//! The access profile: a versioned JSON document, one per image.
//!
//! ```text
//! Profile
//! ├── image     which image (reference, config digest, diff IDs, platform)
//! ├── runs[]    command, exit status, times, kernel, tier, losses, mounts
//! ├── marks[]   names of the tests that the runs were split into
//! ├── paths[]   files by their place in the rootfs, symlinks resolved
//! ├── names[]   names the programs spoke that were found (links unresolved)
//! └── missing[] names that were looked up and not found
//! ```
//!
//! `paths` comes from the kernel's own dentries, so it is exact. `names` keeps
//! what the path walk started from, so that the minimizer can follow it
//! through the image and keep every symlink on the way.

mod bytepath;
pub mod diff;
mod file;
mod ignored;
mod kinds;
mod marks;
pub mod merge;
mod stream;

use std::collections::BTreeSet;
use std::ops::{AddAssign, SubAssign};

use serde::{Deserialize, Serialize};

pub use bytepath::BytePath;
pub use file::{LoadError, SaveError, load, load_noting, save};
pub use kinds::KindSet;
pub use marks::{MarkSet, MarkSetError, MarkUse, OUTSIDE};
pub use stream::{Each, Streamed};

/// The format's version; a reader refuses a higher one.
pub const VERSION: u32 = 1;

/// One image's access profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Format version, [`VERSION`].
    pub version: u32,
    /// The image whose containers were watched.
    pub image: ImageId,
    /// Every run that is folded into this profile.
    pub runs: Vec<Run>,
    /// Names of the tests that the runs were split into by marks, sorted; the
    /// first is empty and stands for what lies outside of them. Empty for
    /// runs without marks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<String>,
    /// Files touched, by place in the rootfs, sorted by path.
    pub paths: Vec<PathEntry>,
    /// Names that were looked up and found, sorted by name.
    pub names: Vec<NameEntry>,
    /// Names that were looked up and did not exist, sorted by name.
    pub missing: Vec<NameEntry>,
}

/// What identifies an image independently of its tags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageId {
    /// The reference by which the engine knew it, e.g. `nginx:1.27`.
    pub reference: String,
    /// Digest the engine uses as image ID, `sha256:…` (config digest).
    pub id: String,
    /// Digests of the uncompressed layers, lowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff_ids: Vec<String>,
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// GOARCH name, e.g. `amd64`.
    #[serde(default)]
    pub architecture: String,
}

/// One run of a test command, or one recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Run {
    /// The command under which the containers ran; empty for a recording.
    pub command: Vec<String>,
    /// Its exit status (128 + signal number when killed); none for a
    /// recording, and none when the run was cut short.
    pub exit_status: Option<i32>,
    /// RFC 3339, UTC.
    pub started: String,
    /// RFC 3339, UTC.
    pub ended: String,
    /// Kernel release.
    pub kernel: String,
    /// Hook tier: `tracepoint` or `fexit`.
    pub tier: String,
    /// What this tier cannot see, in words; a lookup of such a kind may be
    /// missing although nothing is counted as lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blind_spots: Vec<String>,
    /// True when the run was interrupted before its end.
    #[serde(default)]
    pub interrupted: bool,
    /// Events that could not be delivered, by cause.
    pub lost: Lost,
    /// Containers of this image seen in this run, full IDs, sorted.
    pub containers: BTreeSet<String>,
    /// Mount points inside those containers, sorted.
    #[serde(default)]
    pub mounts: BTreeSet<BytePath>,
    /// Lookups of names that did not exist and that are not in `missing`,
    /// because a container had as many there as are kept. They do not make a
    /// profile incomplete: nothing is kept for such names.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing_dropped: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Counts of events that did not reach the profile, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lost {
    /// The ring buffer had no room. The name is learnt by its next touch.
    pub ring_full: u64,
    /// Paths deeper or longer than the kernel side can carry.
    pub path_too_deep: u64,
    /// Program runs the kernel skipped (recursion).
    pub missed_runs: u64,
    /// Events of containers whose image could not be found out.
    pub unattributed: u64,
    /// Events that could not be decoded or read, or that there was no room
    /// for.
    pub unreadable: u64,
    /// First touches after the table of known names was full; delivered all
    /// the same, so they do not make a profile incomplete.
    #[serde(default)]
    pub table_full: u64,
}

impl Lost {
    /// Events that are truly missing from the profile.
    pub fn total(&self) -> u64 {
        self.by_cause().iter().fold(0, |sum: u64, (_, count)| sum.saturating_add(*count))
    }
}

impl Lost {
    /// The causes that make a profile incomplete, by their names in the
    /// document.
    pub fn by_cause(&self) -> [(&'static str, u64); 5] {
        [
            ("ring_full", self.ring_full),
            ("path_too_deep", self.path_too_deep),
            ("missed_runs", self.missed_runs),
            ("unattributed", self.unattributed),
            ("unreadable", self.unreadable),
        ]
    }
}

impl AddAssign for Lost {
    fn add_assign(&mut self, other: Self) {
        // What a damaged file tells may be any number.
        self.change(other, u64::saturating_add);
    }
}

/// What is left when a part is counted elsewhere.
impl SubAssign for Lost {
    fn sub_assign(&mut self, part: Self) {
        // A part that was counted a moment later may be the larger.
        self.change(part, u64::saturating_sub);
    }
}

impl Lost {
    /// Changes each count by the other's of the same cause.
    fn change(&mut self, other: Self, by: fn(u64, u64) -> u64) {
        // Taken apart, so that a cause added above is not forgotten here.
        let Self { ring_full, path_too_deep, missed_runs, unattributed, unreadable, table_full } =
            other;
        for (count, other) in [
            (&mut self.ring_full, ring_full),
            (&mut self.path_too_deep, path_too_deep),
            (&mut self.missed_runs, missed_runs),
            (&mut self.unattributed, unattributed),
            (&mut self.unreadable, unreadable),
            (&mut self.table_full, table_full),
        ] {
            *count = by(*count, other);
        }
    }
}

/// How a file was touched.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Opened (any access mode, `O_PATH` too).
    #[default]
    Open,
    /// Executed, or loaded by the kernel as interpreter.
    Exec,
    /// Mapped into memory.
    Mmap,
    /// Attributes read, following symlinks (`stat`, `access`, `chdir`, …).
    Stat,
    /// Attributes of the name itself read (`lstat`, `AT_SYMLINK_NOFOLLOW`).
    Lstat,
    /// Link target read.
    Readlink,
    /// Directory listed.
    List,
    /// The name created, removed, renamed or bound (`mkdir`, `unlink`, …).
    Modify,
}

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Self; 8] = [
        Self::Open,
        Self::Exec,
        Self::Mmap,
        Self::Stat,
        Self::Lstat,
        Self::Readlink,
        Self::List,
        Self::Modify,
    ];

    /// Whether a symlink at the end of the name is followed.
    pub fn follows(self) -> bool {
        !matches!(self, Self::Lstat | Self::Readlink | Self::Modify)
    }
}

/// A file by its place in the container's rootfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathEntry {
    /// Absolute path in the rootfs; no symlinks, no `..`.
    pub path: BytePath,
    /// Kinds of access seen.
    pub kinds: KindSet,
    /// Opened for writing at least once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub written: bool,
    /// Touched by the container runtime before the entrypoint ran, and by
    /// nothing else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub runtime: bool,
    /// `comm` of the first task that touched it.
    pub comm: String,
    /// Executable of that task, by its place in the rootfs; none where it is
    /// from outside (a container runtime) or not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<BytePath>,
    /// How many executables touched it; all from outside the rootfs count as
    /// one. In a profile of several runs the most that one of them saw.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub exes: u32,
    /// When it was first touched: RFC 3339, UTC, always with three decimal
    /// places, so that of two such texts the smaller one is the earlier time.
    /// For what was open before recording began, that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Which of [`Profile::marks`] touched it, but for the container
    /// runtime's touches; without it none of them, only what lies outside
    /// ([`mark_set`](Self::mark_set) spells that out).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<MarkSet>,
}

impl Default for PathEntry {
    /// A path that nothing is known of.
    fn default() -> Self {
        Self {
            path: BytePath::default(),
            kinds: KindSet::default(),
            written: false,
            runtime: false,
            comm: String::new(),
            exe: None,
            exes: one(),
            first: None,
            marks: None,
        }
    }
}

fn one() -> u32 {
    1
}

fn is_one(number: &u32) -> bool {
    *number == 1
}

/// A name as a program spoke it, made absolute, symlinks not resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameEntry {
    /// Absolute name in the container; may hold symlinks and `..`.
    pub name: BytePath,
    /// Kinds of access seen.
    pub kinds: KindSet,
    /// `comm` of the first task that spoke it.
    pub comm: String,
    /// Executable of that task, by its place in the rootfs. Of names that
    /// were not found only; none where it is from outside or not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<BytePath>,
    /// As [`PathEntry::marks`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<MarkSet>,
}

impl Profile {
    /// An empty profile of `image`.
    pub fn new(image: ImageId) -> Self {
        Self {
            version: VERSION,
            image,
            runs: Vec::new(),
            marks: Vec::new(),
            paths: Vec::new(),
            names: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Why this profile does not hold all that its runs touched; empty when
    /// it is complete.
    pub fn incomplete(&self) -> Vec<String> {
        incomplete(&self.runs)
    }

    /// Runs whose command failed, as `(started, exit status)`.
    pub fn failed_runs(&self) -> Vec<(&str, i32)> {
        self.runs
            .iter()
            .filter_map(|run| match run.exit_status {
                Some(status) if status != 0 => Some((run.started.as_str(), status)),
                _ => None,
            })
            .collect()
    }
}

/// Why what these runs saw is not all that they touched; empty when it is.
pub fn incomplete(runs: &[Run]) -> Vec<String> {
    let mut why = Vec::new();
    for run in runs {
        if run.interrupted {
            why.push(format!("run started {} was interrupted", run.started));
        }
        if run.lost.total() > 0 {
            why.push(format!("run started {} lost {} events", run.started, run.lost.total()));
        }
    }
    why
}
