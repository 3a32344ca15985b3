//! The 32-bit way into the kernel, which a 64-bit program may take too.
//! Numbers: `arch/x86/entry/syscalls/syscall_32.tbl`.

use std::arch::asm;
use std::ffi::CStr;

use anyhow::{Result, ensure};

use super::sys::{Failed, PAGE, call};

/// `open(name, flags, mode)`.
pub const OPEN: u32 = 5;
/// `access(name, mode)`.
pub const ACCESS: u32 = 33;
/// `readlink(name, buffer, size)`.
pub const READLINK: u32 = 85;
/// `stat64(name, buffer)`.
pub const STAT64: u32 = 195;
/// `lstat64(name, buffer)`.
pub const LSTAT64: u32 = 196;
/// `getdents64(fd, buffer, size)`.
pub const GETDENTS64: u32 = 220;

/// Memory that a 32-bit pointer reaches: names grow from its start, and its
/// last page is for what the kernel answers.
pub struct Low {
    base: usize,
    used: usize,
}

impl Low {
    /// Maps it.
    pub fn new() -> Result<Self, Failed> {
        let (access, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
        );
        let base = call!(SYS_mmap, 0usize, 2 * PAGE, access, flags, -1, 0usize)?;
        Ok(Self { base: base as usize, used: 0 })
    }

    /// A copy of `name` below 4 GiB.
    pub fn name(&mut self, name: &CStr) -> Result<u32> {
        let bytes = name.to_bytes_with_nul();
        ensure!(self.used + bytes.len() <= PAGE, "no room for another name");
        let at = self.base + self.used;
        // SAFETY: the mapping is this value's own and has room, see above.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
        self.used += bytes.len();
        Ok(at as u32)
    }

    /// Where the kernel may answer, a page.
    pub fn answer(&self) -> u32 {
        (self.base + PAGE) as u32
    }
}

/// Makes a system call by `int 0x80`.
pub fn call80(number: u32, arguments: [u32; 3]) -> Result<i32, Failed> {
    let result: u64;
    // SAFETY: the kernel keeps all registers but rax and, in some versions,
    // r8 to r11; rbx, which the compiler keeps for itself, is put back. The
    // callers pass pointers into `Low`.
    unsafe {
        asm!(
            "mov r12, rbx",
            "mov ebx, r13d",
            "int 0x80",
            "mov rbx, r12",
            inout("rax") u64::from(number) => result,
            in("r13") u64::from(arguments[0]),
            in("rcx") u64::from(arguments[1]),
            in("rdx") u64::from(arguments[2]),
            out("r12") _,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    match result as i32 {
        error @ -4095..=-1 => Err(Failed { call: "int 0x80", errno: -error }),
        result => Ok(result),
    }
}
