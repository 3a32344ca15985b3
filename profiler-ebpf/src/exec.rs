//! Executions: the program, the scripts that named it, and the interpreter
//! the kernel loaded beside it.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_find_vma, bpf_loop, bpf_task_pt_regs};
use aya_ebpf::programs::BtfTracePointContext;
use profiler_ebpf::kind;

use crate::event::{Base, Subject, Touch, buffer, hash_name, report, report_file, subject};
use crate::group;
use crate::kernel::{Place, Typed, current, field, place};
use crate::maps::{SCRATCH, slot};
use crate::name::{self, AT_FDCWD};
use crate::offset;

const SLOT: u32 = slot::TRACEPOINT;

/// `sched_process_exec`: task, former PID, `struct linux_binprm`.
#[inline(always)]
pub fn on_exec(ctx: &BtfTracePointContext) {
    let task = current();
    let Some(mut place) = place(task) else { return };
    let bprm: Typed = ctx.arg(2);
    // SAFETY: the tracepoint's third argument is typed.
    let (file, filename, interp): (Typed, u64, u64) = unsafe {
        (
            field(bprm, offset!(bprm_file)),
            field(bprm, offset!(bprm_filename)),
            field(bprm, offset!(bprm_interp)),
        )
    };
    // SAFETY: typed from the program on.
    let sb: u64 = unsafe {
        let inode: Typed = field(file, offset!(file_inode));
        field(inode, offset!(inode_sb))
    };
    if sb == place.root_sb {
        group::settle(&place);
    }
    let file = subject(&mut place, file as u64, kind::EXEC).unwrap_or_default();
    // A program from a volume is not the image's, unless as a script that one
    // of the image's runs, or that runs one of the image's.
    let mut script = 0;
    if file.dentry != 0 || interp != filename {
        script = named(&place, file, filename);
    }
    if interp != filename {
        named(&place, file, interp);
        scripts(&place, script);
    }
    if let Some(file) = subject(&mut place, mapped_at_start(task), kind::EXEC) {
        report_file(SLOT, &place, kind::EXEC, file);
    }
}

/// Reports `file`, executed under a name. Returns the name's hash.
#[inline(always)]
fn named(place: &Place, file: Subject, name: u64) -> u64 {
    let Some(buffer) = buffer(SLOT) else { return 0 };
    let name_len = name::from_kernel(buffer, name).unwrap_or(0);
    let mut base = Base::default();
    if name_len != 0 {
        base = name::base(place, name::is_absolute(buffer), AT_FDCWD);
    }
    let hash = hash_name(SLOT, name_len as u64);
    report(SLOT, place, &Touch { kind: kind::EXEC, flags: 0, file, base, name_len });
    hash
}

/// Scripts can name scripts as their interpreters, five deep; the kernel keeps
/// only the first and the last name. The others stand in the arguments it has
/// just put together, before the first script's own name:
///
/// ```text
/// /bin/interpreter [option] /script-3 [option] /script-2 [option] script-1 …
/// ```
#[inline(always)]
fn scripts(place: &Place, first: u64) {
    /// Five scripts with an option each, and the interpreter.
    const STRINGS: u32 = 11;
    let Some(buffer) = buffer(SLOT) else { return };
    // SAFETY: typed from the task on; the state is inside the buffer.
    unsafe {
        let mm: Typed = field(place.task, offset!(task_mm));
        let state = scripts_state(buffer);
        (*state).at = field(mm, offset!(mm_arg_start));
        (*state).first = first;
        bpf_loop(STRINGS, script as *mut c_void, core::ptr::null_mut(), 0);
    }
}

/// State of the loop over the arguments.
#[repr(C)]
struct Scripts {
    /// The next argument.
    at: u64,
    /// Hash of the first script's name.
    first: u64,
}

#[inline(always)]
fn scripts_state(buffer: *mut u8) -> *mut Scripts {
    // SAFETY: inside the buffer and aligned, apart from what `event` uses.
    unsafe { buffer.add(SCRATCH - 2048).cast() }
}

/// Body of [`scripts`]'s loop.
unsafe extern "C" fn script(_: u64, _: *mut c_void) -> i64 {
    let Some(buffer) = buffer(SLOT) else { return 1 };
    let Some(place) = place(current()) else { return 1 };
    // SAFETY: see `scripts_state`.
    let state = unsafe { &mut *scripts_state(buffer) };
    let Some(name_len) = name::from_user(buffer, state.at) else { return 1 };
    state.at += name_len as u64 + 1;
    if name_len == 0 {
        return 0;
    }
    if hash_name(SLOT, name_len as u64) == state.first {
        return 1;
    }
    if name::is_absolute(buffer) {
        let base = name::base(&place, true, AT_FDCWD);
        report(
            SLOT,
            &place,
            &Touch { kind: kind::EXEC, flags: 0, file: Subject::default(), base, name_len },
        );
    }
    0
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
