//! Maps, the read-only globals user space fills before loading, and the one
//! it writes while the programs run.

use core::sync::atomic::AtomicU64;

use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray, PerCpuHashMap, RingBuf};
use profiler_ebpf::{
    Group, Key, Offsets, SYSCALLS, Settings, SyscallTable, URING_OPS, UringTable, counter,
};

/// Names longer than this cannot be passed to the kernel.
pub const NAME_MAX: usize = 4096;
/// Where the next path component may start at the latest.
pub const FILL_MAX: usize = 12 * 1024;
/// A record under construction. Larger than `FILL_MAX` by more than a
/// component, a power of two so that offsets can be masked.
pub const SCRATCH: usize = 16 * 1024;
/// The same for a control group's record.
pub const CGROUP_SCRATCH: usize = 8 * 1024;

/// Who uses which buffer of a CPU. A program hooked to a kernel function may
/// be preempted, and another run in between on the same CPU; the same one may
/// not. Those on tracepoints are never preempted and share one.
pub mod slot {
    /// Tracepoints.
    pub const TRACEPOINT: u32 = 0;
    /// `do_filp_open`.
    pub const OPEN: u32 = 1;
    /// `do_file_open_root`.
    pub const HANDLE: u32 = 2;
    /// `filename_lookup`.
    pub const LOOKUP: u32 = 3;
    /// `filename_create`.
    pub const CREATE: u32 = 4;
    /// `do_unlinkat`.
    pub const UNLINK: u32 = 5;
    /// `do_rmdir`.
    pub const RMDIR: u32 = 6;
    /// `do_renameat2`.
    pub const RENAME: u32 = 7;
    /// `ksys_mmap_pgoff`.
    pub const MAP: u32 = 8;
    /// `iterate_dir`.
    pub const LIST: u32 = 9;
    /// How many there are.
    pub const COUNT: u32 = 10;
}

/// Names that were reported, with the epoch of the last time, or [`UNSENT`].
#[map]
pub static SEEN: HashMap<Key, u64> = HashMap::with_max_entries(1 << 19, 0);
/// What stands in [`SEEN`] for a name whose record found no room.
pub const UNSENT: u64 = u64::MAX;

/// The current epoch, the only variable (`.bss`). It counts up; names reported
/// in an earlier one are reported once more.
#[unsafe(no_mangle)]
pub static EPOCH: AtomicU64 = AtomicU64::new(0);

/// The last touches that turned out to be known, by their hashes. The table of
/// all of them is tens of megabytes, and each look-up there waits for memory;
/// this fits the processor's cache.
#[map]
pub static RECENT: PerCpuArray<u64> = PerCpuArray::with_max_entries(RECENT_TOUCHES, 0);
/// A power of two.
pub const RECENT_TOUCHES: u32 = 1 << 13;

/// Control groups, by identity.
#[map]
pub static GROUPS: HashMap<u64, Group> = HashMap::with_max_entries(1 << 14, 0);

/// What was counted against each control group; see [`counter`].
#[map]
pub static LOSSES: PerCpuHashMap<u64, [u64; counter::COUNT as usize]> =
    PerCpuHashMap::with_max_entries(1 << 12, 0);

/// Records on their way to user space.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// See [`counter`].
#[map]
pub static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counter::COUNT, 0);

/// Where records are put together: the stack has 512 bytes. See [`slot`].
#[map]
pub static BUFFER: PerCpuArray<[u8; SCRATCH]> = PerCpuArray::with_max_entries(slot::COUNT, 0);

/// The same for control group records, which are made in between.
#[map]
pub static CGROUP_BUFFER: PerCpuArray<[u8; CGROUP_SCRATCH]> =
    PerCpuArray::with_max_entries(slot::COUNT, 0);

/// Field offsets. Read through [`offset!`], so that the verifier sees
/// constants and the compiler does not.
#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = Offsets {
    regs_nr: 0,
    regs_arg: [0; 5],
    regs_arg32: [0; 5],
    regs_ip: 0,
    task_files: 0,
    task_fs: 0,
    task_nsproxy: 0,
    task_cgroups: 0,
    task_mm: 0,
    task_status: 0,
    mm_arg_start: 0,
    mm_exe_file: 0,
    nsproxy_mnt_ns: 0,
    mnt_ns_inum: 0,
    files_fdt: 0,
    fdt_max_fds: 0,
    fdt_fd: 0,
    fs_root_dentry: 0,
    fs_root_mnt: 0,
    fs_pwd_dentry: 0,
    vfsmount_sb: 0,
    vfsmount_root: 0,
    file_inode: 0,
    file_dentry: 0,
    file_mode: 0,
    inode_sb: 0,
    inode_ino: 0,
    sb_dev: 0,
    sb_root: 0,
    dentry_parent: 0,
    dentry_name: 0,
    dentry_seq: 0,
    dentry_inode: 0,
    dentry_sb: 0,
    dentry_pprev: 0,
    cset_dfl_cgrp: 0,
    cset_subsys: 0,
    css_cgroup: 0,
    cgroup_kn: 0,
    kn_id: 0,
    kn_name: 0,
    kn_parent: 0,
    bprm_file: 0,
    bprm_filename: 0,
    bprm_interp: 0,
    vma_file: 0,
    backing_user_dentry: 0,
    filename_name: 0,
    op_open_flag: 0,
    op_lookup_flags: 0,
    uring_opcode: 0,
    uring_file_slot: 0,
    cqe_res: 0,
};

/// See [`Settings`].
#[unsafe(no_mangle)]
pub static SETTINGS: Settings =
    Settings { host_mnt_ns: 0, host_dev: 0, crowded: 0, budget: 0, uring_result: 0 };

/// `SYSCALLS - 1`, as a value that the compiler does not know and so cannot
/// drop a mask for: older verifiers lose track of a bound that was checked on
/// another copy of the number.
#[unsafe(no_mangle)]
pub static SYSCALL_MASK: u32 = SYSCALLS as u32 - 1;

/// What each system call names.
#[unsafe(no_mangle)]
pub static SYSCALL_TABLE: SyscallTable = [[0; 4]; SYSCALLS];

/// What each io_uring operation names.
#[unsafe(no_mangle)]
pub static URING_TABLE: UringTable = [[0; 2]; URING_OPS];

/// Adds one to a counter.
#[inline(always)]
pub fn count(index: u32) {
    if let Some(slot) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: the slot is this CPU's, and programs on a CPU do not
        // overlap in an increment that user space could notice.
        unsafe { *slot += 1 };
    }
}
