//! Names: absent, not in memory, long, deep, and not text.

use anyhow::Result;

use crate::cases::expect::kind::{EXEC, LSTAT, MMAP, MODIFY, OPEN, READLINK, STAT};
use crate::cases::expect::{Entry, missing, name, path};
use crate::cases::sys::{PAGE, call, close, exec, fails, open, open_at, read};
use crate::cases::{Case, Here, Setting, name_of};

pub const ABSENT: Case = Case {
    number: 21,
    title: "failed lookups",
    setting: Setting::Any,
    prepare: |tree| tree.file("file"),
    run: |here| {
        let mut answer = [0u64; 32];
        let at = answer.as_mut_ptr();
        let look = |name: &str, errno| -> Result<()> {
            fails(open(&here.at(name), libc::O_RDONLY).map(i64::from), errno)
        };
        look("open", libc::ENOENT)?;
        look("file/below", libc::ENOTDIR)?;
        look("no/such/directory", libc::ENOENT)?;
        fails(call!(SYS_stat, &here.at("stat"), at), libc::ENOENT)?;
        fails(call!(SYS_lstat, &here.at("lstat"), at), libc::ENOENT)?;
        fails(call!(SYS_access, &here.at("access"), libc::F_OK), libc::ENOENT)?;
        fails(call!(SYS_readlink, &here.at("readlink"), at, 256usize), libc::ENOENT)?;
        fails(call!(SYS_chdir, &here.at("chdir")), libc::ENOENT)?;
        fails(Err(exec(&here.at("exec"), c"exec")), libc::ENOENT)
    },
    expect: || {
        vec![
            missing("open", OPEN),
            missing("file/below", OPEN),
            missing("no/such/directory", OPEN),
            missing("stat", STAT),
            missing("lstat", LSTAT),
            missing("access", STAT),
            missing("readlink", READLINK),
            missing("chdir", STAT),
            missing("exec", EXEC),
        ]
    },
};

/// Names in a file, each at the start of a page.
const STORED: [&str; 3] = ["opened", "looked-at", "absent"];

pub const NOT_RESIDENT: Case = Case {
    number: 22,
    title: "a name on a page that is not resident",
    setting: Setting::Any,
    prepare: |tree| {
        let mut pages = vec![0; STORED.len() * PAGE];
        for (name, page) in STORED.iter().zip(pages.chunks_mut(PAGE)) {
            let name = format!("/case/22/{name}");
            page[..name.len()].copy_from_slice(name.as_bytes());
        }
        tree.content("names", &pages)?;
        tree.file("opened")?;
        tree.file("looked-at")
    },
    run: |here| {
        let fd = open(&here.at("names"), libc::O_RDONLY)?;
        let (size, access) = (STORED.len() * PAGE, libc::PROT_READ);
        let base = call!(SYS_mmap, 0usize, size, access, libc::MAP_PRIVATE, fd, 0usize)? as usize;
        // Not even in the page cache, where the kernel can help it.
        call!(SYS_fadvise64, fd, 0usize, size, libc::POSIX_FADV_DONTNEED)?;
        call!(SYS_madvise, base, size, libc::MADV_RANDOM)?;
        call!(SYS_madvise, base, size, libc::MADV_DONTNEED)?;
        let mut answer = [0u64; 32];
        close(call!(SYS_open, base, libc::O_RDONLY)? as i32)?;
        call!(SYS_stat, base + PAGE, answer.as_mut_ptr())?;
        fails(call!(SYS_open, base + 2 * PAGE, libc::O_RDONLY), libc::ENOENT)
    },
    expect: || {
        vec![
            path("names", OPEN),
            path("names", MMAP),
            path("opened", OPEN),
            name("looked-at", STAT),
            missing("absent", OPEN),
        ]
    },
};

/// Levels of the deep directory.
const DEEP: usize = 200;
/// Levels of the long one: its path is over the 4096 bytes a program can pass
/// at once, so it is made and reached step by step.
const LONG: usize = 20;
/// The same, beyond what a record of the kernel's can hold: part `beyond`.
const BEYOND: usize = 80;
/// Depth of the path with long components that a program can pass at once.
const WIDE: usize = 15;

/// The longest component.
fn component(letter: u8) -> Vec<u8> {
    vec![letter; 255]
}

/// `levels` directories below `top`.
fn nested(top: &str, component: &[u8], levels: usize) -> Vec<u8> {
    let mut path = top.as_bytes().to_vec();
    for _ in 0..levels {
        path.push(b'/');
        path.extend_from_slice(component);
    }
    path
}

/// Names no text editor would make.
const STRANGE: [&[u8]; 4] =
    [b"new\nline", b"caf\xe9", b"\xff\xfe\x01", "\u{1b}[31m\"\\".as_bytes()];

pub const UNUSUAL: Case = Case {
    number: 23,
    title: "deep, long and strange names",
    setting: Setting::Any,
    prepare: |tree| {
        tree.directory(nested("deep", b"d", DEEP))?;
        tree.file([&nested("deep", b"d", DEEP), &b"/file"[..]].concat())?;
        tree.file([&nested("wide", &component(b'w'), WIDE), &b"/file"[..]].concat())?;
        tree.directory("long")?;
        STRANGE.iter().try_for_each(|name| tree.file(name))
    },
    run: unusual,
    expect: unusual_rows,
};

fn unusual(here: &Here) -> Result<()> {
    let step = libc::O_PATH | libc::O_DIRECTORY;
    let mut directory = open(&here.at("deep"), step)?;
    for _ in 0..DEEP {
        let below = open_at(directory, c"d", step)?;
        close(directory)?;
        directory = below;
    }
    close(open_at(directory, c"file", libc::O_RDONLY)?)?;

    read(&here.at([&nested("wide", &component(b'w'), WIDE), &b"/file"[..]].concat()))?;

    let levels = if here.part.as_deref() == Some("beyond") { BEYOND } else { LONG };
    let long = name_of(component(b'l'));
    let mut directory = open(&here.at("long"), step)?;
    for _ in 0..levels {
        call!(SYS_mkdirat, directory, &long, 0o755)?;
        let below = open_at(directory, &long, step)?;
        close(directory)?;
        directory = below;
    }
    STRANGE.iter().try_for_each(|name| Ok(read(&here.at(name))?))
}

fn unusual_rows() -> Vec<Entry> {
    let mut rows: Vec<_> =
        (0..=DEEP).map(|levels| path(nested("deep", b"d", levels), OPEN)).collect();
    rows.push(path([&nested("deep", b"d", DEEP), &b"/file"[..]].concat(), OPEN));
    rows.push(path([&nested("wide", &component(b'w'), WIDE), &b"/file"[..]].concat(), OPEN));
    rows.push(path("long", OPEN));
    for levels in 1..=LONG {
        rows.push(path(nested("long", &component(b'l'), levels), OPEN));
        rows.push(name(nested("long", &component(b'l'), levels), MODIFY));
    }
    rows.extend(STRANGE.iter().map(|name| path(name, OPEN)));
    rows
}
