//! Containers of OCI runtimes whose state went before it could be read.
//!
//! A runtime makes a directory for a container's state, writes the state,
//! starts the program, and removes the directory when that has ended. The
//! directories that appeared are set against the states that were read.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Directories of state that appeared.
#[derive(Debug, Default)]
pub struct Unread(HashMap<PathBuf, Directory>);

#[derive(Debug, Default)]
struct Directory {
    /// How often one of that name was made.
    made: usize,
    /// Found by looking: word of its making may still come.
    found: bool,
    /// First processes, and their starts, of the states read there.
    read: HashSet<(i32, u64)>,
}

impl Unread {
    /// A directory was made: the kernel told so. Returns how many times up to
    /// now.
    pub fn made(&mut self, directory: PathBuf) -> u64 {
        let entry = self.0.entry(directory).or_default();
        if !std::mem::take(&mut entry.found) {
            entry.made += 1;
        }
        entry.made as u64
    }

    /// A directory was there when its parent was looked into.
    pub fn found(&mut self, directory: PathBuf) {
        let entry = self.0.entry(directory).or_default();
        if entry.made == 0 {
            (entry.made, entry.found) = (1, true);
        }
    }

    /// The state of a container with that first process was read; the start
    /// tells it from a later one with the same number. With 0 for a process
    /// as much is known without its state, which may still come.
    pub fn read(&mut self, directory: &Path, pid: i32, start: u64) {
        let read = &mut self.0.entry(directory.to_owned()).or_default().read;
        if read.insert((pid, start)) && pid != 0 {
            let announced = read.iter().filter(|(pid, _)| *pid == 0).max().copied();
            announced.map(|announced| read.remove(&announced));
        }
    }

    /// Leaves out what is unread up to now: it was there before, or was left
    /// behind by a runtime that was killed.
    pub fn forgive(&mut self) {
        for entry in self.0.values_mut().filter(|entry| entry.made > entry.read.len()) {
            entry.read.insert((0, 0));
        }
    }

    /// Directories of which more were made than states were read.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        let unread = self.0.iter().filter(|(_, entry)| entry.made > entry.read.len());
        unread.map(|(path, _)| path.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_container_of_a_name_has_to_be_read() {
        let mut unread = Unread::default();
        let web = || PathBuf::from("/run/runc/web");
        unread.found("/run/runc/stale".into());
        unread.forgive();
        unread.found("/run/runc/stale".into());
        unread.made(web());
        assert_eq!(unread.all().collect::<Vec<_>>(), [web()]);
        // A state is read again whenever it changes; and may be before the
        // word of its directory comes.
        unread.read(&web(), 7, 1);
        unread.read(&web(), 7, 1);
        assert_eq!(unread.all().count(), 0);
        unread.read(&web(), 7, 2);
        unread.made(web());
        assert_eq!(unread.all().count(), 0);
        unread.made(web());
        assert_eq!(unread.all().count(), 1);
        unread.read(&web(), 0, 3);
        unread.read(&web(), 7, 3);
        unread.made(web());
        assert_eq!(unread.all().count(), 1);
    }

    #[test]
    fn one_that_was_found_and_told_of_is_one() {
        let mut unread = Unread::default();
        unread.found("/run/runc/web".into());
        unread.made("/run/runc/web".into());
        unread.read(Path::new("/run/runc/web"), 7, 1);
        assert_eq!(unread.all().count(), 0);
        unread.made("/run/runc/web".into());
        assert_eq!(unread.all().count(), 1);
    }
}
