//! Looking at a file without opening it: names only, there is no path.

use crate::cases::expect::kind::{self, LSTAT};
use crate::cases::expect::name;
use crate::cases::sys::{CWD, Failed, call, fails};
use crate::cases::{Case, Setting};

use super::opens::handle_of;

/// Room for what the kernel answers.
fn answer() -> [u64; 32] {
    [0; 32]
}

pub const HANDLES: Case = Case {
    number: 6,
    title: "name_to_handle_at as stat",
    setting: Setting::Any,
    prepare: |tree| {
        tree.file("file")?;
        tree.link("link", "file")
    },
    run: |here| {
        // Where the filesystem has no handles, the name was looked up all
        // the same.
        let _ = handle_of(&here.at("file"), 0);
        let _ = handle_of(&here.at("link"), libc::AT_SYMLINK_FOLLOW);
        Ok(())
    },
    expect: || vec![name("file", LSTAT), name("link", kind::STAT)],
};

const STAT_CALLS: [&str; 4] = ["stat", "lstat", "fstatat", "statx"];

pub const STAT: Case = Case {
    number: 7,
    title: "stat, lstat, statx",
    setting: Setting::Any,
    prepare: |tree| {
        STAT_CALLS.iter().try_for_each(|name| tree.file(name))?;
        tree.link("link", "stat")?;
        tree.link("link-itself", "stat")
    },
    run: |here| {
        let mut buffer = answer();
        let at = buffer.as_mut_ptr();
        let mask = libc::STATX_BASIC_STATS as i32;
        call!(SYS_stat, &here.at("stat"), at)?;
        call!(SYS_lstat, &here.at("lstat"), at)?;
        call!(SYS_newfstatat, CWD, &here.at("fstatat"), at, 0)?;
        call!(SYS_statx, CWD, &here.at("statx"), 0, mask, at)?;
        call!(SYS_stat, &here.at("link"), at)?;
        call!(SYS_lstat, &here.at("link-itself"), at)?;
        call!(SYS_newfstatat, CWD, &here.at("link-itself"), at, libc::AT_SYMLINK_NOFOLLOW)?;
        call!(SYS_statx, CWD, &here.at("link-itself"), libc::AT_SYMLINK_NOFOLLOW, mask, at)?;
        Ok(())
    },
    expect: || {
        vec![
            name("stat", kind::STAT),
            name("lstat", LSTAT),
            name("fstatat", kind::STAT),
            name("statx", kind::STAT),
            name("link", kind::STAT),
            name("link-itself", LSTAT),
        ]
    },
};

pub const ACCESS: Case = Case {
    number: 8,
    title: "access, faccessat2",
    setting: Setting::Any,
    prepare: |tree| {
        ["access", "faccessat", "faccessat2", "denied"]
            .iter()
            .try_for_each(|name| tree.file(name))?;
        tree.link("link", "access")
    },
    run: |here| {
        let read = libc::R_OK;
        call!(SYS_access, &here.at("access"), read)?;
        call!(SYS_faccessat, CWD, &here.at("faccessat"), read)?;
        call!(SYS_faccessat2, CWD, &here.at("faccessat2"), read, libc::AT_EACCESS)?;
        call!(SYS_faccessat2, CWD, &here.at("link"), read, libc::AT_SYMLINK_NOFOLLOW)?;
        // Not even root may execute what nobody may: the answer is no, but
        // the file is there.
        fails(call!(SYS_access, &here.at("denied"), libc::X_OK), libc::EACCES)
    },
    expect: || {
        vec![
            name("access", kind::STAT),
            name("faccessat", kind::STAT),
            name("faccessat2", kind::STAT),
            name("link", LSTAT),
            name("denied", kind::STAT),
        ]
    },
};

pub const READLINK: Case = Case {
    number: 9,
    title: "readlink: the link, not its target",
    setting: Setting::Any,
    prepare: |tree| {
        tree.file("target")?;
        tree.link("readlink", "target")?;
        tree.link("readlinkat", "target")?;
        tree.link("to-nothing", "nothing")
    },
    run: |here| {
        let mut buffer = answer();
        let (at, size) = (buffer.as_mut_ptr(), size_of_val(&buffer));
        let lengths: Result<Vec<i64>, Failed> = [
            call!(SYS_readlink, &here.at("readlink"), at, size),
            call!(SYS_readlinkat, CWD, &here.at("readlinkat"), at, size),
            call!(SYS_readlink, &here.at("to-nothing"), at, size),
        ]
        .into_iter()
        .collect();
        anyhow::ensure!(lengths? == [6, 6, 7], "other targets than were made");
        Ok(())
    },
    expect: || {
        vec![
            name("readlink", kind::READLINK),
            name("readlinkat", kind::READLINK),
            name("to-nothing", kind::READLINK),
        ]
    },
};
