//! Which system calls name files, and where their arguments hold the name.

use libc::c_long;
use profiler_ebpf::kind::{EXEC, LIST, LSTAT, MMAP, MODIFY, OPEN, READLINK, STAT};
use profiler_ebpf::{SYSCALLS, Spec, SyscallTable};

const NONE: u32 = Spec::NONE;

/// A path argument relative to the current directory.
const fn at_cwd(kind: u8, path: u32) -> Spec {
    Spec::new(kind, path, NONE, NONE, 0)
}

/// A path argument relative to a directory descriptor.
const fn at_dir(kind: u8, dirfd: u32, path: u32, flags: u32) -> Spec {
    Spec::new(kind, path, dirfd, flags, 0)
}

/// The same, of a call that does not follow links unless asked to.
const fn may_follow(dirfd: u32, path: u32, flags: u32) -> Spec {
    Spec::new(LSTAT, path, dirfd, flags, Spec::MAY_FOLLOW)
}

const OPEN_AT_CWD: Spec = Spec::new(OPEN, 0, NONE, NONE, Spec::RESULT_FD);
const OPEN_AT: Spec = Spec::new(OPEN, 1, 0, NONE, Spec::RESULT_FD);
const OPEN_AT_2: Spec = Spec::new(OPEN, 1, 0, NONE, Spec::RESULT_FD | Spec::OPEN_HOW);
const OPEN_HANDLE: Spec = Spec::new(OPEN, NONE, NONE, NONE, Spec::RESULT_FD);
const GETDENTS: Spec = Spec::new(LIST, NONE, NONE, NONE, Spec::ARG_FD);
const MAP: Spec = Spec::new(MMAP, NONE, NONE, NONE, Spec::MAP);
const EXECVE: Spec = Spec::new(EXEC, 0, NONE, NONE, Spec::FAILURES);
const EXECVEAT: Spec = Spec::new(EXEC, 1, 0, NONE, Spec::FAILURES);
const BIND: Spec = Spec::new(MODIFY, 1, NONE, NONE, Spec::SOCKADDR);
const CONNECT: Spec = Spec::new(STAT, 1, NONE, NONE, Spec::SOCKADDR);
const CHDIR: Spec = Spec::new(STAT, 0, NONE, NONE, Spec::MOVES_PWD);
const CHROOT: Spec = Spec::new(STAT, 0, NONE, NONE, Spec::MOVES_ROOT);
const RENAME: (Spec, Option<Spec>) = (at_cwd(MODIFY, 0), Some(at_cwd(MODIFY, 1)));
const RENAME_AT: (Spec, Option<Spec>) =
    (at_dir(MODIFY, 0, 1, NONE), Some(at_dir(MODIFY, 2, 3, NONE)));
const LINK: (Spec, Option<Spec>) = (at_cwd(LSTAT, 0), Some(at_cwd(MODIFY, 1)));
const LINK_AT: (Spec, Option<Spec>) = (may_follow(0, 1, 4), Some(at_dir(MODIFY, 2, 3, NONE)));

type Entry = (c_long, Spec, Option<Spec>);

