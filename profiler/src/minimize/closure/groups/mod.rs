//! The files of each [`Group`], in all distributions' places.

pub mod certs;
pub mod gconv;
pub mod licenses;
pub mod locale;
pub mod nss;
pub mod shell;
pub mod zoneinfo;

use crate::image::{NodeId, NodeKind, Tree};
use crate::minimize::Group;
use crate::minimize::keep::{Keeper, Rule};

/// Directories of ncurses' terminal descriptions.
pub const TERMINFO: [&str; 4] =
    ["/lib/terminfo", "/usr/lib/terminfo", "/usr/share/terminfo", "/etc/terminfo"];

/// Databases of dpkg, apk, rpm and pacman.
pub const PACKAGES: [&str; 7] = [
    "/var/lib/dpkg",
    "/lib/apk/db",
    "/usr/lib/apk/db",
    "/var/lib/rpm",
    "/usr/lib/sysimage/rpm",
    "/usr/share/rpm",
    "/var/lib/pacman/local",
];

/// Keeps what these paths lead to, and all below directories; false when
/// there is none of them.
pub fn keep_all(keeper: &mut Keeper<'_>, paths: &[&str], group: Group) -> bool {
    let mut any = false;
    for path in paths {
        any |= keeper.keep_below(path.as_bytes(), Rule::Group, group.name());
    }
    any
}

/// Directories that hold libraries, one of each kind in every image: those of
/// `/lib` and `/usr/lib` with multiarch's, and `lib64`.
pub fn library_directories(tree: &Tree<'_>) -> Vec<Vec<u8>> {
    let mut directories = Vec::new();
    for path in ["/lib", "/usr/lib", "/lib64", "/usr/lib64"] {
        let Some(id) = tree.walk(path.as_bytes(), true).end else { continue };
        directories.push(tree.path(id));
        directories.extend(
            tree.children(id)
                .filter(|&child| is_multiarch(tree, child))
                .map(|child| tree.path(child)),
        );
    }
    directories.sort();
    directories.dedup();
    directories
}

/// A directory such as `x86_64-linux-gnu`.
fn is_multiarch(tree: &Tree<'_>, id: NodeId) -> bool {
    let node = tree.node(id);
    node.kind == NodeKind::Dir && node.name.windows(7).any(|part| part == b"-linux-")
}
