//! Types both sides share: the events the kernel side writes and the tables
//! user space hands it at load time. Everything is `repr(C)`, its size checked
//! at compile time, so that the two compilers cannot disagree.
#![no_std]

/// What a record in the ring buffer tells.
pub mod kind {
    /// A file opened; `ino` and path are the file's.
    pub const OPEN: u8 = 1;
    /// A file executed or loaded by the kernel as an interpreter.
    pub const EXEC: u8 = 2;
    /// Attributes of a name, last symlink followed.
    pub const STAT: u8 = 3;
    /// Attributes of a name itself.
    pub const LSTAT: u8 = 4;
    /// A link's target read.
    pub const READLINK: u8 = 5;
    /// A directory listed; path is the directory's.
    pub const LIST: u8 = 6;
    /// A name created, removed, renamed or bound.
    pub const MODIFY: u8 = 7;
    /// Not a file: a control group seen for the first time. Path holds its
    /// names, leaf first.
    pub const CGROUP: u8 = 15;
}

/// Bits of [`Header::flags`].
pub mod flag {
    /// Opened for writing.
    pub const WRITE: u8 = 1;
    /// The name did not exist.
    pub const MISSING: u8 = 2;
    /// The task's executable is not a file of the container's rootfs: the
    /// container runtime before its exec, or a program from a volume.
    pub const FOREIGN_EXE: u8 = 4;
    /// A path was longer than a record holds.
    pub const CUT: u8 = 8;
    /// The name is relative to a directory outside the rootfs.
    pub const BASE_OUTSIDE: u8 = 16;
    /// The file was already unlinked when touched.
    pub const UNLINKED: u8 = 32;
}

/// How one path argument of a system call is read, packed into an `u32`.
///
/// ```text
/// bits 0-3   kind          bits 4-6   index of the path argument, 7 = none
/// bits 7-9   index of the directory descriptor, 7 = current directory
/// bits 10-12 index of the flags argument, 7 = none
/// bit 13     the result is a descriptor of the file touched
/// bit 14     argument 0 is a descriptor of the file touched
/// bit 15     only failures count (success is seen elsewhere)
/// bit 16     the argument is a socket address
/// bit 17     a flag of AT_SYMLINK_FOLLOW inverts the default
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec(pub u32);

impl Spec {
    /// No argument of this kind.
    pub const NONE: u32 = 7;
    /// See the table above.
    pub const RESULT_FD: u32 = 1 << 13;
    /// See the table above.
    pub const ARG_FD: u32 = 1 << 14;
    /// See the table above.
    pub const FAILURES: u32 = 1 << 15;
    /// See the table above.
    pub const SOCKADDR: u32 = 1 << 16;

    /// Packs a specification.
    pub const fn new(kind: u8, path: u32, dirfd: u32, flags: u32, bits: u32) -> Self {
        Self(kind as u32 | path << 4 | dirfd << 7 | flags << 10 | bits)
    }
}

/// System call numbers above this are not looked at (x86-64 and arm64 stand
/// at 470 today).
pub const SYSCALLS: usize = 512;

/// Per system call: its first and second path argument, 0 = none.
pub type SyscallTable = [[u32; 2]; SYSCALLS];