/// System calls of every architecture. Those newer than the C library's
/// headers by number, which all architectures share since 424.
const COMMON: &[Entry] = &[
    (libc::SYS_openat, OPEN_AT, None),
    (libc::SYS_openat2, OPEN_AT_2, None),
    (libc::SYS_open_by_handle_at, OPEN_HANDLE, None),
    (libc::SYS_getdents64, GETDENTS, None),
    (libc::SYS_mmap, MAP, None),
    (libc::SYS_execve, EXECVE, None),
    (libc::SYS_execveat, EXECVEAT, None),
    (libc::SYS_newfstatat, at_dir(STAT, 0, 1, 3), None),
    (libc::SYS_statx, at_dir(STAT, 0, 1, 2), None),
    (libc::SYS_faccessat, at_dir(STAT, 0, 1, NONE), None),
    (libc::SYS_faccessat2, at_dir(STAT, 0, 1, 3), None),
    (libc::SYS_statfs, at_cwd(STAT, 0), None),
    (libc::SYS_truncate, at_cwd(STAT, 0), None),
    (libc::SYS_chdir, CHDIR, None),
    (libc::SYS_chroot, CHROOT, None),
    (libc::SYS_pivot_root, CHROOT, None),
    (libc::SYS_mount, at_cwd(STAT, 1), None),
    (libc::SYS_umount2, at_cwd(STAT, 0), None),
    (libc::SYS_readlinkat, at_dir(READLINK, 0, 1, NONE), None),
    (libc::SYS_name_to_handle_at, may_follow(0, 1, 4), None),
    (libc::SYS_fchmodat, at_dir(STAT, 0, 1, NONE), None),
    (libc::SYS_fchownat, at_dir(STAT, 0, 1, 4), None),
    (libc::SYS_utimensat, at_dir(STAT, 0, 1, 3), None),
    (libc::SYS_setxattr, at_cwd(STAT, 0), None),
    (libc::SYS_lsetxattr, at_cwd(LSTAT, 0), None),
    (libc::SYS_getxattr, at_cwd(STAT, 0), None),
    (libc::SYS_lgetxattr, at_cwd(LSTAT, 0), None),
    (libc::SYS_listxattr, at_cwd(STAT, 0), None),
    (libc::SYS_llistxattr, at_cwd(LSTAT, 0), None),
    (libc::SYS_removexattr, at_cwd(STAT, 0), None),
    (libc::SYS_lremovexattr, at_cwd(LSTAT, 0), None),
    (libc::SYS_inotify_add_watch, at_cwd(STAT, 1), None),
    (libc::SYS_fanotify_mark, at_dir(STAT, 3, 4, NONE), None),
    (libc::SYS_mkdirat, at_dir(MODIFY, 0, 1, NONE), None),
    (libc::SYS_mknodat, at_dir(MODIFY, 0, 1, NONE), None),
    (libc::SYS_unlinkat, at_dir(MODIFY, 0, 1, NONE), None),
    (libc::SYS_symlinkat, at_dir(MODIFY, 1, 2, NONE), None),
    (libc::SYS_linkat, LINK_AT.0, LINK_AT.1),
    (libc::SYS_renameat2, RENAME_AT.0, RENAME_AT.1),
    (libc::SYS_bind, BIND, None),
    (libc::SYS_connect, CONNECT, None),
    (libc::SYS_open_tree, at_dir(STAT, 0, 1, 2), None),
    (libc::SYS_fspick, at_dir(STAT, 0, 1, NONE), None),
    (libc::SYS_mount_setattr, at_dir(STAT, 0, 1, 2), None),
    (452 /* fchmodat2 */, at_dir(STAT, 0, 1, 3), None),
    (463 /* setxattrat */, at_dir(STAT, 0, 1, 2), None),
    (464 /* getxattrat */, at_dir(STAT, 0, 1, 2), None),
    (465 /* listxattrat */, at_dir(STAT, 0, 1, 2), None),
    (466 /* removexattrat */, at_dir(STAT, 0, 1, 2), None),
    (468 /* file_getattr */, at_dir(STAT, 0, 1, 4), None),
    (469 /* file_setattr */, at_dir(STAT, 0, 1, 4), None),
];

