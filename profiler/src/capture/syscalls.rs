//! Which system calls name files, and where their arguments hold the name.

use libc::c_long;
use profiler_ebpf::kind::LSTAT;
use profiler_ebpf::kind::{EXEC, LIST, MODIFY, OPEN, READLINK, STAT};
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

/// System calls of every architecture.
const COMMON: &[(c_long, Spec, Option<Spec>)] = &[
    (libc::SYS_openat, Spec::new(OPEN, 1, 0, NONE, Spec::RESULT_FD), None),
    (libc::SYS_openat2, Spec::new(OPEN, 1, 0, NONE, Spec::RESULT_FD), None),
    (libc::SYS_open_by_handle_at, Spec::new(OPEN, NONE, NONE, NONE, Spec::RESULT_FD), None),
    (libc::SYS_getdents64, Spec::new(LIST, NONE, NONE, NONE, Spec::ARG_FD), None),
    (libc::SYS_execve, Spec::new(EXEC, 0, NONE, NONE, Spec::FAILURES), None),
    (libc::SYS_execveat, Spec::new(EXEC, 1, 0, NONE, Spec::FAILURES), None),
    (libc::SYS_newfstatat, at_dir(STAT, 0, 1, 3), None),
    (libc::SYS_statx, at_dir(STAT, 0, 1, 2), None),
    (libc::SYS_faccessat, at_dir(STAT, 0, 1, NONE), None),
    (libc::SYS_faccessat2, at_dir(STAT, 0, 1, 3), None),
    (libc::SYS_statfs, at_cwd(STAT, 0), None),
    (libc::SYS_truncate, at_cwd(STAT, 0), None),
    (libc::SYS_chdir, at_cwd(STAT, 0), None),
    (libc::SYS_chroot, at_cwd(STAT, 0), None),
    (libc::SYS_readlinkat, at_dir(READLINK, 0, 1, NONE), None),
    (libc::SYS_name_to_handle_at, at_dir(LSTAT, 0, 1, NONE), None),
    (libc::SYS_fchmodat, at_dir(STAT, 0, 1, NONE), None),
    (libc::SYS_fchownat, at_dir(STAT, 0, 1, 4), None),
    (libc::SYS_utimensat, at_dir(STAT, 0, 1, 3), None),
    (libc::SYS_setxattr, at_cwd(STAT, 0), None),
    (libc::SYS_lsetxattr, at_cwd(LSTAT, 0), None),
    (libc::SYS_getxattr, at_cwd(STAT, 0), None),
    (libc::SYS_lgetxattr, at_cwd(LSTAT, 0), None),
    (libc::SYS_listxattr, at_cwd(STAT, 0), None),
    (libc::SYS_llistxattr, at_cwd(LSTAT, 0), None),
    (libc::SYS_inotify_add_watch, at_cwd(STAT, 1), None),
    (libc::SYS_mkdirat, at_dir(MODIFY, 0, 1, NONE), None),
    (libc::SYS_mknodat, at_dir(MODIFY, 0, 1, NONE), None),
    (libc::SYS_unlinkat, at_dir(MODIFY, 0, 1, NONE), None),
    (libc::SYS_symlinkat, at_dir(MODIFY, 1, 2, NONE), None),
    (libc::SYS_linkat, at_dir(LSTAT, 0, 1, NONE), Some(at_dir(MODIFY, 2, 3, NONE))),
    (libc::SYS_renameat2, at_dir(MODIFY, 0, 1, NONE), Some(at_dir(MODIFY, 2, 3, NONE))),
    (libc::SYS_bind, Spec::new(MODIFY, 1, NONE, NONE, Spec::SOCKADDR), None),
    (libc::SYS_connect, Spec::new(STAT, 1, NONE, NONE, Spec::SOCKADDR), None),
];

/// Those that newer architectures left out.
#[cfg(target_arch = "x86_64")]
const LEGACY: &[(c_long, Spec, Option<Spec>)] = &[
    (libc::SYS_open, Spec::new(OPEN, 0, NONE, NONE, Spec::RESULT_FD), None),
    (libc::SYS_creat, Spec::new(OPEN, 0, NONE, NONE, Spec::RESULT_FD), None),
    (libc::SYS_getdents, Spec::new(LIST, NONE, NONE, NONE, Spec::ARG_FD), None),
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
    (libc::SYS_link, at_cwd(LSTAT, 0), Some(at_cwd(MODIFY, 1))),
    (libc::SYS_rename, at_cwd(MODIFY, 0), Some(at_cwd(MODIFY, 1))),
    (libc::SYS_renameat, at_dir(MODIFY, 0, 1, NONE), Some(at_dir(MODIFY, 2, 3, NONE))),
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[(c_long, Spec, Option<Spec>)] = &[];

/// The table for the architecture this program runs on.
pub fn table() -> Box<SyscallTable> {
    let mut table = Box::new([[0; 2]; SYSCALLS]);
    for &(number, first, second) in COMMON.iter().chain(LEGACY) {
        table[number as usize] = [first.0, second.map_or(0, |spec| spec.0)];
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_system_call_is_listed_twice() {
        let mut numbers: Vec<_> = COMMON.iter().chain(LEGACY).map(|entry| entry.0).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
        assert_eq!(table().iter().filter(|specs| specs[0] != 0).count(), all);
    }
}
