//! From a touch to a record: known already? else put together and sent.
//!
//! The table of known names is asked first, so that the millionth touch costs
//! one look-up. A record that finds no room takes its name out of the table
//! again: the next touch tries anew, and the loss is counted.

use core::ffi::c_void;

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::generated::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns, bpf_loop,
    bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_ringbuf_output,
};
use profiler_ebpf::{HEADER, Header, Key, counter, flag, kind};

use crate::kernel::{Place, Typed, field, probe};
use crate::maps::{
    BUFFER, CGROUP_BUFFER, CGROUPS, EVENTS, FILL_MAX, NAME_MAX, SCRATCH, SEEN, count,
};
use crate::offset;

/// Deepest directory nesting a record can tell.
const DEPTH: u32 = 256;
/// Control groups above the task's that a record tells.
const CGROUP_DEPTH: u32 = 16;

/// A touch, before it is known whether it is new.
pub struct Touch {
    pub kind: u8,
    pub flags: u8,
    /// `struct file`, 0 where only a name is known.
    pub file: u64,
    /// `struct dentry` the name starts from, 0 for none.
    pub base: u64,
    /// Bytes of the name, which stands in the buffer after the header.
    pub name_len: usize,
}

/// This CPU's record under construction.
#[inline(always)]
pub fn buffer() -> Option<*mut u8> {
    BUFFER.get_ptr_mut(0).map(|buffer| buffer.cast())
}

/// Where the name goes in the record.
#[inline(always)]
pub fn name_slot(buffer: *mut u8) -> *mut u8 {
    // SAFETY: inside the buffer.
    unsafe { buffer.add(HEADER) }
}

/// State of a loop. It lives in the map and not on the stack, because the
/// verifier knows nothing of a map's contents: it need not follow how the
/// values develop, and checks each loop body once.
#[repr(C)]
struct Loop {
    /// Structure the walk stands at.
    at: u64,
    /// Where the next name goes; bytes of the name to hash.
    end: u64,
    /// Hash so far; whether the walk arrived.
    value: u64,
}

/// Where [`Loop`] stands in a buffer.
const LOOP: usize = SCRATCH - 1024;

/// The loop state of a buffer.
#[inline(always)]
fn state(buffer: *mut u8) -> *mut Loop {
    // SAFETY: inside the buffer and aligned.
    unsafe { buffer.add(LOOP).cast() }
}

/// Sets a loop's state and runs it.
#[inline(always)]
fn run(
    buffer: *mut u8,
    count: u32,
    body: unsafe extern "C" fn(u64, *mut c_void) -> i64,
    start: Loop,
) -> (u64, u64) {
    let state = state(buffer);
    // SAFETY: see `state`; the body takes no context.
    unsafe {
        state.write(start);
        bpf_loop(count, body as *mut c_void, core::ptr::null_mut(), 0);
        (
            core::ptr::read_volatile(&raw const (*state).end),
            core::ptr::read_volatile(&raw const (*state).value),
        )
    }
}

/// Hash of the name in the buffer: multiply and rotate over 8-byte words.
#[inline(always)]
fn hash_name(buffer: *mut u8, len: usize) -> u64 {
    let words = len.div_ceil(8) as u32;
    let start = Loop { at: 0, end: len as u64, value: len as u64 ^ 0x9e37_79b9_7f4a_7c15 };
    run(buffer, words, hash_word, start).1
}