/// Those that newer architectures left out.
#[cfg(target_arch = "x86_64")]
const LEGACY: &[Entry] = &[
    (libc::SYS_open, OPEN_AT_CWD, None),
    (libc::SYS_creat, OPEN_AT_CWD, None),
    (libc::SYS_getdents, GETDENTS, None),
    (libc::SYS_stat, at_cwd(STAT, 0), None),
    (libc::SYS_lstat, at_cwd(LSTAT, 0), None),
    (libc::SYS_access, at_cwd(STAT, 0), None),
    (libc::SYS_readlink, at_cwd(READLINK, 0), None),
    (libc::SYS_chmod, at_cwd(STAT, 0), None),
    (libc::SYS_chown, at_cwd(STAT, 0), None),
    (libc::SYS_lchown, at_cwd(LSTAT, 0), None),
    (libc::SYS_utime, at_cwd(STAT, 0), None),
    (libc::SYS_utimes, at_cwd(STAT, 0), None),
    (libc::SYS_futimesat, at_dir(STAT, 0, 1, NONE), None),
    (libc::SYS_mkdir, at_cwd(MODIFY, 0), None),
    (libc::SYS_rmdir, at_cwd(MODIFY, 0), None),
    (libc::SYS_unlink, at_cwd(MODIFY, 0), None),
    (libc::SYS_mknod, at_cwd(MODIFY, 0), None),
    (libc::SYS_symlink, at_cwd(MODIFY, 1), None),
    (libc::SYS_link, LINK.0, LINK.1),
    (libc::SYS_rename, RENAME.0, RENAME.1),
    (libc::SYS_renameat, RENAME_AT.0, RENAME_AT.1),
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[Entry] = &[];

/// What 32-bit programs call, by i386's numbers
/// (`arch/x86/entry/syscalls/syscall_32.tbl`). Not here: the old `mmap`, whose
/// arguments are in memory, and `socketcall`, which C libraries stopped using
/// when Linux 4.3 gave sockets calls of their own.
#[cfg(target_arch = "x86_64")]
const COMPAT: &[Entry] = &[
    (5 /* open */, OPEN_AT_CWD, None),
    (8 /* creat */, OPEN_AT_CWD, None),
    (9 /* link */, LINK.0, LINK.1),
    (10 /* unlink */, at_cwd(MODIFY, 0), None),
    (11 /* execve */, EXECVE, None),
    (12 /* chdir */, CHDIR, None),
    (14 /* mknod */, at_cwd(MODIFY, 0), None),
    (15 /* chmod */, at_cwd(STAT, 0), None),
    (16 /* lchown */, at_cwd(LSTAT, 0), None),
    (21 /* mount */, at_cwd(STAT, 1), None),
    (22 /* umount */, at_cwd(STAT, 0), None),
    (30 /* utime */, at_cwd(STAT, 0), None),
    (33 /* access */, at_cwd(STAT, 0), None),
    (38 /* rename */, RENAME.0, RENAME.1),
    (39 /* mkdir */, at_cwd(MODIFY, 0), None),
    (40 /* rmdir */, at_cwd(MODIFY, 0), None),
    (52 /* umount2 */, at_cwd(STAT, 0), None),
    (61 /* chroot */, CHROOT, None),
    (83 /* symlink */, at_cwd(MODIFY, 1), None),
    (85 /* readlink */, at_cwd(READLINK, 0), None),
    (92 /* truncate */, at_cwd(STAT, 0), None),
    (99 /* statfs */, at_cwd(STAT, 0), None),
    (106 /* stat */, at_cwd(STAT, 0), None),
    (107 /* lstat */, at_cwd(LSTAT, 0), None),
    (141 /* getdents */, GETDENTS, None),
    (182 /* chown */, at_cwd(STAT, 0), None),
    (192 /* mmap2 */, MAP, None),
    (193 /* truncate64 */, at_cwd(STAT, 0), None),
    (195 /* stat64 */, at_cwd(STAT, 0), None),
    (196 /* lstat64 */, at_cwd(LSTAT, 0), None),
    (198 /* lchown32 */, at_cwd(LSTAT, 0), None),
    (212 /* chown32 */, at_cwd(STAT, 0), None),
    (217 /* pivot_root */, CHROOT, None),
    (220 /* getdents64 */, GETDENTS, None),
    (226 /* setxattr */, at_cwd(STAT, 0), None),
    (227 /* lsetxattr */, at_cwd(LSTAT, 0), None),
    (229 /* getxattr */, at_cwd(STAT, 0), None),
    (230 /* lgetxattr */, at_cwd(LSTAT, 0), None),
    (232 /* listxattr */, at_cwd(STAT, 0), None),
    (233 /* llistxattr */, at_cwd(LSTAT, 0), None),
    (235 /* removexattr */, at_cwd(STAT, 0), None),
    (236 /* lremovexattr */, at_cwd(LSTAT, 0), None),
    (268 /* statfs64 */, at_cwd(STAT, 0), None),
    (271 /* utimes */, at_cwd(STAT, 0), None),
    (292 /* inotify_add_watch */, at_cwd(STAT, 1), None),
    (295 /* openat */, OPEN_AT, None),
    (296 /* mkdirat */, at_dir(MODIFY, 0, 1, NONE), None),
    (297 /* mknodat */, at_dir(MODIFY, 0, 1, NONE), None),
    (298 /* fchownat */, at_dir(STAT, 0, 1, 4), None),
    (299 /* futimesat */, at_dir(STAT, 0, 1, NONE), None),
    (300 /* fstatat64 */, at_dir(STAT, 0, 1, 3), None),
    (301 /* unlinkat */, at_dir(MODIFY, 0, 1, NONE), None),
    (302 /* renameat */, RENAME_AT.0, RENAME_AT.1),
    (303 /* linkat */, LINK_AT.0, LINK_AT.1),
    (304 /* symlinkat */, at_dir(MODIFY, 1, 2, NONE), None),
    (305 /* readlinkat */, at_dir(READLINK, 0, 1, NONE), None),
    (306 /* fchmodat */, at_dir(STAT, 0, 1, NONE), None),
    (307 /* faccessat */, at_dir(STAT, 0, 1, NONE), None),
    (320 /* utimensat */, at_dir(STAT, 0, 1, 3), None),
    (341 /* name_to_handle_at */, may_follow(0, 1, 4), None),
    (342 /* open_by_handle_at */, OPEN_HANDLE, None),
    (353 /* renameat2 */, RENAME_AT.0, RENAME_AT.1),
    (358 /* execveat */, EXECVEAT, None),
    (361 /* bind */, BIND, None),
    (362 /* connect */, CONNECT, None),
    (383 /* statx */, at_dir(STAT, 0, 1, 2), None),
    (412 /* utimensat_time64 */, at_dir(STAT, 0, 1, 3), None),
    (437 /* openat2 */, OPEN_AT_2, None),
    (439 /* faccessat2 */, at_dir(STAT, 0, 1, 3), None),
    (452 /* fchmodat2 */, at_dir(STAT, 0, 1, 3), None),
];
#[cfg(not(target_arch = "x86_64"))]
const COMPAT: &[Entry] = &[];

/// The table for the architecture this program runs on.
pub fn table() -> Box<SyscallTable> {
    let mut table = Box::new([[0; 4]; SYSCALLS]);
    for (at, entries) in [(0, COMMON), (0, LEGACY), (2, COMPAT)] {
        for &(number, first, second) in entries {
            table[number as usize][at] = first.0;
            table[number as usize][at + 1] = second.map_or(0, |spec| spec.0);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_system_call_is_listed_twice() {
        let listed = |entries: &[&[Entry]], at: usize| {
            let mut numbers: Vec<_> =
                entries.iter().flat_map(|entries| entries.iter().map(|entry| entry.0)).collect();
            let all = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), all);
            assert_eq!(table().iter().filter(|specs| specs[at] != 0).count(), all);
        };
        listed(&[COMMON, LEGACY], 0);
        listed(&[COMPAT], 2);
    }
}
