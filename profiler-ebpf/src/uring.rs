//! io_uring in the tracepoint tier: names when a request is handed in,
//! descriptors when it is done.

use aya_ebpf::programs::BtfTracePointContext;
use profiler_ebpf::{URING_OPS, URING_RESULT_FD, kind};

use crate::event::{report_file, subject};
use crate::kernel::{Place, current, place, probe};
use crate::maps::{URING_TABLE, slot};
use crate::name::{AT_FDCWD, file_of, report_named};
use crate::{offset, setting};

const SLOT: u32 = slot::TRACEPOINT;

/// What an operation names; see `UringTable`.
#[inline(always)]
fn specs(request: u64) -> [u32; 2] {
    let opcode: u8 = probe(request, offset!(uring_opcode));
    let index = usize::from(opcode) & (URING_OPS - 1);
    // SAFETY: masked to the table's length; volatile because the table is
    // filled in after compilation.
    unsafe { core::ptr::read_volatile((&raw const URING_TABLE).cast::<[u32; 2]>().add(index)) }
}

/// `io_uring_submit_req`, before 6.4 `io_uring_submit_sqe`: the request, whose
/// names the kernel has copied by now. Whether they exist is not known yet.
#[inline(always)]
pub fn on_submit(ctx: &BtfTracePointContext) {
    let request: u64 = ctx.arg(0);
    let [first, second] = specs(request);
    if first == 0 {
        return;
    }
    let Some(place) = place(current()) else { return };
    named(&place, request, first);
    if second != 0 {
        named(&place, request, second);
    }
}

#[inline(always)]
fn named(place: &Place, request: u64, spec: u32) {
    let filename: u64 = probe(request, (spec >> 8 & 0xff) as usize);
    let string: u64 = probe(filename, offset!(filename_name));
    let at = spec >> 16 & 0xff;
    let dirfd: i32 = if at == 0 { AT_FDCWD } else { probe(request, at as usize) };
    report_named(SLOT, place, ((spec & 15) as u8, 0), string, dirfd);
}

/// `io_uring_complete`: ring, request, and the result or the completion entry.
#[inline(always)]
pub fn on_complete(ctx: &BtfTracePointContext) {
    let request: u64 = ctx.arg(1);
    if request == 0 || specs(request)[0] & URING_RESULT_FD == 0 {
        return;
    }
    // A descriptor of the ring's own table is none of the task's.
    if probe::<u32>(request, offset!(uring_file_slot)) != 0 {
        return;
    }
    let result: i32 =
        if setting!(uring_result) != 0 { ctx.arg(3) } else { probe(ctx.arg(2), offset!(cqe_res)) };
    if result < 0 {
        return;
    }
    let Some(mut place) = place(current()) else { return };
    let file = file_of(&place, result);
    if let Some(file) = subject(&mut place, file, kind::OPEN) {
        report_file(SLOT, &place, kind::OPEN, file);
    }
}
