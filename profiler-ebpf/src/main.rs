//! The kernel side, tracepoint tier: `sys_exit` for everything that a system
//! call names, `sched_process_exec` for executions.
//!
//! Only the first touch of a name makes a record; see [`event`].
#![no_std]
#![no_main]

mod event;
mod exec;
mod kernel;
mod maps;
mod syscall;

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

/// Every system call's end.
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    syscall::on_exit(&ctx);
    0
}

/// Every successful exec, before the new program's first instruction.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn process_exec(ctx: BtfTracePointContext) -> i32 {
    exec::on_exec(&ctx);
    0
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Programs that call GPL-only helpers must say so; the sources are dual.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
