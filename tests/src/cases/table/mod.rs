//! The table: forty cases, in groups of what they are about.

mod attributes;
mod bases;
mod containers;
mod links;
mod opens;
mod outside;
mod overlay;
mod programs;
mod strings;
mod writes;

use super::Case;

/// All cases, in order.
pub const ALL: &[Case] = &[
    opens::SYSTEM_CALLS,
    opens::O_PATH,
    opens::IO_URING,
    opens::INT80,
    opens::HANDLES,
    attributes::HANDLES,
    attributes::STAT,
    attributes::ACCESS,
    attributes::READLINK,
    links::CHAIN,
    links::CHROOT,
    links::BROKEN,
    bases::CHDIR,
    bases::DIRFD,
    bases::LISTING,
    bases::ROOTS,
    programs::SCRIPTS,
    programs::INTERPRETER,
    programs::DESCRIPTORS,
    programs::MAPPED,
    strings::ABSENT,
    strings::NOT_RESIDENT,
    strings::UNUSUAL,
    overlay::BACKING,
    overlay::COPY_UP,
    overlay::DEVICE,
    overlay::HARD_LINK,
    outside::MOUNTS,
    outside::KERNEL_FILESYSTEMS,
    writes::CREATED,
    writes::TRUNCATED,
    writes::REPLACED,
    writes::UNLINKED,
    writes::SOCKET,
    containers::LATE_ATTACH,
    containers::SHORT_LIVED,
    containers::EXEC,
    containers::CLONED_RUNTIME,
    containers::REUSE,
    containers::NAMESPACES,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_cases_in_order() {
        let numbers: Vec<u8> = ALL.iter().map(|case| case.number).collect();
        assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    }
}
