//! Symbolic links. The profile has the name as spoken and the file at the
//! end; the links between are found by walking the name through the image.

use crate::cases::expect::kind::{OPEN, STAT};
use crate::cases::expect::{missing, name, path};
use crate::cases::sys::{call, fails, open, read};
use crate::cases::{Case, Setting, name_of};

pub const CHAIN: Case = Case {
    number: 10,
    title: "a chain of links",
    setting: Setting::Any,
    prepare: |tree| {
        tree.file("real/target")?;
        tree.link("directory", "real")?;
        tree.link("third", "directory/target")?;
        tree.link("second", "/case/10/third")?;
        tree.link("first", "second")
    },
    run: |here| {
        read(&here.at("first"))?;
        Ok(read(&here.at("directory/target"))?)
    },
    expect: || vec![path("real/target", OPEN), name("first", OPEN), name("directory/target", OPEN)],
};

pub const CHROOT: Case = Case {
    number: 11,
    title: "an absolute link under chroot",
    setting: Setting::Any,
    prepare: |tree| {
        tree.file("root/usr/file")?;
        tree.link("root/link", "/usr/file")
    },
    run: |here| {
        call!(SYS_chroot, &here.at("root"))?;
        Ok(read(&name_of("/link"))?)
    },
    expect: || vec![name("root", STAT), name("root/link", OPEN), path("root/usr/file", OPEN)],
};

pub const BROKEN: Case = Case {
    number: 12,
    title: "dangling and looping links",
    setting: Setting::Any,
    prepare: |tree| {
        tree.link("dangling", "nothing")?;
        tree.link("loop", "pool")?;
        tree.link("pool", "loop")
    },
    run: |here| {
        fails(open(&here.at("dangling"), libc::O_RDONLY).map(i64::from), libc::ENOENT)?;
        fails(open(&here.at("loop"), libc::O_RDONLY).map(i64::from), libc::ELOOP)
    },
    // What the first leads to is missing; the second is there, but cannot be
    // opened, which is as good as a look at it.
    expect: || vec![missing("dangling", OPEN), name("loop", STAT)],
};