/// Byte offsets of kernel structure fields, read from the running kernel's
/// BTF.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `pt_regs`: system call number.
    pub regs_nr: u32,
    /// `pt_regs`: the six arguments.
    pub regs_arg: [u32; 6],
    /// `pt_regs`: instruction pointer.
    pub regs_ip: u32,
    /// `task_struct.files`.
    pub task_files: u32,
    /// `task_struct.fs`.
    pub task_fs: u32,
    /// `task_struct.nsproxy`.
    pub task_nsproxy: u32,
    /// `task_struct.cgroups`.
    pub task_cgroups: u32,
    /// `task_struct.mm`.
    pub task_mm: u32,
    /// `mm_struct.exe_file`.
    pub mm_exe_file: u32,
    /// `nsproxy.mnt_ns`.
    pub nsproxy_mnt_ns: u32,
    /// `mnt_namespace.ns.inum`.
    pub mnt_ns_inum: u32,
    /// `files_struct.fdt`.
    pub files_fdt: u32,
    /// `fdtable.max_fds`.
    pub fdt_max_fds: u32,
    /// `fdtable.fd`.
    pub fdt_fd: u32,
    /// `fs_struct.root.dentry`.
    pub fs_root_dentry: u32,
    /// `fs_struct.root.mnt`.
    pub fs_root_mnt: u32,
    /// `fs_struct.pwd.dentry`.
    pub fs_pwd_dentry: u32,
    /// `vfsmount.mnt_sb`.
    pub vfsmount_sb: u32,
    /// `file.f_inode`.
    pub file_inode: u32,
    /// `file.f_path.dentry`.
    pub file_dentry: u32,
    /// `file.f_mode`.
    pub file_mode: u32,
    /// `inode.i_sb`.
    pub inode_sb: u32,
    /// `inode.i_ino`.
    pub inode_ino: u32,
    /// `inode.i_mode`.
    pub inode_mode: u32,
    /// `super_block.s_dev`.
    pub sb_dev: u32,
    /// `super_block.s_root`.
    pub sb_root: u32,
    /// `dentry.d_parent`.
    pub dentry_parent: u32,
    /// `dentry.d_name`.
    pub dentry_name: u32,
    /// `dentry.d_inode`.
    pub dentry_inode: u32,
    /// `dentry.d_sb`.
    pub dentry_sb: u32,
    /// `dentry.d_hash.pprev` (zero: unhashed).
    pub dentry_pprev: u32,
    /// `css_set.dfl_cgrp`.
    pub cset_dfl_cgrp: u32,
    /// `cgroup.kn`.
    pub cgroup_kn: u32,
    /// `kernfs_node.id`.
    pub kn_id: u32,
    /// `kernfs_node.name`.
    pub kn_name: u32,
    /// `kernfs_node.parent`, `__parent` since 6.15.
    pub kn_parent: u32,
    /// `linux_binprm.file`.
    pub bprm_file: u32,
    /// `linux_binprm.filename`.
    pub bprm_filename: u32,
    /// `linux_binprm.interp`.
    pub bprm_interp: u32,
    /// `vm_area_struct.vm_file`.
    pub vma_file: u32,
    /// `backing_file.user_path.dentry`, 0 where kernels have no such field.
    pub backing_user_dentry: u32,
}

/// What does not change while the programs run.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Inode number of the host's mount namespace: its tasks are left alone.
    pub host_mnt_ns: u32,
    /// Device of the host's root filesystem, as the kernel encodes it
    /// (`major << 20 | minor`).
    pub host_dev: u32,
}

/// First part of every record; after it `name_len`, `path_len` and `base_len`
/// bytes of name, path and base directory.
///
/// The name is the string the program passed. Path and base are dentry names
/// from the leaf up to the filesystem's root, each a length byte and that many
/// bytes; the root itself has none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Identity of the task's control group (never reused).
    pub cgroup: u64,
    /// Inode number of the file; 0 where only a name is known.
    pub ino: u64,
    /// Nanoseconds since boot.
    pub time: u64,
    /// Device of the rootfs.
    pub dev: u32,
    /// Process.
    pub tgid: u32,
    /// Task name, NUL padded.
    pub comm: [u8; 16],
    /// Bytes of the name.
    pub name_len: u16,
    /// Bytes of the path.
    pub path_len: u16,
    /// Bytes of the base directory's path.
    pub base_len: u16,
    /// See [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// `i_mode` of the file, 0 where only a name is known.
    pub mode: u32,
    /// Zero, for the alignment.
    pub pad: u32,
}

/// Size of a record's fixed part in bytes.
pub const HEADER: usize = size_of::<Header>();
const _: () = assert!(HEADER == 64);

/// Key of the table of names already reported.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Control group of the task.
    pub cgroup: u64,
    /// Inode of the file, 0 where only a name is known.
    pub ino: u64,
    /// Inode of the directory the name starts from.
    pub base: u64,
    /// Hash of the name.
    pub name: u64,
    /// Device of the rootfs.
    pub dev: u32,
    /// Kind, and the flags that make a difference, 8 bits each.
    pub what: u32,
}
const _: () = assert!(size_of::<Key>() == 40);

/// Indices into the kernel side's counters.
pub mod counter {
    /// Records for which the ring buffer had no room.
    pub const RING_FULL: u32 = 0;
    /// Paths cut short.
    pub const CUT: u32 = 1;
    /// First touches after the table of names was full (delivered).
    pub const TABLE_FULL: u32 = 2;
    /// Names or descriptors that could not be read.
    pub const UNREADABLE: u32 = 3;
    /// Records delivered.
    pub const DELIVERED: u32 = 4;
    /// How many there are.
    pub const COUNT: u32 = 5;
}
