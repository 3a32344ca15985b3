//! Executions: the program, the script that named it, and the interpreter
//! the kernel loaded beside it.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_find_vma, bpf_probe_read_kernel_str, bpf_task_pt_regs};
use aya_ebpf::programs::BtfTracePointContext;
use profiler_ebpf::{Spec, kind};

use crate::event::{Touch, buffer, name_slot, report};
use crate::kernel::{Place, Typed, current, field, place};
use crate::maps::NAME_MAX;
use crate::offset;
use crate::syscall::base_of;

/// `sched_process_exec`: task, former PID, `struct linux_binprm`.
#[inline(always)]
pub fn on_exec(ctx: &BtfTracePointContext) {
    let task = current();
    let Some(place) = place(task) else { return };
    let bprm: Typed = ctx.arg(2);
    // SAFETY: the tracepoint's third argument is typed.
    let (file, filename, interp): (u64, u64, u64) = unsafe {
        (
            field(bprm, offset!(bprm_file)),
            field(bprm, offset!(bprm_filename)),
            field(bprm, offset!(bprm_interp)),
        )
    };
    named(&place, file, filename);
    if interp != filename {
        named(&place, file, interp);
    }
    let file = mapped_at_start(task);
    if file != 0 {
        report(&place, &Touch { kind: kind::EXEC, flags: 0, file, base: 0, name_len: 0 });
    }
}

/// Reports `file`, executed under a name.
#[inline(always)]
fn named(place: &Place, file: u64, name: u64) {
    let Some(buffer) = buffer() else { return };
    // SAFETY: the slot has NAME_MAX bytes and more behind it.
    let read = unsafe {
        bpf_probe_read_kernel_str(name_slot(buffer).cast(), NAME_MAX as u32, name as *const _)
    };
    let (mut name_len, mut base) = (0, 0);
    if read > 1 {
        name_len = (read - 1) as usize & (NAME_MAX - 1);
        // SAFETY: inside the buffer.
        let absolute = unsafe { core::ptr::read_volatile(name_slot(buffer)) } == b'/';
        base = base_of(place, absolute, Spec::NONE, &[0; 5]);
    }
    report(place, &Touch { kind: kind::EXEC, flags: 0, file, base, name_len });
}

/// The file mapped where the program will start: the ELF interpreter, or the
/// program itself when it is static.
#[inline(always)]
fn mapped_at_start(task: Typed) -> u64 {
    let mut file = 0u64;
    // SAFETY: both helpers take the running task; the callback only writes to
    // the local passed beside it.
    unsafe {
        let regs = bpf_task_pt_regs(task as *mut _) as Typed;
        let ip: u64 = field(regs, offset!(regs_ip));
        bpf_find_vma(task as *mut _, ip, note_file as *mut c_void, (&raw mut file).cast(), 0);
    }
    file
}

/// Callback of `bpf_find_vma`.
unsafe extern "C" fn note_file(_task: *mut c_void, vma: *mut c_void, out: *mut c_void) -> i64 {
    // SAFETY: the helper passes a typed mapping and the local from above.
    unsafe { *out.cast::<u64>() = field(vma as Typed, offset!(vma_file)) };
    0
}
