//! What the container's life adds. Most need a container of their own.

use anyhow::{Result, ensure};

use crate::cases::expect::kind::{MMAP, OPEN, STAT};
use crate::cases::expect::path;
use crate::cases::sys::{call, close, in_child, map, open, read};
use crate::cases::{Case, Here, Setting};

/// Says what it has done on stdout, and waits for a byte on stdin.
fn wait(done: &str) -> Result<()> {
    println!("{done}");
    let mut byte = 0u8;
    let read = call!(SYS_read, 0, &raw mut byte, 1)?;
    ensure!(read == 1, "stdin ended before it said to go on");
    Ok(())
}

pub const LATE_ATTACH: Case = Case {
    number: 35,
    title: "attached to a running container",
    setting: Setting::Own(
        "prints `waiting` and reads a byte from stdin: attach now; touches more, prints \
         `touched` and reads another before it ends",
    ),
    prepare: |tree| {
        ["closed", "held", "mapped", "directory/file", "later"]
            .iter()
            .try_for_each(|name| tree.file(name))
    },
    run: late,
    expect: || {
        vec![
            path("held", OPEN),
            path("held", MMAP),
            path("mapped", MMAP),
            path("directory", STAT),
            path("later", OPEN),
            path("later", MMAP),
        ]
    },
};

fn late(here: &Here) -> Result<()> {
    read(&here.at("closed"))?;
    let held = open(&here.at("held"), libc::O_RDONLY)?;
    let fd = open(&here.at("mapped"), libc::O_RDONLY)?;
    call!(SYS_mmap, 0usize, 4096usize, libc::PROT_READ, libc::MAP_PRIVATE, fd, 0usize)?;
    close(fd)?;
    call!(SYS_chdir, &here.at("directory"))?;
    wait("waiting")?;
    let fd = open(&here.at("later"), libc::O_RDONLY)?;
    map(fd)?;
    close(fd)?;
    // Opened when nobody watched.
    map(held)?;
    wait("touched")?;
    Ok(close(held)?)
}

pub const SHORT_LIVED: Case = Case {
    number: 36,
    title: "a container that lives for milliseconds",
    setting: Setting::Own("a container that performs this case only"),
    prepare: |tree| tree.file("file"),
    run: |here| Ok(read(&here.at("file"))?),
    expect: || vec![path("file", OPEN)],
};

pub const EXEC: Case = Case {
    number: 37,
    title: "docker exec",
    setting: Setting::Own(
        "part `main` as the container's program: prints `waiting` and ends after a byte on \
         stdin; meanwhile part `exec` by the engine's exec",
    ),
    prepare: |tree| ["main", "exec"].iter().try_for_each(|name| tree.file(name)),
    run: |here| {
        let part = here.part()?;
        read(&here.at(part))?;
        if part == "main" { wait("waiting") } else { Ok(()) }
    },
    expect: || vec![path("main", OPEN), path("exec", OPEN)],
};

pub const CLONED_RUNTIME: Case = Case {
    number: 38,
    title: "the runtime's cloned program",
    // Started by runc, which runs from a copy of itself.
    setting: Setting::Any,
    prepare: |tree| tree.file("file"),
    run: |here| Ok(read(&here.at("file"))?),
    // The check also looks for the runtime's program in the whole profile.
    expect: || vec![path("file", OPEN)],
};

pub const REUSE: Case = Case {
    number: 39,
    title: "numbers used again",
    setting: Setting::Own(
        "parts `first` and `second` in turns in containers of two images, several times; each \
         image's profile holds its own part",
    ),
    prepare: |tree| ["first", "second"].iter().try_for_each(|name| tree.file(name)),
    run: |here| Ok(read(&here.at(here.part()?))?),
    expect: || vec![path("first", OPEN).part("first"), path("second", OPEN).part("second")],
};

pub const NAMESPACES: Case = Case {
    number: 40,
    title: "mount and user namespaces of its own",
    setting: Setting::Any,
    prepare: |tree| ["mount", "user", "both"].iter().try_for_each(|name| tree.file(name)),
    run: |here| {
        for (name, flags) in [
            ("mount", libc::CLONE_NEWNS),
            ("user", libc::CLONE_NEWUSER),
            ("both", libc::CLONE_NEWUSER | libc::CLONE_NEWNS),
        ] {
            in_child(|| {
                call!(SYS_unshare, flags)?;
                Ok(read(&here.at(name))?)
            })?;
        }
        Ok(())
    },
    expect: || vec![path("mount", OPEN), path("user", OPEN), path("both", OPEN)],
};
