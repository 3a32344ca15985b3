//! The kernel fields the eBPF programs read, looked up in BTF.

use profiler_ebpf::Offsets;

use super::btf::{Btf, BtfError};

/// Registers of the system call convention, by the architecture's names in
/// `struct pt_regs`.
#[cfg(target_arch = "x86_64")]
const ARGUMENTS: [&[&str]; 6] = [&["di"], &["si"], &["dx"], &["r10"], &["r8"], &["r9"]];
#[cfg(target_arch = "x86_64")]
const NUMBER: &[&str] = &["orig_ax"];
#[cfg(target_arch = "x86_64")]
const POINTER: &[&str] = &["ip"];

/// Looks every field up.
///
/// # Errors
/// [`BtfError::NoField`] names the first that this kernel lacks.
pub fn from_btf(btf: &Btf) -> Result<Offsets, BtfError> {
    let of = |name: &str, path: &[&str]| btf.offset(name, path);
    let mut regs_arg = [0; 6];
    for (offset, path) in regs_arg.iter_mut().zip(ARGUMENTS) {
        *offset = of("pt_regs", path)?;
    }
    Ok(Offsets {
        regs_nr: of("pt_regs", NUMBER)?,
        regs_arg,
        regs_ip: of("pt_regs", POINTER)?,
        task_files: of("task_struct", &["files"])?,
        task_fs: of("task_struct", &["fs"])?,
        task_nsproxy: of("task_struct", &["nsproxy"])?,
        task_cgroups: of("task_struct", &["cgroups"])?,
        task_mm: of("task_struct", &["mm"])?,
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
        file_inode: of("file", &["f_inode"])?,
        file_dentry: of("file", &["f_path", "dentry"])?,
        file_mode: of("file", &["f_mode"])?,
        inode_sb: of("inode", &["i_sb"])?,
        inode_ino: of("inode", &["i_ino"])?,
        inode_mode: of("inode", &["i_mode"])?,
        sb_dev: of("super_block", &["s_dev"])?,
        sb_root: of("super_block", &["s_root"])?,
        dentry_parent: of("dentry", &["d_parent"])?,
        dentry_name: of("dentry", &["d_name"])?,
        dentry_inode: of("dentry", &["d_inode"])?,
        dentry_sb: of("dentry", &["d_sb"])?,
        dentry_pprev: of("dentry", &["d_hash", "pprev"])?,
        cset_dfl_cgrp: of("css_set", &["dfl_cgrp"])?,
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_has_every_field() {
        let btf = Btf::parse(std::fs::read("/sys/kernel/btf/vmlinux").unwrap()).unwrap();
        let offsets = from_btf(&btf).unwrap();
        assert_ne!(offsets.task_files, offsets.task_fs);
    }
}
