//! The kernel fields the eBPF programs read, looked up in BTF.

use profiler_ebpf::{CHUNKS, Offsets, URING_OPS, URING_RESULT_FD, UringTable, kind};

use super::btf::{Btf, BtfError};

/// Registers of the system call convention, by the architecture's names in
/// `struct pt_regs`.
#[cfg(target_arch = "x86_64")]
const ARGUMENTS: [&[&str]; 5] = [&["di"], &["si"], &["dx"], &["r10"], &["r8"]];
/// The same for 32-bit programs.
#[cfg(target_arch = "x86_64")]
const ARGUMENTS_32: [&[&str]; 5] = [&["bx"], &["cx"], &["dx"], &["si"], &["di"]];
#[cfg(target_arch = "x86_64")]
const NUMBER: &[&str] = &["orig_ax"];
#[cfg(target_arch = "x86_64")]
const POINTER: &[&str] = &["ip"];

/// Where a task's set of control groups holds that of a v1 controller.
fn subsys(btf: &Btf, controller: &str) -> Result<u32, BtfError> {
    let name = format!("{controller}_cgrp_id");
    let index = btf
        .value("cgroup_subsys_id", &name)
        .ok_or_else(|| BtfError::NoField(format!("cgroup_subsys_id.{name}")))?;
    Ok(btf.offset("css_set", &["subsys"])? + index * size_of::<u64>() as u32)
}

/// Looks every field up. `controller` names the cgroup v1 hierarchy to go by
/// where there is no v2 hierarchy.
///
/// # Errors
/// [`BtfError::NoField`] names the first that this kernel lacks.
pub fn from_btf(btf: &Btf, controller: Option<&str>) -> Result<Offsets, BtfError> {
    let of = |name: &str, path: &[&str]| btf.offset(name, path);
    // The kernel side reads these structures in one go, so far.
    let within = |name: &str, path: &[&str], from: u32, chunk: usize| {
        let offset = of(name, path)?;
        // A name in a dentry is two words.
        let size = if path == ["d_name"] { 16 } else { 8 };
        if offset < from || (offset - from) as usize + size > CHUNKS[chunk] {
            return Err(BtfError::TooFar(format!("{name}.{}", path.join("."))));
        }
        Ok(offset)
    };
    let (file, inode, dentry) = (0, 1, 2);
    let inode_sb = of("inode", &["i_sb"])?;
    let arguments = |names: [&[&str]; 5]| {
        let mut offsets = [0; 5];
        for (offset, path) in offsets.iter_mut().zip(names) {
            *offset = of("pt_regs", path)?;
        }
        Ok::<_, BtfError>(offsets)
    };
    Ok(Offsets {
        regs_nr: of("pt_regs", NUMBER)?,
        regs_arg: arguments(ARGUMENTS)?,
        regs_arg32: arguments(ARGUMENTS_32)?,
        regs_ip: of("pt_regs", POINTER)?,
        task_files: of("task_struct", &["files"])?,
        task_fs: of("task_struct", &["fs"])?,
        task_nsproxy: of("task_struct", &["nsproxy"])?,
        task_cgroups: of("task_struct", &["cgroups"])?,
        task_mm: of("task_struct", &["mm"])?,
        task_status: of("task_struct", &["thread_info", "status"])?,
        mm_arg_start: of("mm_struct", &["arg_start"])?,
        mm_exe_file: of("mm_struct", &["exe_file"])?,
        nsproxy_mnt_ns: of("nsproxy", &["mnt_ns"])?,
        mnt_ns_inum: of("mnt_namespace", &["ns", "inum"])?,
        files_fdt: of("files_struct", &["fdt"])?,
        fdt_max_fds: of("fdtable", &["max_fds"])?,
        fdt_fd: of("fdtable", &["fd"])?,
        fs_root_dentry: of("fs_struct", &["root", "dentry"])?,
        fs_root_mnt: of("fs_struct", &["root", "mnt"])?,
        fs_pwd_dentry: of("fs_struct", &["pwd", "dentry"])?,
        vfsmount_sb: of("vfsmount", &["mnt_sb"])?,
        vfsmount_root: of("vfsmount", &["mnt_root"])?,
        file_inode: within("file", &["f_inode"], 0, file)?,
        file_dentry: within("file", &["f_path", "dentry"], 0, file)?,
        file_mode: within("file", &["f_mode"], 0, file)?,
        inode_sb,
        inode_ino: within("inode", &["i_ino"], inode_sb, inode)?,
        sb_dev: of("super_block", &["s_dev"])?,
        sb_root: of("super_block", &["s_root"])?,
        dentry_parent: within("dentry", &["d_parent"], 0, dentry)?,
        dentry_name: within("dentry", &["d_name"], 0, dentry)?,
        dentry_seq: within("dentry", &["d_seq"], 0, dentry)?,
        dentry_inode: of("dentry", &["d_inode"])?,
        dentry_sb: of("dentry", &["d_sb"])?,
        dentry_pprev: of("dentry", &["d_hash", "pprev"])?,
        cset_dfl_cgrp: of("css_set", &["dfl_cgrp"])?,
        cset_subsys: match controller {
            Some(controller) => subsys(btf, controller)?,
            None => 0,
        },
        css_cgroup: of("cgroup_subsys_state", &["cgroup"])?,
        cgroup_kn: of("cgroup", &["kn"])?,
        kn_id: of("kernfs_node", &["id"])?,
        kn_name: of("kernfs_node", &["name"])?,
        kn_parent: of("kernfs_node", &["__parent"]).or_else(|_| of("kernfs_node", &["parent"]))?,
        bprm_file: of("linux_binprm", &["file"])?,
        bprm_filename: of("linux_binprm", &["filename"])?,
        bprm_interp: of("linux_binprm", &["interp"])?,
        vma_file: of("vm_area_struct", &["vm_file"])?,
        // Since 6.8; before that a backing file's own path is the user's.
        backing_user_dentry: of("backing_file", &["user_path", "dentry"]).unwrap_or(0),
        filename_name: of("filename", &["name"])?,
        op_open_flag: of("open_flags", &["open_flag"])?,
        op_lookup_flags: of("open_flags", &["lookup_flags"])?,
        // Kernels may be built without io_uring.
        uring_opcode: of("io_kiocb", &["opcode"]).unwrap_or(0),
        uring_file_slot: of("io_open", &["file_slot"]).unwrap_or(0),
        cqe_res: of("io_uring_cqe", &["res"]).unwrap_or(0),
    })
}

