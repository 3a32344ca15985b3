//! Reading kernel structures by the offsets user space found in BTF.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_task_btf, bpf_probe_read_kernel,
};

/// An offset from the frozen globals, as a constant the verifier can follow.
#[macro_export]
macro_rules! offset {
    ($field:ident $($index:tt)*) => {
        $crate::kernel::constant(&$crate::maps::OFFSETS.$field $($index)*)
    };
}

/// A value from the frozen settings.
#[macro_export]
macro_rules! setting {
    ($field:ident) => {
        $crate::kernel::constant(&$crate::maps::SETTINGS.$field) as u32
    };
}

/// See [`offset!`].
#[inline(always)]
pub fn constant(value: &'static u32) -> usize {
    // SAFETY: a static; volatile keeps the compiler from folding the zero
    // that stands in the object file.
    unsafe { core::ptr::read_volatile(value) as usize }
}

/// A kernel pointer the verifier knows the type of.
pub type Typed = *const u8;

/// Loads a field directly. The verifier checks type and offset; a fault reads
/// as zero.
///
/// # Safety
/// `base` must be a pointer with BTF type in the verifier's eyes.
#[inline(always)]
pub unsafe fn field<T: Copy>(base: Typed, offset: usize) -> T {
    // SAFETY: checked by the verifier, see above.
    unsafe { core::ptr::read_volatile(base.add(offset).cast::<T>()) }
}

/// Reads a field behind a pointer of which the verifier knows nothing; zero
/// when it cannot be read.
#[inline(always)]
pub fn probe<T: Copy>(base: u64, offset: usize) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the destination is a local of that size, the helper checks the
    // source and fills the destination with zeros when it cannot be read. `T`
    // is an integer or an array of them.
    unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            (base + offset as u64) as *const _,
        );
        value.assume_init()
    }
}

/// The running task.
#[inline(always)]
pub fn current() -> Typed {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_current_task_btf() as Typed }
}

/// What is needed of the running task to judge a file.
#[derive(Clone, Copy)]
pub struct Place {
    /// `task_struct`.
    pub task: Typed,
    /// Superblock of the task's root directory.
    pub root_sb: u64,
    /// Its device.
    pub dev: u32,
    /// Control group identity.
    pub cgroup: u64,
}

/// The running task's place, or none where it is the host's.
#[inline(always)]
pub fn place(task: Typed) -> Option<Place> {
    // SAFETY: `task` is typed, and so is each pointer loaded from it.
    unsafe {
        let nsproxy: Typed = field(task, offset!(task_nsproxy));
        let mnt_ns: Typed = field(nsproxy, offset!(nsproxy_mnt_ns));
        let inum: u32 = field(mnt_ns, offset!(mnt_ns_inum));
        // Zero: a task on its way out has no namespaces any more.
        if inum == setting!(host_mnt_ns) || inum == 0 {
            return None;
        }
        let fs: Typed = field(task, offset!(task_fs));
        let mnt: Typed = field(fs, offset!(fs_root_mnt));
        let sb: Typed = field(mnt, offset!(vfsmount_sb));
        let dev: u32 = field(sb, offset!(sb_dev));
        // The host's root in a namespace of its own: a service's sandbox, or
        // a container runtime that has not entered the rootfs yet. A rootfs
        // that is a directory of the host's filesystem has another root.
        if dev == setting!(host_dev) {
            let root: u64 = field(fs, offset!(fs_root_dentry));
            let sb_root: u64 = field(sb, offset!(sb_root));
            if root == sb_root {
                return None;
            }
        }
        let cgroup = if offset!(cset_subsys) == 0 {
            bpf_get_current_cgroup_id()
        } else {
            field(group_node(task), offset!(kn_id))
        };
        Some(Place { root_sb: sb as u64, dev, cgroup, task })
    }
}

/// The `struct kernfs_node` of a task's control group: of the v2 hierarchy, or
/// where there is none, of one controller's.
#[inline(always)]
pub fn group_node(task: Typed) -> Typed {
    // SAFETY: typed from the task on. Of the branches the verifier sees one:
    // the offset is a constant.
    unsafe {
        let cset: Typed = field(task, offset!(task_cgroups));
        let group: Typed = if offset!(cset_subsys) == 0 {
            field(cset, offset!(cset_dfl_cgrp))
        } else {
            let css: Typed = field(cset, offset!(cset_subsys));
            field(css, offset!(css_cgroup))
        };
        field(group, offset!(cgroup_kn))
    }
}
