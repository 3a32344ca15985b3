//! System calls as the kernel takes them.

use std::ffi::{CStr, CString};
use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};
use libc::c_long;

/// The current directory, as a directory descriptor.
pub const CWD: i32 = libc::AT_FDCWD;

/// Something that goes into a register.
pub trait Argument {
    /// The register's value.
    fn raw(&self) -> c_long;
}

impl Argument for i32 {
    fn raw(&self) -> c_long {
        c_long::from(*self)
    }
}

impl Argument for i64 {
    fn raw(&self) -> c_long {
        *self
    }
}

impl Argument for usize {
    fn raw(&self) -> c_long {
        *self as c_long
    }
}

impl Argument for &CStr {
    fn raw(&self) -> c_long {
        self.as_ptr() as c_long
    }
}

impl Argument for &CString {
    fn raw(&self) -> c_long {
        self.as_ptr() as c_long
    }
}

impl<T> Argument for *const T {
    fn raw(&self) -> c_long {
        *self as c_long
    }
}

impl<T> Argument for *mut T {
    fn raw(&self) -> c_long {
        *self as c_long
    }
}

/// What goes into the register of an argument.
pub fn raw(argument: impl Argument) -> c_long {
    argument.raw()
}

/// A system call that failed.
#[derive(Debug)]
pub struct Failed {
    /// Its name, as libc spells its number.
    pub call: &'static str,
    /// The error number.
    pub errno: i32,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, std::io::Error::from_raw_os_error(self.errno))
    }
}

impl std::error::Error for Failed {}

/// Makes a system call, whose number is a constant of `libc`.
macro_rules! call {
    ($number:ident $(, $argument:expr)* $(,)?) => {{
        // SAFETY: the arguments are those the call's manual page asks for,
        // and what they point to lives until it returns.
        let result = unsafe { libc::syscall(libc::$number $(, $crate::cases::sys::raw($argument))*) };
        $crate::cases::sys::outcome(stringify!($number), result)
    }};
}
pub(super) use call;

/// What `libc::syscall` returned, as a result.
pub fn outcome(call: &'static str, result: c_long) -> Result<c_long, Failed> {
    if result == -1 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        return Err(Failed { call, errno });
    }
    Ok(result)
}

/// Asserts that a call failed, and how.
pub fn fails(result: Result<c_long, Failed>, errno: i32) -> Result<()> {
    let expected = std::io::Error::from_raw_os_error(errno);
    match result {
        Ok(_) => bail!("a call succeeded that had to fail: {expected}"),
        Err(failed) if failed.errno == errno => Ok(()),
        Err(failed) => Err(failed).with_context(|| format!("another error than {expected}")),
    }
}

/// Opens with `openat` from the current directory.
pub fn open(name: &CStr, flags: i32) -> Result<i32, Failed> {
    open_at(CWD, name, flags)
}

/// Opens with `openat`; files that are made get mode 0644.
pub fn open_at(directory: i32, name: &CStr, flags: i32) -> Result<i32, Failed> {
    call!(SYS_openat, directory, name, flags, 0o644).map(|fd| fd as i32)
}

/// Opens to read and closes again.
pub fn read(name: &CStr) -> Result<(), Failed> {
    close(open(name, libc::O_RDONLY)?)
}

/// Closes.
pub fn close(fd: i32) -> Result<(), Failed> {
    call!(SYS_close, fd).map(drop)
}

/// Maps the first page of a file to read it, and unmaps it.
pub fn map(fd: i32) -> Result<(), Failed> {
    let at = call!(SYS_mmap, 0usize, PAGE, libc::PROT_READ, libc::MAP_PRIVATE, fd, 0usize)?;
    call!(SYS_munmap, at, PAGE).map(drop)
}

/// Size of a page in bytes.
pub const PAGE: usize = 4096;

/// Runs `body` in a forked child and waits for it: what it changes of its
/// process (root, directory, namespaces, program) does not leak.
pub fn in_child(body: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut ends = [0; 2];
    // SAFETY: an array of two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } == -1 {
        return Err(std::io::Error::last_os_error()).context("cannot make a pipe");
    }
    // SAFETY: there is one thread only, so the child may do what it likes.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()).context("cannot fork"),
        0 => child(ends[1], body),
        pid => {
            close(ends[1])?;
            let mut said = Vec::new();
            let mut chunk = [0u8; 512];
            loop {
                let read = call!(SYS_read, ends[0], chunk.as_mut_ptr(), chunk.len())?;
                if read == 0 {
                    break;
                }
                said.extend_from_slice(&chunk[..read as usize]);
            }
            close(ends[0])?;
            let mut status = 0;
            call!(SYS_wait4, pid, &raw mut status, 0, 0usize)?;
            ensure!(!libc::WIFSIGNALED(status), "killed by signal {}", libc::WTERMSIG(status));
            let said = String::from_utf8_lossy(&said).into_owned();
            ensure!(
                libc::WEXITSTATUS(status) == 0,
                if said.is_empty() {
                    format!("exit status {}", libc::WEXITSTATUS(status))
                } else {
                    said
                }
            );
            Ok(())
        }
    }
}

/// The child's half of [`in_child`].
fn child(report: i32, body: impl FnOnce() -> Result<()>) -> ! {
    // SAFETY: takes a number. What hangs is killed, and the parent told so.
    unsafe { libc::alarm(60) };
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    let (code, said) = match result {
        Ok(Ok(())) => (0, String::new()),
        Ok(Err(error)) => (1, format!("{error:#}")),
        Err(_) => (101, "a panic".to_owned()),
    };
    let _ = call!(SYS_write, report, said.as_ptr(), said.len());
    // SAFETY: takes a number; nothing of the parent's may run in the child.
    unsafe { libc::_exit(code) }
}

/// Replaces the process by a program; `arg0` is all its arguments.
pub fn exec(program: &CStr, arg0: &CStr) -> Failed {
    let argv = [arg0.as_ptr(), std::ptr::null()];
    let envp = [std::ptr::null::<u8>()];
    match call!(SYS_execve, program, argv.as_ptr(), envp.as_ptr()) {
        Err(failed) => failed,
        Ok(_) => unreachable!("execve returned"),
    }
}

/// The same, the program named by a descriptor.
pub fn exec_at(directory: i32, program: &CStr, arg0: &CStr, flags: i32) -> Failed {
    let argv = [arg0.as_ptr(), std::ptr::null()];
    let envp = [std::ptr::null::<u8>()];
    match call!(SYS_execveat, directory, program, argv.as_ptr(), envp.as_ptr(), flags) {
        Err(failed) => failed,
        Ok(_) => unreachable!("execveat returned"),
    }
}
