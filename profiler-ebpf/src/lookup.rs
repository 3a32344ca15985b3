//! The fexit tier: the kernel's own open and lookup functions, at their end.
//! Other system calls pay nothing, and whatever door a program came through
//! (io_uring, 32-bit calls, handles) ends here.

use aya_ebpf::helpers::generated::bpf_task_pt_regs;
use aya_ebpf::programs::{FEntryContext, FExitContext};
use profiler_ebpf::{flag, kind};

use crate::event::{Base, Subject, Touch, buffer, report, report_file, subject, subject_typed};
use crate::kernel::{Typed, current, field, place};
use crate::maps::slot;
use crate::name::{self, file_of, report_named};
use crate::offset;
use crate::result::{Outcome, sort};
use crate::syscall::{MAP_ANONYMOUS, is_narrow, specs};

/// In `open_flags.open_flag`: the open is an exec's.
const FMODE_EXEC: u32 = 0x20;
/// In the flags of a lookup.
const LOOKUP_FOLLOW: u32 = 1;
const LOOKUP_IN_ROOT: u32 = 0x10_0000;

/// What the function returned, as a number: the context would give a typed
/// pointer, of which the verifier allows no arithmetic, and so no comparison
/// with a set of errors.
#[inline(always)]
fn returned(ctx: &FExitContext) -> u64 {
    ctx.ret().unwrap_or(0)
}

/// `struct file *do_filp_open(int dfd, struct filename *, const struct
/// open_flags *)`.
#[inline(always)]
pub fn on_open(ctx: &FExitContext) {
    let (dirfd, filename, op): (i32, Typed, Typed) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
    let returned = returned(ctx);
    // SAFETY: the arguments are typed.
    let (name, open_flag, lookup): (u64, u32, u32) = unsafe {
        (
            field(filename, offset!(filename_name)),
            field(op, offset!(op_open_flag)),
            field(op, offset!(op_lookup_flags)),
        )
    };
    let Some(mut place) = place(current()) else { return };
    let outcome = sort(returned as i64, true);
    let exec = open_flag & FMODE_EXEC != 0;
    let (mut what, mut flags) = (if exec { kind::EXEC } else { kind::OPEN }, 0);
    let mut file = Subject::default();
    match outcome {
        Outcome::Done => match subject_typed(&mut place, ctx.arg(3)) {
            // Which program an exec ends with, its own hook knows.
            Some(_) if exec => {}
            Some(subject) => file = subject,
            None => return,
        },
        Outcome::Missing => flags |= flag::MISSING,
        Outcome::Refused if !exec => what = kind::STAT,
        Outcome::Refused => {}
        Outcome::Unknown => return,
    }
    let Some(buffer) = buffer(slot::OPEN) else { return };
    let name_len = name::from_kernel(buffer, name).unwrap_or(0);
    let mut base = Base::default();
    if name_len != 0 {
        let absolute = name::is_absolute(buffer) && lookup & LOOKUP_IN_ROOT == 0;
        base = name::base(&place, absolute, dirfd);
    } else if file.dentry == 0 {
        return;
    }
    report(slot::OPEN, &place, &Touch { kind: what, flags, file, base, name_len });
}

/// `struct file *do_file_open_root(const struct path *, const char *, const
/// struct open_flags *)`: opens by handle.
#[inline(always)]
pub fn on_open_root(ctx: &FExitContext) {
    if sort(returned(ctx) as i64, true) != Outcome::Done {
        return;
    }
    let Some(mut place) = place(current()) else { return };
    let Some(file) = subject_typed(&mut place, ctx.arg(3)) else { return };
    report_file(slot::HANDLE, &place, kind::OPEN, file);
}

/// `int filename_lookup(int dfd, struct filename *, unsigned flags, struct
/// path *, struct path *root)`: everything that asks for a file without
/// opening it.
#[inline(always)]
pub fn on_lookup(ctx: &FExitContext) {
    let (dirfd, filename, lookup): (i32, Typed, u32) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
    let result = returned(ctx) as i32;
    let task = current();
    let Some(place) = place(task) else { return };
    let outcome = sort(i64::from(result), false);
    if outcome == Outcome::Unknown {
        return;
    }
    let flags = if outcome == Outcome::Missing { flag::MISSING } else { 0 };
    let call = kind_of_call(task);
    // Security modules look an exec's name up once more for themselves.
    if call == kind::EXEC {
        return;
    }
    let what = if lookup & LOOKUP_FOLLOW != 0 {
        kind::STAT
    } else if call == kind::READLINK {
        kind::READLINK
    } else {
        kind::LSTAT
    };
    // SAFETY: the argument is typed.
    let name = unsafe { field(filename, offset!(filename_name)) };
    report_named(slot::LOOKUP, &place, (what, flags), name, dirfd);
}

/// What the task's system call does with its name, as a kind; 0 for one that
/// names none. At the lookup, `readlink` looks like `lstat`.
#[inline(always)]
fn kind_of_call(task: Typed) -> u8 {
    // SAFETY: the helper takes the running task and returns typed registers.
    let nr: u64 = unsafe {
        let regs = bpf_task_pt_regs(task as *mut _) as Typed;
        field(regs, offset!(regs_nr))
    };
    let specs = specs(nr);
    ((if is_narrow(task) { specs[2] } else { specs[0] }) & 15) as u8
}

/// Names to be made, removed, renamed or bound: `filename_create(int dfd,
/// struct filename *, …)`, and `do_unlinkat`, `do_rmdir` and `do_renameat2`,
/// whose arguments start alike. At their start: they free the names. (The one
/// function below them all, `__filename_parentat`, has more arguments than
/// hooks could take before 6.6.)
#[inline(always)]
pub fn on_name(ctx: &FEntryContext, slot: u32, first: usize) {
    let (dirfd, filename): (i32, Typed) = (ctx.arg(first), ctx.arg(first + 1));
    let Some(place) = place(current()) else { return };
    // SAFETY: the argument is typed; where it is an error, it reads as zero.
    let name = unsafe { field(filename, offset!(filename_name)) };
    report_named(slot, &place, (kind::MODIFY, 0), name, dirfd);
}

/// `unsigned long ksys_mmap_pgoff(addr, len, prot, flags, fd, pgoff)`.
#[inline(always)]
pub fn on_map(ctx: &FExitContext) {
    let (flags, fd): (u64, u64) = (ctx.arg(3), ctx.arg(4));
    let returned = returned(ctx);
    if flags & MAP_ANONYMOUS != 0 || sort(returned as i64, false) != Outcome::Done {
        return;
    }
    let Some(mut place) = place(current()) else { return };
    let file = file_of(&place, fd as i32);
    if let Some(file) = subject(&mut place, file, kind::MMAP) {
        report_file(slot::MAP, &place, kind::MMAP, file);
    }
}

/// `int iterate_dir(struct file *, struct dir_context *)`.
#[inline(always)]
pub fn on_list(ctx: &FExitContext) {
    let result = returned(ctx) as i32;
    if sort(i64::from(result), false) != Outcome::Done {
        return;
    }
    let Some(mut place) = place(current()) else { return };
    let Some(file) = subject_typed(&mut place, ctx.arg(0)) else { return };
    report_file(slot::LIST, &place, kind::LIST, file);
}
