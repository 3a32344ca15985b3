//! System calls, at their end: the table says what each of them names.

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use aya_ebpf::programs::BtfTracePointContext;
use profiler_ebpf::{SYSCALLS, Spec, counter, flag, kind};

use crate::event::{Base, Subject, Touch, buffer, prepare, subject, take};
use crate::group;
use crate::kernel::{Place, Typed, constant, current, field, place};
use crate::maps::{NAME_MAX, SCRATCH, SYSCALL_MASK, SYSCALL_TABLE, slot};
use crate::name::{self, AT_FDCWD, file_of};
use crate::offset;
use crate::result::{Outcome, sort};

const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
const AT_SYMLINK_FOLLOW: u64 = 0x400;
pub const MAP_ANONYMOUS: u64 = 0x20;
const RESOLVE_IN_ROOT: u64 = 0x10;
/// In `thread_info.status`: the system call came by the 32-bit door.
const TS_COMPAT: u32 = 2;

/// Notes the first five arguments. In a 32-bit program they are in other
/// registers, whose upper halves may hold anything.
macro_rules! registers {
    ($args:expr, $field:ident, $regs:expr, $width:ty) => {
        // SAFETY: the registers are typed.
        unsafe {
            $args[0] = u64::from(field::<$width>($regs, offset!($field[0])));
            $args[1] = u64::from(field::<$width>($regs, offset!($field[1])));
            $args[2] = u64::from(field::<$width>($regs, offset!($field[2])));
            $args[3] = u64::from(field::<$width>($regs, offset!($field[3])));
            $args[4] = u64::from(field::<$width>($regs, offset!($field[4])));
        }
    };
}

/// Bits of what [`handle`] returns: there is something to [`take`],
const TOUCHED: u64 = 1;
/// and a name could not be read.
const UNREADABLE: u64 = 2;

/// `sys_exit`: arguments are the registers and the result.
#[inline(always)]
pub fn on_exit(ctx: &BtfTracePointContext) {
    let regs: Typed = ctx.arg(0);
    // SAFETY: the tracepoint's first argument is typed.
    let nr: u64 = unsafe { field(regs, offset!(regs_nr)) };
    let specs = specs(nr);
    if specs[0] | specs[2] == 0 {
        return;
    }
    let task = current();
    let narrow = is_narrow(task);
    let (first, second) = if narrow { (specs[2], specs[3]) } else { (specs[0], specs[1]) };
    if first == 0 {
        return;
    }
    // Most mappings: not worth what follows.
    if first & Spec::MAP != 0 && map_flags(regs, narrow) & MAP_ANONYMOUS != 0 {
        return;
    }
    let Some(place) = place(task) else { return };
    let Some(buffer) = buffer(slot::TRACEPOINT) else { return };
    // SAFETY: see `call`.
    let call = unsafe { &mut *call(buffer) };
    if narrow {
        registers!(call.args, regs_arg32, regs, u32);
    } else {
        registers!(call.args, regs_arg, regs, u64);
    }
    call.result = ctx.arg(1);
    call.root_sb = place.root_sb;
    call.cgroup = place.cgroup;
    call.dev = place.dev;
    let mut done = handle(first);
    if done & TOUCHED != 0 {
        take(slot::TRACEPOINT);
    }
    if second != 0 {
        let also = handle(second);
        if also & TOUCHED != 0 {
            take(slot::TRACEPOINT);
        }
        done |= also;
    }
    if done & UNREADABLE != 0 {
        aya_log_ebpf::debug!(ctx, "a system call's name was not readable at its end");
    }
}

/// The flags that `mmap` is given.
#[inline(always)]
fn map_flags(regs: Typed, narrow: bool) -> u64 {
    // SAFETY: the registers are typed.
    unsafe {
        if narrow {
            u64::from(field::<u32>(regs, offset!(regs_arg32[3])))
        } else {
            field(regs, offset!(regs_arg[3]))
        }
    }
}

/// What the table says of a system call number; zeroes for one beyond it.
#[inline(always)]
pub fn specs(nr: u64) -> [u32; 4] {
    if nr >= SYSCALLS as u64 {
        return [0; 4];
    }
    let index = nr as usize & constant(&SYSCALL_MASK);
    // SAFETY: masked to the table's length; volatile because the table is
    // filled in after compilation.
    unsafe { core::ptr::read_volatile((&raw const SYSCALL_TABLE).cast::<[u32; 4]>().add(index)) }
}

/// Whether a task's system call is a 32-bit one.
#[inline(always)]
pub fn is_narrow(task: Typed) -> bool {
    // SAFETY: typed.
    unsafe { field::<u32>(task, offset!(task_status)) & TS_COMPAT != 0 }
}

/// A system call and its task's place, as they wait in the buffer. Numbers
/// only: what is read back from a map has no type.
#[repr(C)]
struct Call {
    /// The first five, and nothing.
    args: [u64; 8],
    result: i64,
    root_sb: u64,
    cgroup: u64,
    dev: u32,
}

impl Call {
    /// One of the first five.
    #[inline(always)]
    fn arg(&self, index: u32) -> u64 {
        self.args[index as usize & 7]
    }
}

