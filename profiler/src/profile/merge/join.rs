//! The union of sorted lists of entries.

use std::cmp::Ordering;

use super::super::marks::{short, spelled};
use super::super::{BytePath, MarkSet, NameEntry, PathEntry};

/// An entry that is found by its key.
pub(super) trait Keyed {
    /// What it is sorted by.
    fn key(&self) -> &BytePath;
    /// Takes in another entry of the same key.
    fn join(&mut self, other: Self);
    /// Its marks, and whether nothing but the runtime touched it.
    fn marks(&mut self) -> (&mut Option<MarkSet>, bool);
}

/// The union of the marks of entries, each with whether nothing but the
/// runtime touched it.
fn unite_marks(one: (Option<MarkSet>, bool), other: (Option<MarkSet>, bool)) -> Option<MarkSet> {
    if one.0.is_none() && other.0.is_none() {
        // Neither by a test, so at most by what lies outside.
        return None;
    }
    let runtime = one.1 && other.1;
    let mut marks = spelled(one.0, one.1);
    marks.unite(&spelled(other.0, other.1));
    short(marks, runtime)
}

impl Keyed for PathEntry {
    fn key(&self) -> &BytePath {
        &self.path
    }

    fn join(&mut self, other: Self) {
        if first_touch(&other) < first_touch(self) {
            self.first.clone_from(&other.first);
            self.comm.clone_from(&other.comm);
            self.exe.clone_from(&other.exe);
        }
        let Self { path: _, kinds, written, runtime, comm: _, exe: _, exes, first: _, marks } =
            other;
        self.kinds.unite(kinds);
        self.written |= written;
        self.marks = unite_marks((self.marks.take(), self.runtime), (marks, runtime));
        self.runtime &= runtime;
        self.exes = self.exes.max(exes);
    }

    fn marks(&mut self) -> (&mut Option<MarkSet>, bool) {
        (&mut self.marks, self.runtime)
    }
}

/// Orders touches by time, then by bytes; what is not known comes last.
fn first_touch(entry: &PathEntry) -> impl Ord + '_ {
    let PathEntry { first, comm, exe, .. } = entry;
    ((first.is_none(), first), (comm.is_empty(), comm), (exe.is_none(), exe))
}

impl Keyed for NameEntry {
    fn key(&self) -> &BytePath {
        &self.name
    }

    fn join(&mut self, other: Self) {
        if speaker(&other) < speaker(self) {
            self.comm.clone_from(&other.comm);
            self.exe.clone_from(&other.exe);
        }
        let Self { name: _, kinds, comm: _, exe: _, marks } = other;
        self.kinds.unite(kinds);
        self.marks = unite_marks((self.marks.take(), false), (marks, false));
    }

    fn marks(&mut self) -> (&mut Option<MarkSet>, bool) {
        (&mut self.marks, false)
    }
}

/// Orders those who spoke a name by bytes; what is not known comes last.
fn speaker(entry: &NameEntry) -> impl Ord + '_ {
    let NameEntry { comm, exe, .. } = entry;
    ((comm.is_empty(), comm), (exe.is_none(), exe))
}

/// Adds `more` to the sorted list `all`. Profiles of one image hold mostly
/// the same paths, so the work is one pass over both.
pub(super) fn unite<T: Keyed>(all: &mut Vec<T>, mut more: Vec<T>) {
    if !more.is_sorted_by(|a, b| a.key() <= b.key()) {
        more.sort_by(|a, b| a.key().cmp(b.key()));
    }
    let mut fresh: Vec<T> = Vec::new();
    let mut at = 0;
    for entry in more {
        // Compared once each: names have long beginnings in common.
        let order = loop {
            match all.get(at).map(|known| known.key().cmp(entry.key())) {
                Some(Ordering::Less) => at += 1,
                order => break order,
            }
        };
        match (all.get_mut(at), fresh.last_mut()) {
            (Some(known), _) if order == Some(Ordering::Equal) => known.join(entry),
            (_, Some(last)) if last.key() == entry.key() => last.join(entry),
            _ => fresh.push(entry),
        }
    }
    if !fresh.is_empty() {
        all.append(&mut fresh);
        // Two sorted runs, which this sort finds and merges.
        all.sort_by(|a, b| a.key().cmp(b.key()));
    }
}
