//! Names as programs speak them, and the directories they start from.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user_str};

use crate::event::{Base, Subject, Touch, buffer, name_slot, report};
use crate::kernel::{Place, Typed, field, probe};
use crate::maps::NAME_MAX;
use crate::offset;

/// The descriptor that stands for the current directory.
pub const AT_FDCWD: i32 = -100;

/// Reads a name of the running program into the buffer. Returns its length; 0
/// for an empty one, which means the descriptor beside it; none when it could
/// not be read.
#[inline(always)]
pub fn from_user(buffer: *mut u8, string: u64) -> Option<usize> {
    // SAFETY: the slot has NAME_MAX bytes and more behind it.
    let read = unsafe {
        bpf_probe_read_user_str(name_slot(buffer).cast(), NAME_MAX as u32, string as *const _)
    };
    length(read)
}

/// The same for a name that the kernel holds.
#[inline(always)]
pub fn from_kernel(buffer: *mut u8, string: u64) -> Option<usize> {
    // SAFETY: as above.
    let read = unsafe {
        bpf_probe_read_kernel_str(name_slot(buffer).cast(), NAME_MAX as u32, string as *const _)
    };
    length(read)
}

/// The helpers count the NUL; that of an empty string from user space not on
/// every kernel (6.12 answers 0, 6.18 answers 1).
#[inline(always)]
fn length(read: i64) -> Option<usize> {
    match read {
        ..0 => None,
        0 => Some(0),
        _ => Some((read - 1) as usize & (NAME_MAX - 1)),
    }
}

/// Whether the name in the buffer starts with a slash.
#[inline(always)]
pub fn is_absolute(buffer: *mut u8) -> bool {
    // SAFETY: inside the buffer.
    unsafe { core::ptr::read_volatile(name_slot(buffer)) == b'/' }
}

/// The directory a name starts from: the task's root, its current directory,
/// or the one that a descriptor stands for.
#[inline(always)]
pub fn base(place: &Place, absolute: bool, dirfd: i32) -> Base {
    if !absolute && dirfd != AT_FDCWD {
        let file = file_of(place, dirfd);
        if file == 0 {
            return Base::default();
        }
        let dentry: u64 = probe(file, offset!(file_dentry));
        let inode: u64 = probe(dentry, offset!(dentry_inode));
        let (ino, sb) = (probe(inode, offset!(inode_ino)), probe(inode, offset!(inode_sb)));
        return Base { dentry, ino, sb };
    }
    // SAFETY: typed from the task on.
    unsafe {
        let fs: Typed = field(place.task, offset!(task_fs));
        let dentry: Typed = if absolute {
            field(fs, offset!(fs_root_dentry))
        } else {
            field(fs, offset!(fs_pwd_dentry))
        };
        let inode: Typed = field(dentry, offset!(dentry_inode));
        let (ino, sb) = (field(inode, offset!(inode_ino)), field(inode, offset!(inode_sb)));
        Base { dentry: dentry as u64, ino, sb }
    }
}

/// Reports a touch of which there is a name, held by the kernel, and no file.
#[inline(always)]
pub fn report_named(slot: u32, place: &Place, (kind, flags): (u8, u8), string: u64, dirfd: i32) {
    let Some(buffer) = buffer(slot) else { return };
    let Some(name_len @ 1..) = from_kernel(buffer, string) else { return };
    let base = base(place, is_absolute(buffer), dirfd);
    report(slot, place, &Touch { kind, flags, file: Subject::default(), base, name_len });
}

/// The `struct file` of a descriptor of the running task, 0 if there is none.
#[inline(always)]
pub fn file_of(place: &Place, fd: i32) -> u64 {
    // SAFETY: typed from the task on; `fd` is an array of pointers, of which
    // the verifier knows nothing.
    unsafe {
        let files: Typed = field(place.task, offset!(task_files));
        let fdt: Typed = field(files, offset!(files_fdt));
        let max: u32 = field(fdt, offset!(fdt_max_fds));
        if fd < 0 || fd as u32 >= max {
            return 0;
        }
        let array: u64 = field(fdt, offset!(fdt_fd));
        probe(array, fd as usize * 8)
    }
}
