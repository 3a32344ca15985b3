//! Name service modules.

use super::{keep_all, library_directories};
use crate::minimize::Group;
use crate::minimize::keep::{Keeper, Rule};

/// What the modules and the resolver read.
const TABLES: [&str; 8] = [
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/networks",
    "/etc/protocols",
    "/etc/rpc",
    "/etc/services",
    "/etc/ethers",
];

/// Keeps every module and table.
pub fn keep(keeper: &mut Keeper<'_>) -> bool {
    let mut any = false;
    for directory in library_directories(keeper.tree) {
        let Some(id) = keeper.tree.lookup(&directory) else { continue };
        let modules: Vec<_> = keeper
            .tree
            .children(id)
            .filter(|&child| keeper.tree.node(child).name.starts_with(b"libnss_"))
            .map(|child| keeper.tree.path(child))
            .collect();
        for module in modules {
            any |= keeper.keep_present(&module, Rule::Group, Group::Nss.name());
        }
    }
    keep_all(keeper, &TABLES, Group::Nss) || any
}
