//! Reading and writing profile files.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserializer as _, Serialize};

use super::{Profile, VERSION, ignored};
use crate::files::write_whole;
use crate::journal::{ReadError, Replay, is_journal};

/// Why a profile could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be opened or read.
    #[error("cannot read profile {path}: {source}; write one with `profiler run -o {path} -- COMMAND`", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Not a profile, or a truncated one.
    #[error("profile {path} is damaged: {source}; profile the container again", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause, with line and column.
        source: serde_json::Error,
    },
    /// Written by a newer version.
    #[error("profile {path} has format version {found}, this program reads up to {VERSION}; use a newer profiler", path = .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// The journal of a session that was killed, of which no profile can be
    /// made.
    #[error("journal {path} {source}", path = .path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: ReadError,
    },
}

/// Why a profile could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write profile {path}: {source}; nothing was left behind, choose another place with -o", path = .path.display())]
pub struct SaveError {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// Reads a profile, or makes it of the [`journal`](crate::journal) of a session
/// that was killed.
///
/// # Errors
/// When the file cannot be read, is not a whole profile, or is of a newer
/// format version, and when a journal is of several images.
pub fn load(path: &Path) -> Result<Profile, LoadError> {
    load_noting(path, |_| ())
}

/// Reads a profile as [`load`] does, and tells of each member that this
/// version does not know, as `paths[].member`: a later program of the same
/// format version may have written it. It is not in what is returned.
///
/// # Errors
/// As [`load`].
pub fn load_noting(path: &Path, unknown: impl FnMut(String)) -> Result<Profile, LoadError> {
    Fetched { path, file: None }.load_into(&mut Vec::new(), unknown)
}

/// A file that the kernel may be fetching from the disk already.
pub(super) struct Fetched<'a> {
    path: &'a Path,
    /// Open ahead of its turn: a regular file, since opening a pipe waits for
    /// whoever writes to it.
    file: Option<File>,
}

impl<'a> Fetched<'a> {
    /// Begins to fetch it, if that is possible. Whatever fails here is told by
    /// [`load_into`](Self::load_into).
    pub(super) fn begin(path: &'a Path) -> Self {
        let regular = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        let file = regular.then(|| File::open(path).ok()).flatten();
        if let Some(file) = &file {
            // To the end of the file, whose length need not be asked for.
            let _ = fadvise(file, 0, None, Advice::WillNeed);
        }
        Self { path, file }
    }

    /// As [`load_noting`]. The file's text is read into `text`, whose memory
    /// serves the next one.
    ///
    /// # Errors
    /// As [`load`].
    pub(super) fn load_into(
        self,
        text: &mut Vec<u8>,
        unknown: impl FnMut(String),
    ) -> Result<Profile, LoadError> {
        let failed = |source| LoadError::Io { path: self.path.into(), source };
        let file = match self.file {
            Some(file) => file,
            None => File::open(self.path).map_err(failed)?,
        };
        read(text, self.path, file, unknown)
    }
}

/// Reads an open file.
fn read(
    text: &mut Vec<u8>,
    path: &Path,
    file: File,
    mut unknown: impl FnMut(String),
) -> Result<Profile, LoadError> {
    text.clear();
    let failed = |source| LoadError::Io { path: path.into(), source };
    let mut reader = BufReader::new(file);
    if is_journal(reader.fill_buf().map_err(failed)?) {
        return Replay::read(reader)
            .and_then(Replay::only)
            .map(|recording| recording.to_profile())
            .map_err(|source| LoadError::Journal { path: path.into(), source });
    }
    reader.read_to_end(text).map_err(failed)?;
    let damaged = |source| LoadError::Damaged { path: path.into(), source };
    // The version first: what follows may have another shape in a newer one.
    match version(text).map_err(damaged)?.as_ref().and_then(serde_json::Value::as_u64) {
        Some(found) if found > u64::from(VERSION) => {
            return Err(LoadError::Newer { path: path.into(), found });
        }
        _ => {}
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let (profile, some_unknown) = ignored::deserialize(&mut json).map_err(damaged)?;
    json.end().map_err(damaged)?;
    if some_unknown {
        let mut json = serde_json::Deserializer::from_slice(text);
        let note = |place: serde_ignored::Path<'_>| unknown(member(&place));
        let _: Profile = serde_ignored::deserialize(&mut json, note).map_err(damaged)?;
    }
    check_marks(&profile).map_err(damaged)?;
    Ok(profile)
}

/// The format version that a document tells. It is the first member of what
/// this program writes, and nothing behind it is looked at.
fn version(text: &[u8]) -> serde_json::Result<Option<serde_json::Value>> {
    let mut found = None;
    let end = serde_json::Deserializer::from_slice(text).deserialize_map(Version(&mut found));
    // That the document goes on behind it is an error to the parser.
    if found.is_some() { Ok(found) } else { end.map(|()| None) }
}

/// Where the version goes.
struct Version<'a>(&'a mut Option<serde_json::Value>);

