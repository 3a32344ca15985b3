//! The kernel side. Two tiers of hooks for one stream of records:
//!
//! - *tracepoint*: `sys_exit` for everything that a system call names, and
//!   io_uring's own tracepoints;
//! - *fexit*: the kernel's open and lookup functions.
//!
//! `sched_process_exec`, for executions, belongs to both. Only the first touch
//! of a name makes a record; see [`event`].
#![no_std]
#![no_main]

mod event;
mod exec;
mod group;
mod kernel;
mod lookup;
mod maps;
mod name;
mod result;
mod syscall;
mod uring;

use aya_ebpf::macros::{btf_tracepoint, fentry, fexit};
use aya_ebpf::programs::{BtfTracePointContext, FEntryContext, FExitContext};

use maps::slot;

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

/// Every request handed to io_uring.
#[btf_tracepoint(function = "io_uring_submit_req")]
pub fn uring_submit(ctx: BtfTracePointContext) -> i32 {
    uring::on_submit(&ctx);
    0
}

/// Every request that io_uring is done with.
#[btf_tracepoint(function = "io_uring_complete")]
pub fn uring_complete(ctx: BtfTracePointContext) -> i32 {
    uring::on_complete(&ctx);
    0
}

/// Every open.
#[fexit(function = "do_filp_open")]
pub fn open(ctx: FExitContext) -> i32 {
    lookup::on_open(&ctx);
    0
}

/// Every open by handle.
#[fexit(function = "do_file_open_root")]
pub fn open_root(ctx: FExitContext) -> i32 {
    lookup::on_open_root(&ctx);
    0
}

/// Every lookup of a name.
#[fexit(function = "filename_lookup")]
pub fn lookup(ctx: FExitContext) -> i32 {
    lookup::on_lookup(&ctx);
    0
}

/// Every name to be made or bound.
#[fentry(function = "filename_create")]
pub fn create(ctx: FEntryContext) -> i32 {
    lookup::on_name(&ctx, slot::CREATE, 0);
    0
}

/// Every name to be removed.
#[fentry(function = "do_unlinkat")]
pub fn unlink(ctx: FEntryContext) -> i32 {
    lookup::on_name(&ctx, slot::UNLINK, 0);
    0
}

/// Every directory to be removed.
#[fentry(function = "do_rmdir")]
pub fn rmdir(ctx: FEntryContext) -> i32 {
    lookup::on_name(&ctx, slot::RMDIR, 0);
    0
}

/// Every name to be renamed.
#[fentry(function = "do_renameat2")]
pub fn rename(ctx: FEntryContext) -> i32 {
    lookup::on_name(&ctx, slot::RENAME, 0);
    lookup::on_name(&ctx, slot::RENAME, 2);
    0
}

/// Every mapping of a descriptor.
#[fexit(function = "ksys_mmap_pgoff")]
pub fn map(ctx: FExitContext) -> i32 {
    lookup::on_map(&ctx);
    0
}

/// Every listing of a directory.
#[fexit(function = "iterate_dir")]
pub fn list(ctx: FExitContext) -> i32 {
    lookup::on_list(&ctx);
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
