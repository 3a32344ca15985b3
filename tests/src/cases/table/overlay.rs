//! What an overlay filesystem does behind a touch.

use std::ffi::CStr;
use std::io::{BufRead as _, BufReader};

use anyhow::{Context as _, Result, ensure};

use crate::cases::expect::kind::{MMAP, OPEN, STAT};
use crate::cases::expect::{name, path};
use crate::cases::sys::{call, close, map, open, read};
use crate::cases::{Case, Here, Setting};

pub const BACKING: Case = Case {
    number: 24,
    title: "the file below an overlay file",
    setting: Setting::Any,
    prepare: |tree| tree.file("file"),
    run: |here| {
        let mut page = [0u8; 512];
        let fd = open(&here.at("file"), libc::O_RDONLY)?;
        call!(SYS_read, fd, page.as_mut_ptr(), page.len())?;
        map(fd)?;
        Ok(close(fd)?)
    },
    expect: || vec![path("file", OPEN), path("file", MMAP)],
};

pub const COPY_UP: Case = Case {
    number: 25,
    title: "copied up",
    setting: Setting::Any,
    prepare: |tree| ["written", "appended", "mode"].iter().try_for_each(|name| tree.file(name)),
    run: |here| {
        for (name, flags) in
            [("written", libc::O_RDWR), ("appended", libc::O_WRONLY | libc::O_APPEND)]
        {
            let fd = open(&here.at(name), flags)?;
            call!(SYS_write, fd, b"y".as_ptr(), 1usize)?;
            close(fd)?;
        }
        call!(SYS_chmod, &here.at("mode"), 0o600)?;
        Ok(())
    },
    expect: || {
        vec![path("written", OPEN).written(), path("appended", OPEN).written(), name("mode", STAT)]
    },
};

pub const DEVICE: Case = Case {
    number: 26,
    title: "the mount's device, not stat's",
    setting: Setting::Any,
    prepare: |tree| {
        tree.file("file")?;
        tree.directory("directory")
    },
    // Where the layers are of another filesystem, a file's attributes tell
    // that one's device, a directory's the mount's.
    run: |here| {
        ensure!(mount_device()?.is_some(), "no root in /proc/self/mountinfo");
        stat_device(&here.at("file"))?;
        stat_device(&here.at("directory"))?;
        read(&here.at("file"))?;
        Ok(close(open(&here.at("directory"), libc::O_RDONLY | libc::O_DIRECTORY)?)?)
    },
    expect: || {
        vec![
            name("file", STAT),
            name("directory", STAT),
            path("file", OPEN),
            path("directory", OPEN),
        ]
    },
};

/// Device number of the root's mount, `MAJOR:MINOR`. Format: proc(5).
fn mount_device() -> Result<Option<String>> {
    let file = std::fs::File::open("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    for line in BufReader::new(file).lines() {
        let line = line?;
        let fields: Vec<_> = line.split(' ').collect();
        if fields.get(4) == Some(&"/") {
            return Ok(fields.get(2).map(|device| (*device).to_owned()));
        }
    }
    Ok(None)
}

fn stat_device(name: &CStr) -> Result<u64> {
    // `st_dev` comes first.
    let mut answer = [0u64; 32];
    call!(SYS_stat, name, answer.as_mut_ptr())?;
    Ok(answer[0])
}

pub const HARD_LINK: Case = Case {
    number: 27,
    title: "two names of one file",
    setting: Setting::Any,
    prepare: |tree| {
        tree.file("first")?;
        tree.hard_link("second", "first")?;
        tree.hard_link("third", "first")
    },
    run: |here: &Here| {
        read(&here.at("first"))?;
        Ok(read(&here.at("second"))?)
    },
    expect: || vec![path("first", OPEN), path("second", OPEN)],
};
