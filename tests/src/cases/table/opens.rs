//! Ways of opening a file.

use std::ffi::CStr;

use anyhow::{Context as _, Result};

use crate::cases::expect::Tier::Tracepoint;
use crate::cases::expect::kind::{LIST, LSTAT, OPEN, READLINK, STAT};
use crate::cases::expect::{name, path};
use crate::cases::int80::{self, Low, call80};
use crate::cases::run::Impossible;
use crate::cases::sys::{CWD, call, close, open};
use crate::cases::uring::{Ring, Way};
use crate::cases::{Case, Here, Setting};

/// `struct open_how`, its first version.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

pub const SYSTEM_CALLS: Case = Case {
    number: 1,
    title: "open, creat, openat, openat2",
    setting: Setting::Any,
    prepare: |tree| {
        ["open", "creat", "openat", "openat2"].iter().try_for_each(|name| tree.file(name))
    },
    run: |here| {
        let how = OpenHow { flags: libc::O_RDONLY as u64, mode: 0, resolve: 0 };
        for _ in 0..2 {
            close(call!(SYS_open, &here.at("open"), libc::O_RDONLY)? as i32)?;
            close(call!(SYS_creat, &here.at("creat"), 0o644)? as i32)?;
            close(call!(SYS_openat, CWD, &here.at("openat"), libc::O_RDONLY)? as i32)?;
            let (at, size) = (&raw const how, size_of::<OpenHow>());
            close(call!(SYS_openat2, CWD, &here.at("openat2"), at, size)? as i32)?;
        }
        Ok(())
    },
    expect: || {
        vec![
            path("open", OPEN),
            path("creat", OPEN).written(),
            path("openat", OPEN),
            path("openat2", OPEN),
        ]
    },
};

pub const O_PATH: Case = Case {
    number: 2,
    title: "O_PATH",
    setting: Setting::Any,
    prepare: |tree| {
        tree.file("file")?;
        tree.directory("directory")?;
        tree.link("link", "file")
    },
    run: |here| {
        close(open(&here.at("file"), libc::O_PATH)?)?;
        close(open(&here.at("directory"), libc::O_PATH | libc::O_DIRECTORY)?)?;
        // The link itself.
        Ok(close(open(&here.at("link"), libc::O_PATH | libc::O_NOFOLLOW)?)?)
    },
    expect: || vec![path("file", OPEN), path("directory", OPEN), path("link", OPEN)],
};

pub const IO_URING: Case = Case {
    number: 3,
    title: "io_uring: openat and statx",
    setting: Setting::Any,
    prepare: |tree| {
        ["opened", "worker", "direct", "looked-at"].iter().try_for_each(|name| tree.file(name))
    },
    run: |here| {
        let ring = Ring::new().context("cannot make a ring")?;
        ring.open(&here.at("opened"), Way::Plain)?;
        ring.open(&here.at("worker"), Way::Worker)?;
        ring.open(&here.at("direct"), Way::Direct)?;
        ring.statx(&here.at("looked-at"))
    },
    expect: || {
        vec![
            path("opened", OPEN),
            path("worker", OPEN),
            path("direct", OPEN).unseen(
                Tracepoint,
                "an open into the ring's own table has no descriptor to look up; its name is there",
            ),
            name("direct", OPEN).only(Tracepoint),
            name("looked-at", STAT),
        ]
    },
};

pub const INT80: Case = Case {
    number: 4,
    title: "32-bit system calls",
    setting: Setting::Any,
    prepare: |tree| {
        ["opened", "looked-at", "asked"].iter().try_for_each(|name| tree.file(name))?;
        tree.directory("listed")?;
        tree.link("link", "opened")
    },
    run: |here| {
        let mut low = Low::new()?;
        let read = libc::O_RDONLY as u32;
        let answer = low.answer();
        close(call80(int80::OPEN, [low.name(&here.at("opened"))?, read, 0])?)?;
        let listed = call80(int80::OPEN, [low.name(&here.at("listed"))?, read, 0])?;
        call80(int80::GETDENTS64, [listed as u32, answer, 4096])?;
        close(listed)?;
        call80(int80::STAT64, [low.name(&here.at("looked-at"))?, answer, 0])?;
        call80(int80::LSTAT64, [low.name(&here.at("link"))?, answer, 0])?;
        call80(int80::READLINK, [low.name(&here.at("link"))?, answer, 4096])?;
        call80(int80::ACCESS, [low.name(&here.at("asked"))?, libc::R_OK as u32, 0])?;
        Ok(())
    },
    expect: || {
        vec![
            path("opened", OPEN),
            path("listed", OPEN),
            path("listed", LIST),
            name("looked-at", STAT),
            name("link", LSTAT),
            name("link", READLINK),
            name("asked", STAT),
        ]
    },
};

/// `struct file_handle` with room for the largest.
#[repr(C)]
pub struct Handle {
    size: u32,
    kind: i32,
    bytes: [u8; 128],
}

impl Handle {
    /// An empty one.
    pub fn new() -> Self {
        Self { size: 128, kind: 0, bytes: [0; 128] }
    }
}

/// Fills a handle. Overlay filesystems have none unless mounted with
/// `nfs_export=on`.
pub fn handle_of(name: &CStr, flags: i32) -> Result<Handle> {
    let mut handle = Handle::new();
    let mut mount = 0;
    match call!(SYS_name_to_handle_at, CWD, name, &raw mut handle, &raw mut mount, flags) {
        Ok(_) => Ok(handle),
        Err(failed) if failed.errno == libc::EOPNOTSUPP => Err(NO_HANDLES.into()),
        Err(failed) => Err(failed.into()),
    }
}

const NO_HANDLES: Impossible =
    Impossible("the filesystem has no file handles (overlay without nfs_export=on)");

pub const HANDLES: Case = Case {
    number: 5,
    title: "open_by_handle_at",
    setting: Setting::Any,
    prepare: |tree| tree.file("file"),
    run: by_handle,
    expect: || vec![path("", OPEN), name("file", LSTAT), path("file", OPEN)],
};

fn by_handle(here: &Here) -> Result<()> {
    let mut handle = handle_of(&here.at("file"), 0)?;
    let directory = open(&here.at(""), libc::O_RDONLY | libc::O_DIRECTORY)?;
    let opened = call!(SYS_open_by_handle_at, directory, &raw mut handle, libc::O_RDONLY);
    close(directory)?;
    match opened {
        Ok(fd) => Ok(close(fd as i32)?),
        // Newer kernels make handles of overlay files that only serve to
        // compare them.
        Err(failed) if [libc::EOPNOTSUPP, libc::ESTALE].contains(&failed.errno) => {
            Err(NO_HANDLES.into())
        }
        Err(failed) => Err(failed.into()),
    }
}
