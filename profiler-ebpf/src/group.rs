//! Control groups: what is kept of each, and telling user space their names.

use core::ffi::c_void;

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::generated::{bpf_map_update_elem, bpf_probe_read_kernel_str};
use profiler_ebpf::{Group, HEADER, Header, counter, kind};

use crate::event::{LOOP, Loop, now, run, send};
use crate::kernel::{Place, Typed, current, field, group_node, probe};
use crate::maps::{CGROUP_BUFFER, CGROUP_SCRATCH, GROUPS, LOSSES, count};
use crate::offset;

/// Control groups above the task's that a record tells.
const DEPTH: u32 = 16;
/// Where the next name may start at the latest.
const FILL_MAX: usize = 5 * 1024;

/// What is kept of the task's control group; none when there is no room for
/// it, which is counted.
#[inline(always)]
pub fn of(cgroup: u64) -> Option<*mut Group> {
    if let Some(group) = GROUPS.get_ptr_mut(&cgroup) {
        return Some(group);
    }
    insert_zeroes(&GROUPS, &cgroup);
    let group = GROUPS.get_ptr_mut(&cgroup);
    if group.is_none() {
        count(counter::RING_FULL);
    }
    group
}

/// What new values of maps are made of: zeroes on the stack would be written
/// there byte by byte.
static ZEROES: [u64; 8] = [0; 8];
const _: () = assert!(size_of::<Group>() <= 64 && counter::COUNT <= 8);

/// Adds a value of zeroes to a map with control groups as keys.
#[inline(always)]
fn insert_zeroes<T>(map: &'static T, cgroup: &u64) {
    // SAFETY: a map's static holds its definition, which the loader replaces
    // by the map; the values of the maps it is called for are smaller than
    // `ZEROES`.
    unsafe {
        bpf_map_update_elem(
            (&raw const *map).cast_mut().cast(),
            (&raw const *cgroup).cast(),
            (&raw const ZEROES).cast(),
            u64::from(BPF_NOEXIST),
        );
    }
}

/// A group's content.
#[inline(always)]
pub fn get(group: *mut Group) -> &'static mut Group {
    // SAFETY: a value of a preallocated map: it stays where it is. Where two
    // CPUs write at once, the exact value does not matter.
    unsafe { &mut *group }
}

/// The superblock of a control group's rootfs, 0 when it is not known.
#[inline(always)]
pub fn root_sb(cgroup: u64) -> u64 {
    // SAFETY: as in `get`.
    unsafe { GROUPS.get(&cgroup) }.map_or(0, |group| group.root_sb)
}

/// Notes the rootfs of a control group, once: at the first execution of one of
/// its own programs.
#[inline(always)]
pub fn settle(place: &Place) {
    if let Some(group) = of(place.cgroup)
        && get(group).root_sb == 0
    {
        get(group).root = mounted(place.task);
        get(group).root_sb = place.root_sb;
    }
}

/// The directory that is the group's rootfs; before that is noted, the one
/// that the running task has for its root's mount.
#[inline(always)]
pub fn root(group: *mut Group) -> u64 {
    match get(group).root {
        0 => mounted(current()),
        root => root,
    }
}

/// The directory that is mounted as a task's root.
#[inline(always)]
fn mounted(task: Typed) -> u64 {
    // SAFETY: typed from the task on.
    unsafe {
        let fs: Typed = field(task, offset!(task_fs));
        let mnt: Typed = field(fs, offset!(fs_root_mnt));
        field(mnt, offset!(vfsmount_root))
    }
}

/// Counts against the task's control group, and in total.
#[inline(always)]
pub fn lose(cgroup: u64, index: u32) {
    count(index);
    count_of_group(cgroup, index);
}

/// Counts against a control group. The result means nothing.
///
/// A global function: the verifier checks it once, whoever calls it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn count_of_group(cgroup: u64, index: u32) -> u64 {
    let mut losses = LOSSES.get_ptr_mut(&cgroup);
    if losses.is_none() {
        insert_zeroes(&LOSSES, &cgroup);
        losses = LOSSES.get_ptr_mut(&cgroup);
    }
    if let Some(losses) = losses
        && index < counter::COUNT
    {
        // SAFETY: this CPU's own value, and the index is inside it.
        unsafe { *losses.cast::<u64>().add(index as usize) += 1 };
    }
    0
}

/// Tells the names of a control group, once, ahead of its first record.
#[inline(always)]
pub fn announce(slot: u32, cgroup: u64, dev: u32, group: *mut Group) {
    if get(group).announced != 0 {
        return;
    }
    if tell_group(slot, cgroup, dev) != 0 {
        get(group).announced = 1;
    } else {
        lose(cgroup, counter::RING_FULL);
    }
}

/// Builds and sends the record. Returns 1 when it was delivered.
///
/// A global function, as [`count_of_group`] is.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tell_group(slot: u32, cgroup: u64, dev: u32) -> u64 {
    let Some(buffer) = buffer(slot) else { return 0 };
    let kn = group_node(current()) as u64;
    let start = Loop { at: kn, end: HEADER as u64, value: 0, trail: 0 };
    let (end, _) = run(state(buffer), slot, DEPTH, append, start);
    let end = end & (CGROUP_SCRATCH as u64 - 1);
    // SAFETY: the buffer is larger than a header and aligned.
    let header = unsafe { &mut *buffer.cast::<Header>() };
    now(header);
    header.cgroup = cgroup;
    header.ino = 0;
    header.dev = dev;
    header.name_len = 0;
    header.path_len = end.wrapping_sub(HEADER as u64) as u16;
    header.base_len = 0;
    header.kind = kind::CGROUP;
    header.flags = 0;
    header.exe = 0;
    header.epoch = 0;
    // At once: a container may be gone before its engine can be asked.
    u64::from(send(buffer, end, true))
}

#[inline(always)]
fn buffer(slot: u32) -> Option<*mut u8> {
    CGROUP_BUFFER.get_ptr_mut(slot).map(|buffer| buffer.cast())
}

#[inline(always)]
fn state(buffer: *mut u8) -> *mut Loop {
    // SAFETY: inside the buffer and aligned.
    unsafe { buffer.add(CGROUP_SCRATCH - LOOP).cast() }
}

/// Body of [`tell_group`]'s loop.
unsafe extern "C" fn append(_: u64, slot: *mut c_void) -> i64 {
    // SAFETY: the slot that `run` passes.
    let Some(buffer) = buffer(unsafe { *slot.cast::<u32>() }) else { return 1 };
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
