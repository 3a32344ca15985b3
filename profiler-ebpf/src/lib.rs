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
    /// A name created, removed, renamed or bound, or tried to be: whether it
    /// existed does not matter, only where it stands.
    pub const MODIFY: u8 = 7;
    /// A file mapped through a descriptor.
    pub const MMAP: u8 = 8;
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
    /// A path was longer than a record holds; no name or path is told.
    pub const CUT: u8 = 8;
    /// The name is relative to a directory outside the rootfs.
    pub const BASE_OUTSIDE: u8 = 16;
    /// The file was already unlinked when touched.
    pub const UNLINKED: u8 = 32;
    /// The file's dentry has no connection to its filesystem's root (opened
    /// by handle): its path is not known.
    pub const DETACHED: u8 = 64;
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
/// bit 17     AT_SYMLINK_FOLLOW asks for the target (not the default)
/// bit 18     argument 4 is the descriptor of a file to map, 3 has the flags
/// bit 19     argument 2 points to a `struct open_how`
/// bit 20     success makes it the current directory
/// bit 21     success makes it the root directory
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
    /// See the table above.
    pub const MAY_FOLLOW: u32 = 1 << 17;
    /// See the table above.
    pub const MAP: u32 = 1 << 18;
    /// See the table above.
    pub const OPEN_HOW: u32 = 1 << 19;
    /// See the table above.
    pub const MOVES_PWD: u32 = 1 << 20;
    /// See the table above.
    pub const MOVES_ROOT: u32 = 1 << 21;

    /// Packs a specification.
    pub const fn new(kind: u8, path: u32, dirfd: u32, flags: u32, bits: u32) -> Self {
        Self(kind as u32 | path << 4 | dirfd << 7 | flags << 10 | bits)
    }
}

/// System call numbers above this are not looked at (x86-64 and arm64 stand
/// at 470 today).
pub const SYSCALLS: usize = 512;

/// Per system call number: its first and second path argument, and the same
/// for 32-bit programs, which count differently; 0 = none.
pub type SyscallTable = [[u32; 4]; SYSCALLS];

/// io_uring operations above this are not looked at (Linux 6.18 has 63).
pub const URING_OPS: usize = 64;

/// Per io_uring operation: its first and second name, 0 = none.
///
/// ```text
/// bits 0-3   kind
/// bits 8-15  byte offset of the `struct filename *` in the request
/// bits 16-23 byte offset of the directory descriptor, 0 = current directory
/// bit 24     the result is a descriptor
/// ```
pub type UringTable = [[u32; 2]; URING_OPS];

/// See [`UringTable`].
pub const URING_RESULT_FD: u32 = 1 << 24;

/// Byte offsets of kernel structure fields, read from the running kernel's
/// BTF.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `pt_regs`: system call number.
    pub regs_nr: u32,
    /// `pt_regs`: the first five arguments.
    pub regs_arg: [u32; 5],
    /// `pt_regs`: the same for 32-bit programs.
    pub regs_arg32: [u32; 5],
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
    /// `task_struct.thread_info.status`.
    pub task_status: u32,
    /// `mm_struct.arg_start`.
    pub mm_arg_start: u32,
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
    /// `vfsmount.mnt_root`.
    pub vfsmount_root: u32,
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
    /// `super_block.s_dev`.
    pub sb_dev: u32,
    /// `super_block.s_root`.
    pub sb_root: u32,
    /// `dentry.d_parent`.
    pub dentry_parent: u32,
    /// `dentry.d_name`.
    pub dentry_name: u32,
    /// `dentry.d_seq`.
    pub dentry_seq: u32,
    /// `dentry.d_inode`.
    pub dentry_inode: u32,
    /// `dentry.d_sb`.
    pub dentry_sb: u32,
    /// `dentry.d_hash.pprev` (zero: unhashed).
    pub dentry_pprev: u32,
    /// `css_set.dfl_cgrp`.
    pub cset_dfl_cgrp: u32,
    /// `css_set.subsys` of the controller that tells containers apart where
    /// there is no cgroup v2 hierarchy; 0 where there is.
    pub cset_subsys: u32,
    /// `cgroup_subsys_state.cgroup`.
    pub css_cgroup: u32,
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
    /// `filename.name`.
    pub filename_name: u32,
    /// `open_flags.open_flag`.
    pub op_open_flag: u32,
    /// `open_flags.lookup_flags`.
    pub op_lookup_flags: u32,
    /// `io_kiocb.opcode`.
    pub uring_opcode: u32,
    /// `io_open.file_slot`.
    pub uring_file_slot: u32,
    /// `io_uring_cqe.res`.
    pub cqe_res: u32,
}

/// Bytes read at once of a `struct file`, of a `struct inode` from `i_sb` on,
/// and of a `struct dentry`; user space checks that the fields lie within.
pub const CHUNKS: [usize; 3] = [96, 32, 48];

/// What does not change while the programs run.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Inode number of the host's mount namespace: its tasks are left alone.
    pub host_mnt_ns: u32,
    /// Device of the host's root filesystem, as the kernel encodes it
    /// (`major << 20 | minor`).
    pub host_dev: u32,
    /// Bytes waiting in the ring buffer from which on it counts as crowded.
    pub crowded: u32,
    /// Names that one control group may have in the table of known ones.
    pub budget: u32,
    /// Whether `io_uring_complete` passes the result itself (before 6.14) and
    /// not the completion entry.
    pub uring_result: u32,
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
    /// Inode number of the task's executable, 0 when that is not a file of
    /// the rootfs.
    pub exe: u64,
    /// The epoch in which it was touched: user space counts one up to have
    /// each name reported once more.
    pub epoch: u64,
}

/// Size of a record's fixed part in bytes.
pub const HEADER: usize = size_of::<Header>();
const _: () = assert!(HEADER == 72);

/// Key of the table of names already reported.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Control group of the task.
    pub cgroup: u64,
    /// Hash of what makes a touch: inode, starting directory, name,
    /// executable, device, kind, and the flags that make a difference. Two
    /// that fall together would lose one; for a half million names the odds
    /// are one in a hundred million, and a container that looks for such
    /// pairs hides nothing but its own files.
    pub touch: u64,
}

/// What is kept of a control group.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Superblock of its rootfs: that of the first program from the rootfs
    /// that was executed. A task that changes its root later does not move
    /// it. 0 before that.
    pub root_sb: u64,
    /// The directory in there that is mounted as the rootfs: the
    /// superblock's root, but for storage drivers that make directories.
    pub root: u64,
    /// Whether its names were sent.
    pub announced: u64,
    /// Names it has in the table of known ones.
    pub names: u64,
    /// The current span of time, and records sent in it.
    pub window: u64,
    /// See above.
    pub sent: u64,
}

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
    /// Files whose path is not known, see [`flag::DETACHED`](super::flag).
    pub const DETACHED: u32 = 5;
    /// How many there are.
    pub const COUNT: u32 = 6;
}