impl<'de> Visitor<'de> for Version<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a profile")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "version" {
                *self.0 = Some(map.next_value()?);
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Whether the table of marks is one: places in it have a meaning.
fn check_marks(profile: &Profile) -> Result<(), serde_json::Error> {
    use serde::de::Error as _;
    match profile.marks.as_slice() {
        [] => Ok(()),
        [first, ..] if first.is_empty() && profile.marks.is_sorted_by(|a, b| a < b) => Ok(()),
        _ => Err(serde_json::Error::custom(
            "marks is not a sorted table of names that begins with the empty one",
        )),
    }
}

/// Where a member stands, whichever entry of a list it is in.
fn member(place: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    let below = |parent: &Path<'_>, key: &str| match member(parent) {
        parent if parent.is_empty() => key.to_owned(),
        parent => format!("{parent}.{key}"),
    };
    match place {
        Path::Root => String::new(),
        Path::Seq { parent, .. } => member(parent) + "[]",
        Path::Map { parent, key } => below(parent, key),
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => member(parent),
    }
}

/// Writes a [`Profile`] or [`Streamed`](super::Streamed) one: beside `path`
/// first, then renamed over it.
///
/// # Errors
/// When the directory cannot be written or the disk is full; `path` is then
/// as it was before.
pub fn save(profile: &impl Serialize, path: &Path) -> Result<(), SaveError> {
    let failed = |source| SaveError { path: path.into(), source };
    write_whole(path, |writer| {
        serde_json::to_writer_pretty(&mut *writer, profile)?;
        writer.write_all(b"\n")
    })
    .map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::profile::ImageId;

    #[test]
    fn a_saved_profile_loads_and_a_cut_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        let profile = Profile::new(ImageId { reference: "x".into(), ..ImageId::default() });
        save(&profile, &path).unwrap();
        assert_eq!(load(&path).unwrap(), profile);
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
        assert!(matches!(load(&path), Err(LoadError::Damaged { .. })));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_document_without_the_later_members_loads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        let entry = r#"{"path": "/a", "kinds": ["open"], "comm": "sh"}"#;
        let run = r#"{"command": [], "exit_status": null, "started": "", "ended": "",
            "kernel": "", "tier": "", "containers": [], "lost": {"ring_full": 0,
            "path_too_deep": 0, "missed_runs": 0, "unattributed": 0, "unreadable": 0}}"#;
        let text = format!(
            r#"{{"version": 1, "image": {{"reference": "x", "id": "y"}}, "runs": [{run}],
                "paths": [{entry}], "names": [], "missing": []}}"#
        );
        fs::write(&path, text).unwrap();
        let profile = load(&path).unwrap();
        assert_eq!((profile.paths[0].exes, &profile.paths[0].first), (1, &None));
        assert_eq!(profile.runs[0].missing_dropped, 0);
    }

    #[test]
    fn members_of_a_later_program_are_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        let text = r#"{"version": 1, "image": {"reference": "x", "id": "y", "signed": {"by": 1}},
            "runs": [], "names": [], "missing": [], "later": [1], "paths": [
            {"path": "/a", "kinds": [], "comm": "sh", "owner": 0},
            {"path": "/b", "kinds": [], "comm": "sh", "owner": 0}]}"#;
        fs::write(&path, text).unwrap();
        let mut unknown = std::collections::BTreeSet::new();
        let profile = load_noting(&path, |member| {
            unknown.insert(member);
        })
        .unwrap();
        assert_eq!(profile, load(&path).unwrap());
        assert_eq!(
            unknown.into_iter().collect::<Vec<_>>(),
            ["image.signed", "later", "paths[].owner"]
        );
    }

    #[test]
    fn marks_that_are_no_table_are_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        let load_with = |marks: &str, set: &str| {
            let entry = format!(r#"{{"path": "/a", "kinds": [], "comm": "sh", "marks": {set}}}"#);
            let text = format!(
                r#"{{"version": 1, "image": {{"reference": "x", "id": "y"}}, "runs": [],
                    "marks": {marks}, "paths": [{entry}], "names": [], "missing": []}}"#
            );
            fs::write(&path, text).unwrap();
            load(&path)
        };
        let profile = load_with(r#"["", "a", "b"]"#, r#""1-2""#).unwrap();
        let set = profile.paths[0].mark_set();
        assert_eq!(profile.tests(&set).collect::<Vec<_>>(), ["a", "b"]);
        for (marks, set) in [
            (r#"["a", "b"]"#, r#""1""#),
            (r#"["", "b", "a"]"#, r#""1""#),
            (r#"["", "a", "a"]"#, r#""1""#),
            (r#"["", "a"]"#, r#""x""#),
            (r#"["", "a"]"#, "1"),
        ] {
            assert!(matches!(load_with(marks, set), Err(LoadError::Damaged { .. })), "{marks}");
        }
    }

    #[test]
    fn a_newer_format_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        fs::write(&path, r#"{"version": 99}"#).unwrap();
        assert!(matches!(load(&path), Err(LoadError::Newer { found: 99, .. })));
        // Wherever it stands, and whatever shape the rest has.
        fs::write(&path, r#"{"image": [1, {"version": 1}], "version": 99, "paths": 7}"#).unwrap();
        assert!(matches!(load(&path), Err(LoadError::Newer { found: 99, .. })));
    }
}
