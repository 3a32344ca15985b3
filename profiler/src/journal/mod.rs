//! What a session learnt, on disk while it lasts: should the profiler be
//! killed, the profile is made from it.
//!
//! Lines of JSON, each an object with one member, named as in [`Line`]; the
//! first line is a [`Header`]:
//!
//! ```text
//! {"format":"profiler-journal","version":1,"run":{…},"filter":{…},…}
//! {"event":{"cgroup":{"cgroup":7,"pid":4711,"names":["0123…","docker"]}}}
//! {"touch":[0,{"dev":59,"time":8000000,"comm":"sh","kind":"open","path":"/etc/passwd"}]}
//! {"resolved":[{"engine":"docker","id":"0123…"},{"id":"0123…","image":{…},…}]}
//! ```
//!
//! A line is written for what changes the profile and for nothing else, so
//! that a journal grows with what a profile grows with, distinct names, and
//! not with time or system calls. What is only counted is written once a
//! second, where it is another count than before.
//!
//! [`Journal`] writes, [`Replay`] reads. Lines reach the kernel within a
//! fraction of a second and are the kernel's from then on: they survive the
//! process. They are not forced to the disk, so they do not survive the
//! machine.

mod line;
mod replay;
#[cfg(test)]
mod tests;
mod writer;

pub use replay::{ReadError, Replay};
pub use writer::{Journal, JournalError};

use serde::{Deserialize, Serialize};

use crate::capture::{Event, Touch};
use crate::collect::{Clock, ContainerKey, Counts};
use crate::container::ContainerInfo;
use crate::profile::{Lost, Run};
use crate::session::Filter;

/// The format's version; a reader refuses a higher one. Another kind of line
/// or of event is a higher version, another member of one is not.
pub const VERSION: u32 = 1;

/// What [`Header::format`] says.
const FORMAT: &str = "profiler-journal";

/// How every journal begins.
const BEGINNING: &[u8] = br#"{"format":"profiler-journal","#;

/// Whether a file that begins like this is a journal.
pub fn is_journal(beginning: &[u8]) -> bool {
    beginning.starts_with(BEGINNING)
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// [`FORMAT`]; the first member, by which files are told apart.
    format: String,
    /// [`VERSION`].
    version: u32,
    /// The run as it would be if it were cut short.
    run: Run,
    /// Which containers count.
    filter: Filter,
    /// Device of the host's root filesystem.
    host_dev: u32,
    /// What times count by.
    clock: Clock,
}

/// Any other line. Containers are known by their places: they are numbered in
/// the order in which `event` and `container` lines tell of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// A container that ran before, by its ID.
    Earlier(String),
    /// Anything that the kernel side told, touches apart.
    Event(Event),
    /// A container that no event need have told of: its key, and the path of
    /// its control group.
    Container(ContainerKey, String),
    /// A touch, and the place of its container. Without what the profile does
    /// not need.
    Touch(usize, Touch),
    /// What the engines say of a container; null when they know nothing.
    Resolved(ContainerKey, Option<ContainerInfo>),
    /// Counts of a container, by its place; they replace those before.
    Counts(usize, Counts),
    /// Losses so far, of a control group or, with null, of all.
    Lost(Option<u64>, Lost),
    /// The last line of a session that came to its end: what its run turned
    /// out to be.
    End(Run),
}
