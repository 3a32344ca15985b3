//! Where a name starts from, and directories.

use anyhow::Result;

use crate::cases::expect::kind::{LIST, MODIFY, OPEN, STAT};
use crate::cases::expect::{name, path};
use crate::cases::sys::{CWD, call, close, in_child, open, open_at, read};
use crate::cases::{Case, Here, Setting, name_of};

const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY;

pub const CHDIR: Case = Case {
    number: 13,
    title: "chdir, then a relative name",
    setting: Setting::Any,
    prepare: |tree| ["a/b/file", "a/beside", "c/file"].iter().try_for_each(|name| tree.file(name)),
    run: |here| {
        call!(SYS_chdir, &here.at("a"))?;
        read(&name_of("b/file"))?;
        call!(SYS_chdir, &name_of("b"))?;
        read(&name_of("../beside"))?;
        let directory = open(&here.at("c"), DIRECTORY)?;
        call!(SYS_fchdir, directory)?;
        Ok(read(&name_of("file"))?)
    },
    expect: || {
        vec![
            name("a", STAT),
            path("a/b/file", OPEN),
            name("a/b", STAT),
            path("a/beside", OPEN),
            name("a/b/../beside", OPEN),
            path("c", OPEN),
            path("c/file", OPEN),
        ]
    },
};

pub const DIRFD: Case = Case {
    number: 14,
    title: "names relative to a descriptor",
    setting: Setting::Any,
    prepare: |tree| {
        ["a/file", "a/looked-at", "beside", "b/file"]
            .iter()
            .try_for_each(|name| tree.file(name))?;
        tree.link("link", "b")
    },
    run: |here| {
        let mut answer = [0u64; 32];
        let a = open(&here.at("a"), DIRECTORY)?;
        close(open_at(a, &name_of("file"), libc::O_RDONLY)?)?;
        close(open_at(a, &name_of("../beside"), libc::O_RDONLY)?)?;
        call!(SYS_newfstatat, a, &name_of("looked-at"), answer.as_mut_ptr(), 0)?;
        call!(SYS_mkdirat, a, &name_of("made"), 0o755)?;
        let b = open(&here.at("link"), libc::O_PATH | libc::O_DIRECTORY)?;
        close(open_at(b, &name_of("file"), libc::O_RDONLY)?)?;
        Ok(())
    },
    expect: || {
        vec![
            path("a", OPEN),
            path("a/file", OPEN),
            path("beside", OPEN),
            name("a/../beside", OPEN),
            name("a/looked-at", STAT),
            name("a/made", MODIFY),
            path("b", OPEN),
            name("link", OPEN),
            path("b/file", OPEN),
        ]
    },
};

pub const LISTING: Case = Case {
    number: 15,
    title: "a directory listed",
    setting: Setting::Any,
    prepare: |tree| {
        ["getdents64/file", "getdents/file"].iter().try_for_each(|name| tree.file(name))?;
        tree.directory("only-opened")
    },
    run: |here| {
        let mut entries = [0u64; 128];
        let (at, size) = (entries.as_mut_ptr(), size_of_val(&entries));
        let fd = open(&here.at("getdents64"), DIRECTORY)?;
        call!(SYS_getdents64, fd, at, size)?;
        let fd = open(&here.at("getdents"), DIRECTORY)?;
        call!(SYS_getdents, fd, at, size)?;
        open(&here.at("only-opened"), DIRECTORY)?;
        Ok(())
    },
    expect: || {
        vec![
            path("getdents64", OPEN),
            path("getdents64", LIST),
            path("getdents", OPEN),
            path("getdents", LIST),
            path("only-opened", OPEN),
        ]
    },
};

pub const ROOTS: Case = Case {
    number: 16,
    title: "pivot_root, chroot",
    setting: Setting::Any,
    prepare: |tree| {
        tree.file("new/file")?;
        tree.file("new/jail/file")?;
        tree.directory("new/old")?;
        tree.file("jail/file")
    },
    run: |here| {
        in_child(|| {
            call!(SYS_chroot, &here.at("jail"))?;
            Ok(read(&name_of("/file"))?)
        })?;
        in_child(|| pivot(here))
    },
    expect: || {
        vec![
            name("jail", STAT),
            path("jail/file", OPEN),
            path("new/file", OPEN),
            name("new/jail", STAT),
            path("new/jail/file", OPEN),
            // Mount points: names the kernel looks up, of which a profile
            // need not tell.
            name("new", STAT).maybe(),
            name("new/old", STAT).maybe(),
            name("new/old", MODIFY).maybe(),
        ]
    },
};

/// Makes `new` the root, and then a directory below it.
fn pivot(here: &Here) -> Result<()> {
    let nothing = std::ptr::null::<u8>();
    let new = here.at("new");
    call!(SYS_unshare, libc::CLONE_NEWNS)?;
    let private = libc::MS_REC | libc::MS_PRIVATE;
    call!(SYS_mount, nothing, &name_of("/"), nothing, private as i64, nothing)?;
    call!(SYS_mount, &new, &new, nothing, libc::MS_BIND as i64, nothing)?;
    call!(SYS_pivot_root, &new, &here.at("new/old"))?;
    read(&name_of("/file"))?;
    call!(SYS_chroot, &name_of("/jail"))?;
    close(open_at(CWD, &name_of("/file"), libc::O_RDONLY)?)?;
    Ok(())
}
