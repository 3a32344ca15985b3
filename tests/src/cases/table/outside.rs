//! What is in the container and not of the image.

use crate::cases::expect::kind::STAT;
use crate::cases::expect::name;
use crate::cases::sys::{call, open, read};
use crate::cases::{Case, Setting, name_of};

/// Mount points of case 28.
const MOUNTED: [&str; 3] = ["bind", "volume", "tmpfs"];

pub const MOUNTS: Case = Case {
    number: 28,
    title: "bind mount, volume, tmpfs, /etc/hosts",
    setting: Setting::Own(
        "a bind mount, a volume and a tmpfs at /case/28/{bind,volume,tmpfs}; the bind mount \
         with a file `file`",
    ),
    prepare: |tree| {
        // Hidden by the mounts.
        MOUNTED.iter().try_for_each(|name| tree.file(format!("{name}/below")))
    },
    run: |here| {
        for name in MOUNTED {
            let mut entries = [0u64; 128];
            let flags = libc::O_RDONLY | libc::O_DIRECTORY;
            let fd = open(&here.at(name), flags)?;
            call!(SYS_getdents64, fd, entries.as_mut_ptr(), size_of_val(&entries))?;
        }
        read(&here.at("bind/file"))?;
        for name in ["volume/made", "tmpfs/made"] {
            open(&here.at(name), libc::O_CREAT | libc::O_WRONLY)?;
        }
        let mut answer = [0u64; 32];
        call!(SYS_stat, &here.at("bind/file"), answer.as_mut_ptr())?;
        Ok(read(&name_of("/etc/hosts"))?)
    },
    // A look leaves a name only, of which nobody knows what it led to.
    expect: || vec![name("bind/file", STAT).maybe()],
};

pub const KERNEL_FILESYSTEMS: Case = Case {
    number: 29,
    title: "/proc, /sys, /dev",
    setting: Setting::Any,
    prepare: |_| Ok(()),
    run: |_| {
        for name in ["/proc/self/status", "/proc/version", "/dev/null"] {
            read(&name_of(name))?;
        }
        Ok(())
    },
    expect: Vec::new,
};
