//! Names made, replaced and removed while the container runs.

use anyhow::{Result, ensure};

use crate::cases::expect::kind::{MMAP, MODIFY, OPEN, STAT};
use crate::cases::expect::{missing, name, path};
use crate::cases::sys::{call, close, fails, map, open, read};
use crate::cases::{Case, Here, Setting, name_of};

const MAKE: i32 = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY;

pub const CREATED: Case = Case {
    number: 30,
    title: "created, then read",
    setting: Setting::Any,
    prepare: |_| Ok(()),
    run: |here| {
        call!(SYS_mkdir, &here.at("directory"), 0o755)?;
        close(open(&here.at("directory/file"), MAKE)?)?;
        read(&here.at("directory/file"))?;
        call!(SYS_symlink, &name_of("directory/file"), &here.at("link"))?;
        Ok(read(&here.at("link"))?)
    },
    // The image does not have them: that the planner knows.
    expect: || {
        vec![
            name("directory", MODIFY),
            path("directory/file", OPEN).written(),
            name("link", MODIFY),
            name("link", OPEN),
        ]
    },
};

pub const TRUNCATED: Case = Case {
    number: 31,
    title: "first touched with O_TRUNC",
    setting: Setting::Any,
    prepare: |tree| tree.file("file"),
    run: |here| Ok(close(open(&here.at("file"), libc::O_WRONLY | libc::O_TRUNC)?)?),
    expect: || vec![path("file", OPEN).written()],
};

pub const REPLACED: Case = Case {
    number: 32,
    title: "replaced by rename, or unlinked and made again",
    setting: Setting::Any,
    prepare: |tree| ["renamed", "replaced", "remade"].iter().try_for_each(|name| tree.file(name)),
    run: |here| {
        call!(SYS_rename, &here.at("renamed"), &here.at("replaced"))?;
        read(&here.at("replaced"))?;
        call!(SYS_unlink, &here.at("remade"))?;
        close(open(&here.at("remade"), MAKE)?)?;
        // In vain, but a name to be removed is no failed lookup.
        fails(call!(SYS_unlink, &here.at("absent")), libc::ENOENT)
    },
    expect: || {
        vec![
            name("renamed", MODIFY),
            name("replaced", MODIFY),
            path("replaced", OPEN),
            name("remade", MODIFY),
            path("remade", OPEN).written(),
            name("absent", MODIFY),
        ]
    },
};

pub const UNLINKED: Case = Case {
    number: 33,
    title: "unlinked but open",
    setting: Setting::Any,
    prepare: |tree| tree.file("file"),
    run: |here| {
        let fd = open(&here.at("file"), libc::O_RDONLY)?;
        call!(SYS_unlink, &here.at("file"))?;
        map(fd)?;
        read(&name_of(format!("/proc/self/fd/{fd}")))?;
        Ok(close(fd)?)
    },
    // The last place the file had.
    expect: || vec![path("file", OPEN), path("file", MMAP), name("file", MODIFY)],
};

pub const SOCKET: Case = Case {
    number: 34,
    title: "Unix sockets",
    setting: Setting::Any,
    prepare: |tree| tree.directory("directory"),
    run: |here| {
        listen(&Address::new(here, "directory/socket", true))?;
        connect(&Address::new(here, "directory/socket", true))?;
        // The kernel goes by the address's length and needs no NUL.
        listen(&Address::new(here, "directory/unterminated", false))?;
        fails(connect(&Address::new(here, "directory/absent", true)).map(|()| 0), libc::ENOENT)
    },
    expect: || {
        vec![
            name("directory/socket", MODIFY),
            name("directory/socket", STAT),
            name("directory/unterminated", MODIFY),
            missing("directory/absent", STAT),
        ]
    },
};

/// A socket address, and how much of it counts.
struct Address {
    address: libc::sockaddr_un,
    len: usize,
}

impl Address {
    fn new(here: &Here, name: &str, terminated: bool) -> Self {
        let path = here.at(name);
        let mut address = libc::sockaddr_un {
            sun_family: libc::AF_UNIX as libc::sa_family_t,
            // What nobody must read.
            sun_path: [b'!' as libc::c_char; 108],
        };
        let bytes = if terminated { path.as_bytes_with_nul() } else { path.as_bytes() };
        for (to, from) in address.sun_path.iter_mut().zip(bytes) {
            *to = *from as libc::c_char;
        }
        Self { address, len: size_of::<libc::sa_family_t>() + bytes.len() }
    }
}

fn socket() -> Result<i32, crate::cases::sys::Failed> {
    Ok(call!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0)? as i32)
}

fn listen(at: &Address) -> Result<()> {
    let fd = socket()?;
    call!(SYS_bind, fd, &raw const at.address, at.len)?;
    let result = call!(SYS_listen, fd, 1)?;
    ensure!(result == 0, "listen returned {result}");
    Ok(())
}

fn connect(to: &Address) -> Result<(), crate::cases::sys::Failed> {
    let fd = socket()?;
    call!(SYS_connect, fd, &raw const to.address, to.len)?;
    close(fd)
}
