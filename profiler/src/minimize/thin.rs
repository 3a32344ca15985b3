//! Profiles in which too little ran to make an image from.

use std::collections::BTreeSet;

use crate::profile::{BytePath, Kind, PathEntry, Profile};

/// What profiles saw, as far as it tells whether an image was used or merely
/// started. Of all profiles together: one of several may cover only a side
/// command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Containers.
    pub containers: usize,
    /// Files, in each profile anew.
    pub files: usize,
    /// What was executed, loaders aside.
    programs: BTreeSet<BytePath>,
    /// A loader ran: the program is linked dynamically.
    loader: bool,
    /// Something was touched that no loader touches.
    beyond: bool,
}

impl Seen {
    /// Adds what a profile saw.
    pub fn add(&mut self, profile: &Profile) {
        self.containers += profile.runs.iter().map(|run| run.containers.len()).sum::<usize>();
        self.files += profile.paths.len();
        for entry in profile.paths.iter().filter(|entry| !entry.runtime) {
            // Of what ran already when recording began, the loader is mapped.
            if is_loader(entry) {
                self.loader = true;
            } else if entry.kinds.contains(Kind::Exec) {
                self.programs.insert(entry.path.clone());
            } else if !is_start_up(entry) {
                self.beyond = true;
            }
        }
    }

    /// Why this is too thin to make an image from; none when it is not: when
    /// nothing was executed, or one program was all that ran and it came no
    /// further than its loader. A static program may have nothing to touch, so
    /// one alone is no sign.
    pub fn thin(&self) -> Option<String> {
        let mut programs = self.programs.iter();
        let Some(program) = programs.next() else { return Some("nothing executed".to_owned()) };
        (programs.next().is_none() && self.loader && !self.beyond)
            .then(|| format!("only {program} executed, which touched nothing but its libraries"))
    }
}

/// glibc's `ld-linux-x86-64.so.2` and `ld-2.31.so`, musl's `ld-musl-x86_64.so.1`.
fn is_loader(entry: &PathEntry) -> bool {
    let name = name(entry);
    name.starts_with(b"ld-") && name.windows(3).any(|part| part == b".so")
}

/// What a dynamic loader touches: its own files, libraries, and directories
/// in search of them.
fn is_start_up(entry: &PathEntry) -> bool {
    let name = name(entry);
    let library = name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.");
    let looks = [Kind::Stat, Kind::Lstat, Kind::Readlink].into();
    let searched = entry.kinds.is_subset(looks) && name.starts_with(b"lib");
    matches!(name, b"ld.so.cache" | b"ld.so.preload") || library || searched
}

fn name(entry: &PathEntry) -> &[u8] {
    entry.path.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ImageId;

    fn thin(paths: &[(&str, Kind)]) -> Option<String> {
        let mut profile = Profile::new(ImageId::default());
        for &(path, kind) in paths {
            let kinds = [kind].into();
            profile.paths.push(PathEntry { path: path.into(), kinds, ..PathEntry::default() });
        }
        let mut seen = Seen::default();
        seen.add(&profile);
        seen.thin()
    }

    const START: [(&str, Kind); 4] = [
        ("/usr/sbin/server", Kind::Exec),
        ("/lib64/ld-linux-x86-64.so.2", Kind::Exec),
        ("/etc/ld.so.cache", Kind::Open),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", Kind::Mmap),
    ];

    #[test]
    fn nothing_executed_is_thin() {
        assert_eq!(thin(&[]).unwrap(), "nothing executed");
        assert_eq!(thin(&[("/etc/passwd", Kind::Open)]).unwrap(), "nothing executed");
    }

    #[test]
    fn one_program_that_came_no_further_than_its_loader_is_thin() {
        let why = thin(&START).unwrap();
        assert!(why.contains("/usr/sbin/server"), "{why}");
    }

    #[test]
    fn one_file_of_its_own_or_a_second_program_is_enough() {
        let with = |more| thin(&[START.as_slice(), &[more]].concat());
        assert_eq!(with(("/etc/server.conf", Kind::Open)), None);
        assert_eq!(with(("/usr/bin/helper", Kind::Exec)), None);
        assert_eq!(with(("/srv", Kind::List)), None);
    }

    #[test]
    fn a_static_program_may_have_nothing_to_touch() {
        assert_eq!(thin(&[("/server", Kind::Exec)]), None);
    }

    #[test]
    fn what_only_the_container_runtime_touched_is_no_use_of_the_image() {
        let mut profile = Profile::new(ImageId::default());
        for (path, kind) in START {
            let kinds = [kind].into();
            profile.paths.push(PathEntry { path: path.into(), kinds, ..PathEntry::default() });
        }
        profile.paths.push(PathEntry {
            path: "/etc/passwd".into(),
            kinds: [Kind::Open].into(),
            runtime: true,
            ..PathEntry::default()
        });
        let mut seen = Seen::default();
        seen.add(&profile);
        assert!(seen.thin().is_some());
    }
}
