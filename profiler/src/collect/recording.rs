//! What is known of one image at the end: a profile that need not be spelled
//! out to be written.

use std::path::Path;

use super::clock::Clock;
use super::sorted::Sorted;
use super::table::{Entry, Role, Sealed, WORKLOAD, WRITTEN};
use crate::profile::{
    self, Each, ImageId, MarkSet, NameEntry, PathEntry, Profile, Run, SaveError, Streamed, VERSION,
};

/// One image's access profile as the collector holds it, some forty bytes a
/// path.
#[derive(Debug)]
pub struct Recording {
    pub(super) image: ImageId,
    pub(super) run: Run,
    /// The profile's table, and each test's place in it.
    pub(super) marks: Vec<String>,
    pub(super) places: Vec<u32>,
    pub(super) table: Sealed,
    pub(super) clock: Clock,
}

impl Recording {
    /// The image whose containers were watched.
    pub fn image(&self) -> &ImageId {
        &self.image
    }

    /// The run, with this image's containers, mounts and losses.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// How many paths were touched.
    pub fn paths(&self) -> usize {
        self.table.count(Role::Path)
    }

    /// Why the profile does not hold all that its run touched; empty when it
    /// is complete.
    pub fn incomplete(&self) -> Vec<String> {
        profile::incomplete(std::slice::from_ref(&self.run))
    }

    /// Writes the profile as [`profile::save`] does, entry by entry.
    ///
    /// # Errors
    /// See [`profile::save`].
    pub fn save(&self, path: &Path) -> Result<(), SaveError> {
        let sorted = self.table.sort();
        let entries = |role| self.table.entries(role, &sorted);
        profile::save(
            &Streamed {
                version: VERSION,
                image: &self.image,
                runs: std::slice::from_ref(&self.run),
                marks: &self.marks,
                paths: Each(|| entries(Role::Path).map(|entry| self.path_entry(entry))),
                names: Each(|| self.names(&sorted).map(|entry| self.name_entry(entry))),
                missing: Each(|| entries(Role::Missing).map(|entry| self.missing_entry(entry))),
            },
            path,
        )
    }

    /// The profile spelled out.
    pub fn to_profile(&self) -> Profile {
        let sorted = self.table.sort();
        let entries = |role| self.table.entries(role, &sorted);
        let mut profile = Profile::new(self.image.clone());
        profile.runs.push(self.run.clone());
        profile.marks.clone_from(&self.marks);
        profile.paths = entries(Role::Path).map(|entry| self.path_entry(entry)).collect();
        profile.names = self.names(&sorted).map(|entry| self.name_entry(entry)).collect();
        profile.missing = entries(Role::Missing).map(|entry| self.missing_entry(entry)).collect();
        profile
    }

    /// Names that say more than the paths do: a file that was touched in the
    /// same ways by its place needs none. (io_uring tells name and file of an
    /// open apart, and so does an execution by a script.)
    fn names<'a>(&'a self, sorted: &'a Sorted<'a>) -> impl Iterator<Item = Entry<'a>> {
        let mut paths = self.table.entries(Role::Path, sorted).peekable();
        self.table.entries(Role::Name, sorted).filter(move |name| {
            while paths.next_if(|path| path.name < name.name).is_some() {}
            paths.peek().is_none_or(|path| {
                path.name != name.name || !name.mark.kinds.is_subset(path.mark.kinds)
            })
        })
    }

    fn path_entry(&self, entry: Entry<'_>) -> PathEntry {
        PathEntry {
            kinds: entry.mark.kinds,
            written: entry.mark.flags & WRITTEN != 0,
            runtime: entry.mark.flags & WORKLOAD == 0,
            comm: entry.comm(),
            exe: entry.exe().map(Into::into),
            exes: entry.exes(),
            first: Some(self.clock.text(entry.mark.first)),
            marks: self.mark_set(&entry),
            path: entry.name.into(),
        }
    }

    /// A name that was found: the files it led to tell the executables.
    fn name_entry(&self, entry: Entry<'_>) -> NameEntry {
        NameEntry {
            kinds: entry.mark.kinds,
            comm: entry.comm(),
            exe: None,
            marks: self.mark_set(&entry),
            name: entry.name.into(),
        }
    }

    /// A name that was not found.
    fn missing_entry(&self, entry: Entry<'_>) -> NameEntry {
        let exe = entry.exe().map(Into::into);
        NameEntry { exe, ..self.name_entry(entry) }
    }

    /// What does not go without saying, which is the same there and here.
    fn mark_set(&self, entry: &Entry<'_>) -> Option<MarkSet> {
        let mut places: Vec<u32> = entry.tests()?.map(|test| self.places[test as usize]).collect();
        places.sort_unstable();
        Some(places.into_iter().collect())
    }
}
