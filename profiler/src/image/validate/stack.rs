//! The rootfs that layers stack up to, as far as checking the next one needs
//! it: which path is what.

use std::collections::{BTreeMap, HashMap};

use tar::EntryType;

use super::super::entry::normalize;
use super::super::tree::split;
use super::finding::{Findings, Problem};
use super::tar::RawEntry;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Dir,
    Symlink,
    /// Anything that has no entries below and leads nowhere.
    Other,
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The paths of the layers so far.
#[derive(Debug, Default)]
pub struct Stack {
    paths: BTreeMap<Vec<u8>, Kind>,
    /// A layer could not be read, so more may be there than is known.
    incomplete: bool,
}

impl Stack {
    /// Checks a layer's entries against each other and against the layers
    /// below, and puts them on top.
    pub fn push(&mut self, place: &str, entries: &[RawEntry], findings: &mut Findings) {
        let mut own: HashMap<Vec<u8>, Kind> = HashMap::new();
        let mut hidden = Vec::new();
        for entry in entries {
            let path = normalize(&entry.name);
            let mut add = |problem| findings.add(at(place, &entry.name), problem);
            if let Some(why) = wrong_name(entry) {
                add(Problem::Name(why));
            }
            let (parent, base) = split(&path);
            if base.starts_with(WHITEOUT) {
                match wrong_whiteout(entry, base) {
                    Some(why) => add(Problem::Whiteout(why)),
                    None if base == OPAQUE => hidden.push((parent.to_vec(), true)),
                    None => hidden.push((join(parent, &base[WHITEOUT.len()..]), false)),
                }
                continue;
            }
            let mut kind = match entry.kind {
                EntryType::Directory => Kind::Dir,
                EntryType::Symlink => Kind::Symlink,
                // Version 7 tar marks directories by a slash alone.
                _ if entry.name.ends_with(b"/") => Kind::Dir,
                _ => Kind::Other,
            };
            if entry.kind == EntryType::Link {
                let target = normalize(&entry.link);
                let why = match own.get(&target).or_else(|| self.paths.get(&target)) {
                    None if self.incomplete => None,
                    None => Some("is not there before it"),
                    Some(Kind::Dir) => Some("is a directory"),
                    Some(&of_target) => {
                        kind = of_target;
                        None
                    }
                };
                if let Some(why) = why {
                    let target = String::from_utf8_lossy(&entry.link).into_owned();
                    add(Problem::HardLink { target, why });
                }
            }
            if own.insert(path, kind).is_some() {
                add(Problem::Duplicate);
            }
        }
        for (path, opaque) in &hidden {
            self.remove(path, !opaque);
        }
        for entry in entries {
            self.check_parents(place, &entry.name, &own, findings);
        }
        for (path, kind) in own {
            if kind != Kind::Dir {
                self.remove(&path, true);
            }
            self.paths.insert(path, kind);
        }
    }

    /// Puts a layer on top whose entries are not known. What follows from
    /// that is no finding of its own.
    pub fn push_unknown(&mut self) {
        self.incomplete = true;
    }

    /// Takes away what is below a path, and the path itself if asked.
    fn remove(&mut self, path: &[u8], itself: bool) {
        if itself {
            self.paths.remove(path);
        }
        let prefix = if path.is_empty() { Vec::new() } else { join(path, b"") };
        let below: Vec<Vec<u8>> = self
            .paths
            .range(prefix.clone()..)
            .take_while(|(path, _)| path.starts_with(&prefix))
            .map(|(path, _)| path.clone())
            .collect();
        for path in below {
            self.paths.remove(&path);
        }
    }

    /// Everything an entry lies in must be a directory, or not be mentioned
    /// at all.
    fn check_parents(
        &self,
        place: &str,
        name: &[u8],
        own: &HashMap<Vec<u8>, Kind>,
        findings: &mut Findings,
    ) {
        let path = normalize(name);
        let mut parent = split(&path).0;
        while !parent.is_empty() {
            let what = match own.get(parent).or_else(|| self.paths.get(parent)) {
                Some(Kind::Dir) | None => None,
                Some(Kind::Symlink) => Some("a symlink"),
                Some(Kind::Other) => Some("no directory"),
            };
            if let Some(what) = what {
                let parent = String::from_utf8_lossy(parent).into_owned();
                findings.add(at(place, name), Problem::Parent { parent, what });
                return;
            }
            parent = split(parent).0;
        }
    }
}

fn at(place: &str, name: &[u8]) -> String {
    format!("{place} {}", String::from_utf8_lossy(name))
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() }
}

/// What is wrong with a name. A leading `./` and a directory's trailing slash
/// are usual.
fn wrong_name(entry: &RawEntry) -> Option<&'static str> {
    let name = entry.name.as_slice();
    if name.is_empty() {
        return Some("is empty");
    }
    if name.starts_with(b"/") {
        return Some("is absolute");
    }
    if name.contains(&0) {
        return Some("holds a NUL");
    }
    let name = name.strip_suffix(b"/").unwrap_or(name);
    let name = name.strip_prefix(b"./").unwrap_or(name);
    if name == b"." || name.is_empty() {
        return None;
    }
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b".." => return Some("leads upwards (..)"),
            b"" | b"." => return Some("is not normalised"),
            _ => {}
        }
    }
    None
}

/// What is wrong with an entry whose name marks it as a whiteout.
fn wrong_whiteout(entry: &RawEntry, base: &[u8]) -> Option<&'static str> {
    let hides = &base[WHITEOUT.len()..];
    if !matches!(entry.kind, EntryType::Regular | EntryType::Continuous) {
        return Some("it is not a regular file");
    }
    if entry.size != 0 {
        return Some("it is not empty");
    }
    if base == OPAQUE {
        return None;
    }
    match hides {
        b"" | b"." | b".." => Some("it names nothing to hide"),
        _ if hides.starts_with(WHITEOUT) => Some("names that begin with .wh..wh. are reserved"),
        _ => None,
    }
}