/// Numbers of io_uring's operations (`enum io_uring_op`), the structure each
/// keeps its arguments in, what it does with a name, and the fields that hold
/// name and directory.
const URING: &[(usize, &str, u8, &str, &str)] = &[
    (18, "io_open", kind::OPEN, "filename", "dfd"),
    (28, "io_open", kind::OPEN, "filename", "dfd"),
    (21, "io_statx", kind::STAT, "filename", "dfd"),
    (35, "io_rename", kind::MODIFY, "oldpath", "old_dfd"),
    (35, "io_rename", kind::MODIFY, "newpath", "new_dfd"),
    (36, "io_unlink", kind::MODIFY, "filename", "dfd"),
    (37, "io_mkdir", kind::MODIFY, "filename", "dfd"),
    (38, "io_link", kind::MODIFY, "newpath", "new_dfd"),
    (39, "io_link", kind::LSTAT, "oldpath", "old_dfd"),
    (39, "io_link", kind::MODIFY, "newpath", "new_dfd"),
    (42, "io_xattr", kind::STAT, "filename", ""),
    (44, "io_xattr", kind::STAT, "filename", ""),
];

/// What io_uring's operations name. An operation whose structure this kernel
/// lacks is left out.
pub fn uring(btf: &Btf) -> UringTable {
    let mut table = [[0; 2]; URING_OPS];
    for &(op, structure, kind, name, dirfd) in URING {
        let Ok(name) = btf.offset(structure, &[name]) else { continue };
        let dirfd = if dirfd.is_empty() { Ok(0) } else { btf.offset(structure, &[dirfd]) };
        let Ok(dirfd) = dirfd else { continue };
        if name > 0xff || dirfd > 0xff {
            continue;
        }
        let opened = if kind == profiler_ebpf::kind::OPEN { URING_RESULT_FD } else { 0 };
        let spec = u32::from(kind) | name << 8 | dirfd << 16 | opened;
        let free = table[op].iter_mut().find(|spec| **spec == 0);
        *free.expect("two names at most") = spec;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_has_every_field() {
        let btf = Btf::parse(std::fs::read("/sys/kernel/btf/vmlinux").unwrap()).unwrap();
        let offsets = from_btf(&btf, None).unwrap();
        assert_eq!(offsets.cset_subsys, 0);
        let v1 = from_btf(&btf, Some("pids")).unwrap().cset_subsys;
        assert!(v1 >= btf.offset("css_set", &["subsys"]).unwrap());
        assert!(from_btf(&btf, Some("none")).is_err());
        assert_ne!(offsets.task_files, offsets.task_fs);
        let table = uring(&btf);
        assert!(table[18][0] != 0 && table[35][1] != 0 && table[0] == [0, 0]);
    }
}
