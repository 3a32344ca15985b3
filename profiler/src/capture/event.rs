//! Decoding the kernel side's records.

use profiler_ebpf::{HEADER, Header, flag, kind};
use serde::{Deserialize, Serialize};

use crate::profile::{BytePath, Kind};

/// One record, decoded. In JSON as [`journal`](crate::journal) keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A control group appeared: its identity and names, leaf first.
    Cgroup {
        /// Identity, as in [`Touch::cgroup`].
        cgroup: u64,
        /// A process in it.
        pid: u32,
        /// Names from the leaf up, the root left out.
        #[serde(with = "names")]
        names: Vec<Vec<u8>>,
    },
    /// A file or name was touched for the first time in an epoch.
    Touch(Touch),
    /// Not a record: where a new epoch begins, and the test that it belongs
    /// to, or none.
    Mark {
        /// As in [`Touch::epoch`].
        epoch: u64,
        /// Name of the test.
        name: Option<String>,
    },
}

/// A first touch. In JSON what is zero, false or not there is left out: there
/// may be a million.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Touch {
    /// Control group of the task.
    #[serde(skip_serializing_if = "is_default")]
    pub cgroup: u64,
    /// Device of the rootfs.
    #[serde(skip_serializing_if = "is_default")]
    pub dev: u32,
    /// Inode number of the file; 0 where only a name is known.
    #[serde(skip_serializing_if = "is_default")]
    pub ino: u64,
    /// Inode number of the task's executable; 0 when that is not a file of
    /// the rootfs.
    #[serde(skip_serializing_if = "is_default")]
    pub exe_ino: u64,
    /// Nanoseconds since boot.
    #[serde(skip_serializing_if = "is_default")]
    pub time: u64,
    /// Process.
    #[serde(skip_serializing_if = "is_default")]
    pub pid: u32,
    /// Task name.
    #[serde(skip_serializing_if = "is_default")]
    pub comm: String,
    /// How.
    #[serde(skip_serializing_if = "is_default")]
    pub kind: Kind,
    /// The file's place in the rootfs, where the touch had a file.
    #[serde(skip_serializing_if = "is_default")]
    pub path: Option<BytePath>,
    /// The name spoken, made absolute, where there was one.
    #[serde(skip_serializing_if = "is_default")]
    pub name: Option<BytePath>,
    /// Opened for writing.
    #[serde(skip_serializing_if = "is_default")]
    pub written: bool,
    /// The name did not exist.
    #[serde(skip_serializing_if = "is_default")]
    pub missing: bool,
    /// The task's program is not the rootfs's own.
    #[serde(skip_serializing_if = "is_default")]
    pub foreign_exe: bool,
    /// A path was cut short, or is not known (opened by a handle).
    #[serde(skip_serializing_if = "is_default")]
    pub cut: bool,
    /// The epoch that the touch falls into; 0 until the first change, see
    /// [`Probe::advance`](super::Probe::advance).
    #[serde(skip_serializing_if = "is_default")]
    pub epoch: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Names in JSON, as paths are.
mod names {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::profile::BytePath;

