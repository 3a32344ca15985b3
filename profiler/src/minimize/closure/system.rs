//! Files that are kept in every image that has them.

use super::Environment;
use super::groups::{certs, zoneinfo};
use crate::minimize::keep::{Keeper, Rule};

/// Users and groups, which libc and container runtimes look up by the name
/// that a config or a command line gives. Whole files: they are small, and
/// what a program looks up is not known.
const USERS: [&str; 5] =
    ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/nsswitch.conf"];

/// The distribution's name and version, without which a scanner is blind.
const DISTRIBUTION: [&str; 22] = [
    "/etc/os-release",
    "/usr/lib/os-release",
    "/etc/lsb-release",
    "/etc/debian_version",
    "/etc/alpine-release",
    "/etc/redhat-release",
    "/etc/system-release",
    "/etc/system-release-cpe",
    "/etc/fedora-release",
    "/etc/centos-release",
    "/etc/rocky-release",
    "/etc/almalinux-release",
    "/etc/oracle-release",
    "/etc/photon-release",
    "/etc/mariner-release",
    "/etc/azurelinux-release",
    "/etc/SuSE-release",
    "/etc/arch-release",
    "/etc/gentoo-release",
    "/etc/slackware-version",
    "/etc/apk/arch",
    "/etc/apk/repositories",
];

/// Places where runtimes mount something or programs make files. An empty
/// directory costs nothing, a missing one breaks a container.
const PLACES: [&str; 13] = [
    "/proc",
    "/sys",
    "/dev",
    "/tmp",
    "/var/tmp",
    "/run",
    "/var/run",
    "/run/lock",
    "/var/lock",
    "/var/log",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
];

/// Keeps users, the distribution's name, places for mounts, certificate
/// authorities and the time zone.
///
/// Authorities: the bundles, of some 220 kB, always. Whether a static program
/// speaks TLS cannot be seen, and where a test did not, the first connection
/// of the small image would fail. The directories of hundreds of single
/// certificates are left out: OpenSSL asks its bundle first, and what a test
/// used was touched; all of them are [`Group::Certs`](crate::minimize::Group).
/// Java's bundle comes with a JVM.
///
/// Time: `/etc/localtime` and the zone that the config's `TZ` names; where any
/// of the database is kept, universal time too, which programs that read it
/// take where none is set. An image that uses none of it is not given any: that
/// would keep a package for it. The whole database is
/// [`Group::Zoneinfo`](crate::minimize::Group).
pub fn keep(keeper: &mut Keeper<'_>, environment: &Environment) {
    for path in USERS {
        keeper.keep_present(path.as_bytes(), Rule::System, "users and groups");
    }
    for path in DISTRIBUTION {
        keeper.keep_present(path.as_bytes(), Rule::System, "distribution");
    }
    for path in PLACES {
        keeper.keep_present(path.as_bytes(), Rule::Mount, "run-time directory or file");
    }
    for path in certs::BUNDLES {
        keeper.keep_present(path.as_bytes(), Rule::Certs, "certificate authorities");
    }
    for path in zoneinfo::LOCAL {
        keeper.keep_present(path.as_bytes(), Rule::Zone, "local time zone");
    }
    let zone = environment.variable("TZ").unwrap_or_default();
    let zone = zone.strip_prefix(':').unwrap_or(zone);
    if zone.starts_with('/') {
        keeper.keep_present(zone.as_bytes(), Rule::Zone, "TZ in the image's config");
    } else if !zone.is_empty() {
        for database in zoneinfo::DATABASE {
            let path = format!("{database}/{zone}");
            keeper.keep_present(path.as_bytes(), Rule::Zone, "TZ in the image's config");
        }
    }
    for database in zoneinfo::DATABASE {
        if !in_use(keeper, database) {
            continue;
        }
        for zone in ["UTC", "GMT"] {
            let path = format!("{database}/{zone}");
            keeper.keep_present(path.as_bytes(), Rule::Zone, "universal time");
        }
    }
}

/// Whether anything in a directory is kept so far.
fn in_use(keeper: &Keeper<'_>, directory: &str) -> bool {
    let Some(directory) = keeper.tree.walk(directory.as_bytes(), true).end else { return false };
    let mut pending = vec![directory];
    while let Some(at) = pending.pop() {
        let mut children = keeper.tree.children(at);
        if children.any(|child| keeper.plan.kept.contains_key(&child)) {
            return true;
        }
        pending.extend(keeper.tree.children(at));
    }
    false
}
