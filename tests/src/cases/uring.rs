//! A ring of `io_uring`, set up by hand. Format: `linux/io_uring.h`.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};

use super::sys::{CWD, Failed, call};

/// `IORING_OP_OPENAT`.
const OPENAT: u8 = 18;
/// `IORING_OP_STATX`.
const STATX: u8 = 21;
/// `IOSQE_ASYNC`: leave it to a worker at once.
const ASYNC: u8 = 1 << 4;
const ENTER_GETEVENTS: i32 = 1;
const REGISTER_FILES: i32 = 2;
const OFF_SQ_RING: usize = 0;
const OFF_CQ_RING: usize = 0x800_0000;
const OFF_SQES: usize = 0x1000_0000;
const SQE: usize = 64;

#[repr(C)]
#[derive(Debug, Default)]
struct SqOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags: u32,
    dropped: u32,
    array: u32,
    reserved: u32,
    user_addr: u64,
}

#[repr(C)]
#[derive(Debug, Default)]
struct CqOffsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    overflow: u32,
    cqes: u32,
    flags: u32,
    reserved: u32,
    user_addr: u64,
}

#[repr(C)]
#[derive(Debug, Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    sq_thread_cpu: u32,
    sq_thread_idle: u32,
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    sq: SqOffsets,
    cq: CqOffsets,
}

#[repr(C)]
#[derive(Debug, Default)]
struct Submission {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    off: u64,
    addr: u64,
    len: u32,
    op_flags: u32,
    user_data: u64,
    buf_index: u16,
    personality: u16,
    /// Slot among the registered files plus one, 0 for a descriptor.
    file_index: u32,
    rest: [u64; 2],
}
const _: () = assert!(size_of::<Submission>() == SQE && size_of::<Params>() == 120);

/// How a file is opened through the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Into a descriptor.
    Plain,
    /// The same, by a worker of the kernel.
    Worker,
    /// Into the table of registered files: there is no descriptor.
    Direct,
}

/// A ring of one entry.
pub struct Ring {
    fd: i32,
    params: Params,
    sq: usize,
    cq: usize,
    sqes: usize,
}

impl Ring {
    /// Sets it up, with one empty slot for a registered file.
    pub fn new() -> Result<Self> {
        let mut params = Params::default();
        let fd = call!(SYS_io_uring_setup, 1, &raw mut params)? as i32;
        let slots = [-1i32];
        call!(SYS_io_uring_register, fd, REGISTER_FILES, slots.as_ptr(), slots.len())?;
        let map = |offset: usize, size: usize| -> Result<usize, Failed> {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let at = call!(SYS_mmap, 0usize, size, access, libc::MAP_SHARED, fd, offset)?;
            Ok(at as usize)
        };
        let sq = map(OFF_SQ_RING, params.sq.array as usize + 4 * params.sq_entries as usize)?;
        let cq = map(OFF_CQ_RING, params.cq.cqes as usize + 16 * params.cq_entries as usize)?;
        let sqes = map(OFF_SQES, SQE * params.sq_entries as usize)?;
        Ok(Self { fd, params, sq, cq, sqes })
    }

    /// Submits one entry and waits for its result.
    fn run(&self, entry: Submission) -> Result<i32> {
        // SAFETY: offsets the kernel gave, inside the mappings made to their
        // size; the indices are 32-bit words that the kernel updates too.
        let (tail, mask, head, cq_tail, cq_mask) = unsafe {
            (
                &*((self.sq + self.params.sq.tail as usize) as *const AtomicU32),
                *((self.sq + self.params.sq.ring_mask as usize) as *const u32),
                &*((self.cq + self.params.cq.head as usize) as *const AtomicU32),
                &*((self.cq + self.params.cq.tail as usize) as *const AtomicU32),
                *((self.cq + self.params.cq.ring_mask as usize) as *const u32),
            )
        };
        let at = tail.load(Ordering::Relaxed);
        let slot = (at & mask) as usize;
        // SAFETY: `slot` is below the number of entries, see the mask; the
        // kernel does not look at it before the tail says so.
        unsafe {
            ((self.sqes + SQE * slot) as *mut Submission).write(entry);
            ((self.sq + self.params.sq.array as usize + 4 * slot) as *mut u32).write(slot as u32);
        }
        tail.store(at.wrapping_add(1), Ordering::Release);
        call!(SYS_io_uring_enter, self.fd, 1, 1, ENTER_GETEVENTS, 0usize, 0usize)?;
        let next = head.load(Ordering::Relaxed);
        ensure!(next != cq_tail.load(Ordering::Acquire), "io_uring completed nothing");
        let cqe = self.cq + self.params.cq.cqes as usize + 16 * (next & cq_mask) as usize;
        // SAFETY: a completion the kernel has published; its result stands
        // behind 8 bytes of user data.
        let result = unsafe { *((cqe + 8) as *const i32) };
        head.store(next.wrapping_add(1), Ordering::Release);
        if result < 0 {
            return Err(std::io::Error::from_raw_os_error(-result)).context("in the ring");
        }
        Ok(result)
    }

    /// Opens a file to read.
    pub fn open(&self, name: &CStr, way: Way) -> Result<()> {
        self.run(Submission {
            opcode: OPENAT,
            flags: if way == Way::Worker { ASYNC } else { 0 },
            fd: CWD,
            addr: name.as_ptr() as u64,
            file_index: u32::from(way == Way::Direct),
            ..Submission::default()
        })
        .map(drop)
    }

    /// Reads a file's attributes.
    pub fn statx(&self, name: &CStr) -> Result<()> {
        let mut answer = [0u64; 32];
        self.run(Submission {
            opcode: STATX,
            fd: CWD,
            addr: name.as_ptr() as u64,
            off: answer.as_mut_ptr() as u64,
            len: libc::STATX_BASIC_STATS,
            ..Submission::default()
        })
        .map(drop)
    }
}