    pub fn serialize<S: Serializer>(names: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(names.iter().map(|name| BytePath(name.clone())))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Vec<u8>>, D::Error> {
        let names = Vec::<BytePath>::deserialize(deserializer)?;
        Ok(names.into_iter().map(|name| name.0).collect())
    }
}

/// Decodes a record; none when it is not one of this version's.
pub fn decode(record: &[u8]) -> Option<Event> {
    let header = header(record)?;
    let mut rest = &record[HEADER..];
    let mut take = |len: u16| -> Option<&[u8]> {
        let (part, left) = rest.split_at_checked(usize::from(len))?;
        rest = left;
        Some(part)
    };
    let (name, path, base) =
        (take(header.name_len)?, take(header.path_len)?, take(header.base_len)?);
    let kind = match header.kind {
        kind::OPEN => Kind::Open,
        kind::EXEC => Kind::Exec,
        kind::STAT => Kind::Stat,
        kind::LSTAT => Kind::Lstat,
        kind::READLINK => Kind::Readlink,
        kind::LIST => Kind::List,
        kind::MODIFY => Kind::Modify,
        kind::MMAP => Kind::Mmap,
        kind::CGROUP => {
            let names = components(path)?.into_iter().map(<[u8]>::to_vec).collect();
            return Some(Event::Cgroup { cgroup: header.cgroup, pid: header.tgid, names });
        }
        _ => return None,
    };
    let has = |bit| header.flags & bit != 0;
    let cut = has(flag::CUT);
    // A cut path would name another file: better none.
    let detached = has(flag::DETACHED);
    let path =
        if header.ino == 0 || cut || detached { None } else { Some(join(&components(path)?)) };
    // A base without a name is where a change of directory led.
    let name = if cut || has(flag::BASE_OUTSIDE) || name.is_empty() && header.ino != 0 {
        None
    } else if name.is_empty() {
        Some(join(&components(base)?))
    } else {
        let mut absolute = join(&components(base)?).0;
        if absolute == b"/" {
            absolute.clear();
        }
        if !name.starts_with(b"/") {
            absolute.push(b'/');
        }
        absolute.extend_from_slice(name);
        Some(BytePath(absolute))
    };
    let comm = header.comm.split(|&byte| byte == 0).next().unwrap_or_default();
    Some(Event::Touch(Touch {
        cgroup: header.cgroup,
        dev: header.dev,
        ino: header.ino,
        exe_ino: header.exe,
        time: header.time,
        pid: header.tgid,
        comm: String::from_utf8_lossy(comm).into_owned(),
        kind,
        path,
        name,
        written: has(flag::WRITE),
        missing: has(flag::MISSING),
        foreign_exe: has(flag::FOREIGN_EXE),
        cut: cut || detached,
        epoch: header.epoch,
    }))
}

fn header(record: &[u8]) -> Option<Header> {
    let bytes = record.get(..HEADER)?;
    // SAFETY: `Header` is plain integers, any bytes are valid, and the slice
    // has its size; read unaligned.
    Some(unsafe { bytes.as_ptr().cast::<Header>().read_unaligned() })
}

/// Splits length-prefixed names.
fn components(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut names = Vec::new();
    while let Some((&len, rest)) = bytes.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(len))?;
        names.push(name);
        bytes = rest;
    }
    Some(names)
}

/// Absolute path from names, leaf first.
fn join(names: &[&[u8]]) -> BytePath {
    if names.is_empty() {
        return "/".into();
    }
    let mut path = Vec::new();
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    BytePath(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(mut header: Header, name: &[u8], path: &[u8], base: &[u8]) -> Vec<u8> {
        header.name_len = name.len() as u16;
        header.path_len = path.len() as u16;
        header.base_len = base.len() as u16;
        // SAFETY: plain integers, read as the bytes they are.
        let bytes = unsafe { std::slice::from_raw_parts((&raw const header).cast::<u8>(), HEADER) };
        [bytes, name, path, base].concat()
    }

    #[test]
    fn names_are_made_absolute_and_paths_turned_round() {
        let header = Header { kind: kind::OPEN, ino: 5, ..Header::default() };
        let record = record(header, b"lib/x", b"\x04x-1\n\x03lib\x03usr", b"\x03usr");
        let Some(Event::Touch(touch)) = decode(&record) else { panic!() };
        assert_eq!(touch.path, Some("/usr/lib/x-1\n".into()));
        assert_eq!(touch.name, Some("/usr/lib/x".into()));
        assert!((0..record.len()).all(|end| decode(&record[..end]).is_none()));
    }

    #[test]
    fn an_absolute_name_starts_at_the_tasks_root() {
        let header = Header { kind: kind::STAT, ..Header::default() };
        let Some(Event::Touch(touch)) = decode(&record(header, b"/etc/x", b"", b"\x03srv")) else {
            panic!()
        };
        assert_eq!(touch.path, None);
        assert_eq!(touch.name, Some("/srv/etc/x".into()));
    }
}
