//! System calls, at their end: the table says what each of them names.

use aya_ebpf::helpers::generated::bpf_probe_read_user_str;
use aya_ebpf::programs::BtfTracePointContext;
use profiler_ebpf::{SYSCALLS, Spec, counter, flag, kind};

use crate::event::{Touch, buffer, name_slot, report};
use crate::kernel::{Place, Typed, constant, current, field, place, probe};
use crate::maps::{NAME_MAX, SYSCALL_MASK, SYSCALL_TABLE, count};
use crate::offset;

const ENOENT: i64 = -2;
const ENOTDIR: i64 = -20;
/// Errors after which nothing is known of the name: EINTR, EFAULT, ENFILE,
/// EMFILE, ENAMETOOLONG, ENOSYS.
const NOTHING_LEARNT: [i64; 6] = [-4, -14, -23, -24, -36, -38];
const AT_FDCWD: i32 = -100;
const AT_SYMLINK_NOFOLLOW: u64 = 0x100;

/// `sys_exit`: arguments are the registers and the result.
#[inline(always)]
pub fn on_exit(ctx: &BtfTracePointContext) {
    let regs: Typed = ctx.arg(0);
    // SAFETY: the tracepoint's first argument is typed.
    let nr: u64 = unsafe { field(regs, offset!(regs_nr)) };
    if nr >= SYSCALLS as u64 {
        return;
    }
    let index = nr as usize & constant(&SYSCALL_MASK);
    // SAFETY: masked to the table's length; volatile because the table is
    // filled in after compilation.
    let specs = unsafe {
        core::ptr::read_volatile((&raw const SYSCALL_TABLE).cast::<[u32; 2]>().add(index))
    };
    if specs[0] == 0 {
        return;
    }
    let Some(place) = place(current()) else { return };
    let result: i64 = ctx.arg(1);
    // SAFETY: the registers are typed.
    let args: [u64; 5] = unsafe {
        [
            field(regs, offset!(regs_arg[0])),
            field(regs, offset!(regs_arg[1])),
            field(regs, offset!(regs_arg[2])),
            field(regs, offset!(regs_arg[3])),
            field(regs, offset!(regs_arg[4])),
        ]
    };
    handle(ctx, nr, &place, specs[0], &args, result);
    if specs[1] != 0 {
        handle(ctx, nr, &place, specs[1], &args, result);
    }
}

/// One of the arguments; an index from the table.
#[inline(always)]
fn pick(args: &[u64; 5], index: u32) -> u64 {
    // A variable index into the stack would be refused.
    match index & 7 {
        0 => args[0],
        1 => args[1],
        2 => args[2],
        3 => args[3],
        _ => args[4],
    }
}

#[inline(always)]
fn handle(
    ctx: &BtfTracePointContext,
    nr: u64,
    place: &Place,
    spec: u32,
    args: &[u64; 5],
    result: i64,
) {
    let mut what = (spec & 15) as u8;
    let failed = result < 0 && result > -4096;
    if spec & Spec::FAILURES != 0 && !failed {
        return;
    }
    let mut flags = 0;
    if failed {
        if result == ENOENT || result == ENOTDIR {
            flags |= flag::MISSING;
        } else if NOTHING_LEARNT.contains(&result) {
            return;
        }
    }
    let mut file = 0;
    if !failed {
        if spec & Spec::RESULT_FD != 0 {
            file = file_of(place, result as i32);
        } else if spec & Spec::ARG_FD != 0 {
            file = file_of(place, args[0] as i32);
        }
        if spec & (Spec::RESULT_FD | Spec::ARG_FD) != 0 {
            if file == 0 {
                return;
            }
            // Before the name is read: most opens of a container's life are
            // of its own files, but /proc and volumes must stay cheap.
            let inode: u64 = probe(file, offset!(file_inode));
            let sb: u64 = probe(inode, offset!(inode_sb));
            if sb != place.root_sb {
                return;
            }
        }
    } else if spec & Spec::RESULT_FD != 0 && flags & flag::MISSING == 0 {
        // The open failed, the name is there: as good as a look at it.
        what = kind::STAT;
    }
    let path = spec >> 4 & 7;
    let (mut name_len, mut base) = (0, 0);
    if path != Spec::NONE {
        let Some(buffer) = buffer() else { return };
        let mut string = pick(args, path);
        if spec & Spec::SOCKADDR != 0 {
            let mut family = 0u16;
            // SAFETY: a local of two bytes.
            unsafe {
                aya_ebpf::helpers::generated::bpf_probe_read_user(
                    (&raw mut family).cast(),
                    2,
                    string as *const _,
                )
            };
            const AF_UNIX: u16 = 1;
            if family != AF_UNIX {
                return;
            }
            string += 2;
        }
        // SAFETY: the slot has NAME_MAX bytes and more behind it.
        let read = unsafe {
            bpf_probe_read_user_str(name_slot(buffer).cast(), NAME_MAX as u32, string as *const _)
        };
        // No name at all: utimensat and friends take a bare descriptor.
        if read < 0 && string != 0 {
            unreadable(ctx, nr);
        }
        // The length counts the NUL. An empty name means the descriptor
        // itself (AT_EMPTY_PATH), which was seen when it was opened.
        if read > 1 {
            name_len = (read - 1) as usize & (NAME_MAX - 1);
            // SAFETY: inside the buffer.
            let absolute = unsafe { core::ptr::read_volatile(name_slot(buffer)) } == b'/';
            base = base_of(place, absolute, spec >> 7 & 7, args);
        } else if file == 0 {
            return;
        }
        if spec >> 10 & 7 != Spec::NONE
            && what == kind::STAT
            && pick(args, spec >> 10) & AT_SYMLINK_NOFOLLOW != 0
        {
            what = kind::LSTAT;
        }
    }
    report(place, &Touch { kind: what, flags, file, base, name_len });
}

/// Counts a name that could not be read, and tells of it: rare, and each one
/// is a file the profile may lack. Not inlined, for the stack's sake.
#[inline(never)]
fn unreadable(ctx: &BtfTracePointContext, nr: u64) {
    count(counter::UNREADABLE);
    aya_log_ebpf::debug!(ctx, "system call {}: the name was not readable at its end", nr);
}

/// The directory a name starts from.
#[inline(always)]
pub fn base_of(place: &Place, absolute: bool, dirfd: u32, args: &[u64; 5]) -> u64 {
    // SAFETY: typed from the task on.
    unsafe {
        let fs: Typed = field(place.task, offset!(task_fs));
        if absolute {
            return field(fs, offset!(fs_root_dentry));
        }
        let fd = pick(args, dirfd) as i32;
        if dirfd == Spec::NONE || fd == AT_FDCWD {
            return field(fs, offset!(fs_pwd_dentry));
        }
        let file = file_of(place, fd);
        if file == 0 { 0 } else { probe(file, offset!(file_dentry)) }
    }
}

/// The `struct file` of a descriptor of the running task, 0 if there is none.
#[inline(always)]
fn file_of(place: &Place, fd: i32) -> u64 {
    // SAFETY: typed from the task on; `fd` is an array of pointers, of which
    // the verifier knows nothing.
    unsafe {
        let files: Typed = field(place.task, offset!(task_files));
        let fdt: Typed = field(files, offset!(files_fdt));
        let max: u32 = field(fdt, offset!(fdt_max_fds));
        if fd < 0 || fd as u32 >= max {
            return 0;
        }
        let array: u64 = field(fdt, offset!(fdt_fd));
        probe(array, fd as usize * 8)
    }
}