/// Where [`Call`] stands in a buffer, apart from what `event` and `exec` use.
#[inline(always)]
fn call(buffer: *mut u8) -> *mut Call {
    // SAFETY: inside the buffer and aligned.
    unsafe { buffer.add(SCRATCH - 2560).cast() }
}

/// Does what one half of a table's line says for the call in the buffer, up to
/// [`take`]. Returns bits.
///
/// A global function: the verifier checks it once, whoever calls it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn handle(spec: u32) -> u64 {
    let Some(buffer) = buffer(slot::TRACEPOINT) else { return 0 };
    // SAFETY: see `call`.
    let args = unsafe { &*call(buffer) };
    let place =
        &mut Place { task: current(), root_sb: args.root_sb, dev: args.dev, cgroup: args.cgroup };
    let result = args.result;
    let mut what = (spec & 15) as u8;
    let outcome = sort(result, spec & Spec::RESULT_FD != 0);
    if outcome == Outcome::Unknown || outcome == Outcome::Done && spec & Spec::FAILURES != 0 {
        return 0;
    }
    let mut flags = 0;
    if outcome == Outcome::Missing && what != kind::MODIFY {
        flags |= flag::MISSING;
    }
    let mut file = Subject::default();
    if outcome == Outcome::Done {
        if spec & (Spec::RESULT_FD | Spec::ARG_FD | Spec::MAP) != 0 {
            let fd = if spec & Spec::RESULT_FD != 0 {
                result as i32
            } else if spec & Spec::ARG_FD != 0 {
                args.arg(0) as i32
            } else {
                args.arg(4) as i32
            };
            // Before the name is read: /proc and volumes must stay cheap.
            match subject(place, file_of(place, fd), what) {
                Some(subject) => file = subject,
                None => return 0,
            }
        }
    } else if outcome == Outcome::Refused && spec & Spec::RESULT_FD != 0 {
        // The open failed, the name is there: as good as a look at it.
        what = kind::STAT;
    }
    let path = spec >> 4 & 7;
    let (mut name_len, mut base, mut unread) = (0, Base::default(), 0);
    if path != Spec::NONE {
        if outcome == Outcome::Done && spec & (Spec::MOVES_PWD | Spec::MOVES_ROOT) != 0 {
            moved(place, spec);
            return TOUCHED;
        }
        let mut string = args.arg(path);
        if spec & Spec::SOCKADDR != 0 {
            const AF_UNIX: u16 = 1;
            if from_user::<u16>(string) != AF_UNIX {
                return 0;
            }
            string += 2;
        }
        match name::from_user(buffer, string) {
            // A socket's name ends with its address, NUL or not.
            Some(len) if spec & Spec::SOCKADDR != 0 => {
                let rest = args.arg(2).saturating_sub(2) as usize & (NAME_MAX - 1);
                name_len = if rest < len { rest } else { len };
            }
            Some(len) => name_len = len,
            // No name at all: utimensat and friends take a bare descriptor.
            None if string != 0 => {
                // Rare, and each one is a file the profile may lack.
                group::lose(place.cgroup, counter::UNREADABLE);
                unread = UNREADABLE;
            }
            None => {}
        }
        // An empty name means the descriptor itself (AT_EMPTY_PATH), which was
        // seen when it was opened.
        if name_len != 0 {
            let mut absolute = name::is_absolute(buffer);
            if spec & Spec::OPEN_HOW != 0
                && from_user::<u64>(args.arg(2) + 16) & RESOLVE_IN_ROOT != 0
            {
                absolute = false;
            }
            let dirfd = spec >> 7 & 7;
            let fd = if dirfd == Spec::NONE { AT_FDCWD } else { args.arg(dirfd) as i32 };
            base = name::base(place, absolute, fd);
        } else if file.dentry == 0 {
            return unread;
        }
        let flags_arg = spec >> 10 & 7;
        if flags_arg != Spec::NONE {
            let asked = args.arg(flags_arg);
            if what == kind::STAT && asked & AT_SYMLINK_NOFOLLOW != 0 {
                what = kind::LSTAT;
            } else if spec & Spec::MAY_FOLLOW != 0 && asked & AT_SYMLINK_FOLLOW != 0 {
                what = kind::STAT;
            }
        }
    } else if file.dentry == 0 {
        return 0;
    }
    prepare(slot::TRACEPOINT, place, &Touch { kind: what, flags, file, base, name_len });
    unread | TOUCHED
}

/// A change of the current or root directory that worked: what its name
/// started from is gone, but it leads to where the task is now.
#[inline(always)]
fn moved(place: &Place, spec: u32) {
    let base = name::base(place, spec & Spec::MOVES_ROOT != 0, AT_FDCWD);
    let touch = Touch { kind: kind::STAT, flags: 0, file: Subject::default(), base, name_len: 0 };
    prepare(slot::TRACEPOINT, place, &touch);
}

/// Reads a word of the running program; zero when it cannot be read.
#[inline(always)]
fn from_user<T: Copy + Default>(address: u64) -> T {
    let mut value = T::default();
    // SAFETY: a local of that size; the helper checks the source.
    unsafe {
        bpf_probe_read_user((&raw mut value).cast(), size_of::<T>() as u32, address as *const _)
    };
    value
}
