//! What one profile holds and another does not.

use serde::Serialize;

use super::{BytePath, KindSet, NameEntry, PathEntry, Profile};

/// How two profiles differ in what was touched. Runs, processes and times,
/// which differ between any two, are not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Files, by place in the rootfs.
    pub paths: Changes,
    /// Names that were looked up and found.
    pub names: Changes,
    /// Names that were looked up in vain.
    pub missing: Changes,
}

/// How two lists differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Only in the old profile, in order.
    pub removed: Vec<Touch>,
    /// Only in the new one, in order.
    pub added: Vec<Touch>,
    /// In both, touched in another way, in order.
    pub changed: Vec<Change>,
}

/// A path or name and the ways it was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Touch {
    /// The path or name.
    pub path: BytePath,
    /// Kinds of access.
    #[serde(flatten)]
    pub ways: Ways,
}

/// A path or name that two profiles hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The path or name.
    pub path: BytePath,
    /// How it was touched in the old profile.
    pub old: Ways,
    /// How in the new one.
    pub new: Ways,
}

/// The ways in which something was touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ways {
    /// Kinds of access.
    pub kinds: KindSet,
    /// Opened for writing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub written: bool,
    /// Only by the container runtime.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub runtime: bool,
}

impl Diff {
    /// Compares two profiles whose lists are sorted, as those in files are.
    pub fn of(old: &Profile, new: &Profile) -> Self {
        Self {
            paths: changes(old.paths.iter().map(path), new.paths.iter().map(path)),
            names: changes(old.names.iter().map(name), new.names.iter().map(name)),
            missing: changes(old.missing.iter().map(name), new.missing.iter().map(name)),
        }
    }

    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn path(entry: &PathEntry) -> Touch {
    let PathEntry { path, kinds, written, runtime, .. } = entry;
    let ways = Ways { kinds: *kinds, written: *written, runtime: *runtime };
    Touch { path: path.clone(), ways }
}

fn name(entry: &NameEntry) -> Touch {
    let NameEntry { name, kinds, .. } = entry;
    let ways = Ways { kinds: *kinds, written: false, runtime: false };
    Touch { path: name.clone(), ways }
}

fn changes(old: impl Iterator<Item = Touch>, new: impl Iterator<Item = Touch>) -> Changes {
    let mut changes = Changes::default();
    let (mut old, mut new) = (old.peekable(), new.peekable());
    loop {
        // The lesser of the two heads, or both when they are of one path.
        let (left, right) = match (old.peek(), new.peek()) {
            (None, None) => return changes,
            (Some(a), Some(b)) if a.path == b.path => (old.next(), new.next()),
            (Some(a), Some(b)) if b.path < a.path => (None, new.next()),
            (None, Some(_)) => (None, new.next()),
            (Some(_), _) => (old.next(), None),
        };
        match (left, right) {
            (Some(a), Some(b)) if a != b => {
                changes.changed.push(Change { path: a.path, old: a.ways, new: b.ways });
            }
            (Some(touch), None) => changes.removed.push(touch),
            (None, Some(touch)) => changes.added.push(touch),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ImageId, Kind};
    use super::*;

    fn profile(paths: &[(&str, Kind)], missing: &[&str]) -> Profile {
        let mut profile = Profile::new(ImageId::default());
        profile.paths = paths
            .iter()
            .map(|&(path, kind)| PathEntry {
                path: path.into(),
                kinds: [kind].into(),
                ..PathEntry::default()
            })
            .collect();
        profile.missing = missing
            .iter()
            .map(|&name| NameEntry { name: name.into(), ..NameEntry::default() })
            .collect();
        profile
    }

    #[test]
    fn what_is_in_one_only_or_touched_otherwise_is_told() {
        let old = profile(&[("/a", Kind::Open), ("/b", Kind::Open)], &["/x"]);
        let new = profile(&[("/b", Kind::Stat), ("/c", Kind::Exec)], &["/x", "/y"]);
        let diff = Diff::of(&old, &new);
        let names = |touches: &[Touch]| -> Vec<String> {
            touches.iter().map(|touch| touch.path.to_string()).collect()
        };
        assert_eq!(names(&diff.paths.removed), ["/a"]);
        assert_eq!(names(&diff.paths.added), ["/c"]);
        assert_eq!(diff.paths.changed.len(), 1);
        assert_eq!(diff.paths.changed[0].old.kinds, [Kind::Open].into());
        assert_eq!(diff.paths.changed[0].new.kinds, [Kind::Stat].into());
        assert_eq!(names(&diff.missing.added), ["/y"]);
        assert!(diff.missing.removed.is_empty() && diff.names == Changes::default());
    }

    #[test]
    fn other_runs_and_processes_are_no_difference() {
        let old = profile(&[("/a", Kind::Open)], &[]);
        let mut new = old.clone();
        new.runs.push(super::super::Run::default());
        new.paths[0].comm = "another".into();
        assert!(Diff::of(&old, &new).is_empty());
    }
}