/// Body of [`hash_name`]'s loop.
unsafe extern "C" fn hash_word(index: u64, _: *mut c_void) -> i64 {
    let Some(buffer) = buffer() else { return 1 };
    let at = (index as usize * 8) & (NAME_MAX - 1);
    // SAFETY: HEADER + NAME_MAX + 8 is inside the buffer, HEADER a multiple
    // of 8.
    unsafe {
        let state = state(buffer);
        let mut word = core::ptr::read_volatile(buffer.add(HEADER + at).cast::<u64>());
        let left = (*state).end.wrapping_sub(at as u64);
        if left < 8 {
            // What stands behind the name is a former record's.
            word &= (1u64 << ((left * 8) & 63)) - 1;
        }
        (*state).value =
            ((*state).value ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    }
    0
}

/// Appends the names from `dentry` up to its filesystem's root at `end`.
/// Returns the new end, and whether all fitted.
#[inline(always)]
fn append_path(buffer: *mut u8, dentry: u64, end: u64) -> (u64, bool) {
    let (end, done) = run(buffer, DEPTH, append_name, Loop { at: dentry, end, value: 0 });
    (end & (SCRATCH as u64 - 1), done != 0)
}

/// Body of [`append_path`]'s loop.
unsafe extern "C" fn append_name(_: u64, _: *mut c_void) -> i64 {
    let Some(buffer) = buffer() else { return 1 };
    let state = state(buffer);
    // SAFETY: see `state`; `end` is checked before it is used, and a
    // component has at most 255 bytes.
    unsafe {
        let dentry = (*state).at;
        let parent: u64 = probe(dentry, offset!(dentry_parent));
        if parent == dentry || parent == 0 {
            (*state).value = 1;
            return 1;
        }
        let end = (*state).end as usize;
        if end >= FILL_MAX {
            return 1;
        }
        let name: [u64; 2] = probe(dentry, offset!(dentry_name));
        // `struct qstr`: hash in the low half, length in the high half.
        let len = (name[0] >> 32) as usize & 0xff;
        *buffer.add(end) = len as u8;
        bpf_probe_read_kernel(buffer.add(end + 1).cast(), len as u32, name[1] as *const _);
        (*state).end = (end + 1 + len) as u64;
        (*state).at = parent;
    }
    0
}

/// Reports a touch if it is the first of its kind.
#[inline(always)]
pub fn report(place: &Place, touch: &Touch) {
    let Some(buffer) = buffer() else { return };
    let (mut ino, mut mode, mut dentry) = (0u64, 0u16, 0u64);
    let mut flags = touch.flags;
    if touch.file != 0 {
        dentry = dentry_of(touch.file, place.root_sb);
        let inode: u64 = probe(dentry, offset!(dentry_inode));
        let sb: u64 = probe(inode, offset!(inode_sb));
        // Volumes, tmpfs, proc: not files of the image.
        if sb != place.root_sb {
            return;
        }
        ino = probe(inode, offset!(inode_ino));
        mode = probe(inode, offset!(inode_mode));
        const FMODE_WRITE: u32 = 2;
        if touch.kind == kind::OPEN {
            let mode: u32 = probe(touch.file, offset!(file_mode));
            if mode & FMODE_WRITE != 0 {
                flags |= flag::WRITE;
            }
        }
    }
    let mut base_ino = 0u64;
    let mut base = touch.base;
    if base != 0 {
        let inode: u64 = probe(base, offset!(dentry_inode));
        base_ino = probe(inode, offset!(inode_ino));
        let sb: u64 = probe(base, offset!(dentry_sb));
        if sb != place.root_sb {
            base = 0;
            flags |= flag::BASE_OUTSIDE;
            if touch.file == 0 {
                return;
            }
        }
    }
    let dev = place.dev;
    let key = Key {
        cgroup: place.cgroup,
        ino,
        base: base_ino,
        name: hash_name(buffer, touch.name_len & (NAME_MAX - 1)),
        dev,
        what: u32::from(touch.kind) | u32::from(flags) << 8,
    };
    // SAFETY: only asked whether it is there.
    if unsafe { SEEN.get(&key) }.is_some() {
        return;
    }
    announce_cgroup(place);

    let name_len = touch.name_len & (NAME_MAX - 1);
    let mut end = (HEADER + name_len) as u64;
    let mut path_len = 0u64;
    if dentry != 0 {
        let pprev: u64 = probe(dentry, offset!(dentry_pprev));
        if pprev == 0 {
            flags |= flag::UNLINKED;
        }
        let (after, whole) = append_path(buffer, dentry, end);
        if !whole {
            flags |= flag::CUT;
        }
        path_len = after - end;
        end = after;
    }
    let mut base_len = 0u64;
    if base != 0 && name_len != 0 {
        let (after, whole) = append_path(buffer, base, end);
        if !whole {
            flags |= flag::CUT;
        }
        base_len = after - end;
        end = after;
    }
    if foreign_exe(place) {
        flags |= flag::FOREIGN_EXE;
    }
    let header = Header {
        cgroup: place.cgroup,
        ino,
        dev,
        name_len: name_len as u16,
        path_len: path_len as u16,
        base_len: base_len as u16,
        kind: touch.kind,
        flags,
        mode: u32::from(mode),
        ..now()
    };
    // SAFETY: the buffer is larger than a header and aligned.
    unsafe { buffer.cast::<Header>().write(header) };

    match SEEN.insert(&key, &1, u64::from(BPF_NOEXIST)) {
        Ok(()) => {}
        // EEXIST: another CPU reported the same in the meantime.
        Err(-17) => return,
        // Full: delivered all the same, at the price of a record each time.
        Err(_) => count(counter::TABLE_FULL),
    }
    if flags & flag::CUT != 0 {
        count(counter::CUT);
    }
    if !send(buffer, end) {
        let _ = SEEN.remove(&key);
    }
}

/// A header with what is the same for all: time and task.
#[inline(always)]
fn now() -> Header {
    let mut header = Header::default();
    // SAFETY: helpers; `comm` is a local of the size given.
    unsafe {
        header.time = bpf_ktime_get_boot_ns();
        header.tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        bpf_get_current_comm((&raw mut header.comm).cast(), 16);
    }
    header
}

/// Sends `end` bytes of a buffer.
#[inline(always)]
fn send(buffer: *mut u8, end: u64) -> bool {
    let size = end & (SCRATCH as u64 - 1);
    // SAFETY: `size` is smaller than the buffer.
    let failed = unsafe {
        bpf_ringbuf_output((&raw const EVENTS).cast_mut().cast(), buffer.cast(), size, 0)
    };
    count(if failed == 0 { counter::DELIVERED } else { counter::RING_FULL });
    failed == 0
}

/// Whether the task runs a program that is not the rootfs's.
#[inline(always)]
fn foreign_exe(place: &Place) -> bool {
    // SAFETY: typed from the task on.
    unsafe {
        let mm: Typed = field(place.task, offset!(task_mm));
        let exe: Typed = field(mm, offset!(mm_exe_file));
        let inode: Typed = field(exe, offset!(file_inode));
        let sb: u64 = field(inode, offset!(inode_sb));
        sb != place.root_sb
    }
}

/// Tells the names of a control group, once, ahead of its first record.
#[inline(always)]
fn announce_cgroup(place: &Place) {
    // SAFETY: only asked whether it is there.
    if unsafe { CGROUPS.get(&place.cgroup) }.is_some() {
        return;
    }
    // SAFETY: typed from the task on.
    let kn: u64 = unsafe {
        let cset: Typed = field(place.task, offset!(task_cgroups));
        let cgroup: Typed = field(cset, offset!(cset_dfl_cgrp));
        field(cgroup, offset!(cgroup_kn))
    };
    if send_cgroup(kn, place.cgroup, place.dev) != 0 {
        let _ = CGROUPS.insert(&place.cgroup, &1, 0);
    }
}

/// Builds and sends the record; not inlined, for the stack's sake. Returns 1
/// when it was delivered.
#[inline(never)]
fn send_cgroup(kn: u64, cgroup: u64, dev: u32) -> u64 {
    let Some(buffer) = cgroup_buffer() else { return 0 };
    let start = Loop { at: kn, end: HEADER as u64, value: 0 };
    let (end, _) = run(buffer, CGROUP_DEPTH, append_cgroup, start);
    let header =
        Header { cgroup, dev, path_len: (end - HEADER as u64) as u16, kind: kind::CGROUP, ..now() };
    // SAFETY: the buffer is larger than a header and aligned.
    unsafe { buffer.cast::<Header>().write(header) };
    u64::from(send(buffer, end))
}

#[inline(always)]
fn cgroup_buffer() -> Option<*mut u8> {
    CGROUP_BUFFER.get_ptr_mut(0).map(|buffer| buffer.cast())
}

/// Body of [`send_cgroup`]'s loop.
unsafe extern "C" fn append_cgroup(_: u64, _: *mut c_void) -> i64 {
    let Some(buffer) = cgroup_buffer() else { return 1 };
    let state = state(buffer);
    // SAFETY: see `state`; `end` is checked before it is used, and 256 bytes
    // more are inside.
    unsafe {
        let (kn, end) = ((*state).at, (*state).end as usize);
        if kn == 0 || end >= FILL_MAX {
            return 1;
        }
        let name: u64 = probe(kn, offset!(kn_name));
        let len = bpf_probe_read_kernel_str(buffer.add(end + 1).cast(), 255, name as *const _);
        // The length counts the NUL; the root's name is empty.
        if len <= 1 {
            return 1;
        }
        let len = (len - 1) as usize & 0xff;
        *buffer.add(end) = len as u8;
        (*state).end = (end + 1 + len) as u64;
        (*state).at = probe(kn, offset!(kn_parent));
    }
    0
}

/// The dentry a file was opened by. What overlayfs maps is a file of the layer
/// below, which remembers the file it stands for.
///
/// The flag that marks such files has changed its bit between kernels, and BTF
/// does not tell; so what is found there must belong to the rootfs.
#[inline(always)]
fn dentry_of(file: u64, root_sb: u64) -> u64 {
    let dentry: u64 = probe(file, offset!(file_dentry));
    let user = offset!(backing_user_dentry);
    let sb: u64 = probe(dentry, offset!(dentry_sb));
    if user == 0 || sb == root_sb {
        return dentry;
    }
    let behind: u64 = probe(file, user);
    let sb: u64 = probe(behind, offset!(dentry_sb));
    if sb == root_sb { behind } else { dentry }
}
