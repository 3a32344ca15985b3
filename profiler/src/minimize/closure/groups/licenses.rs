//! Copyright files and licence texts.

use super::keep_all;
use crate::minimize::Group;
use crate::minimize::keep::{Keeper, Rule};

/// Directories of nothing else.
const DIRECTORIES: [&str; 2] = ["/usr/share/licenses", "/usr/share/common-licenses"];

/// Keeps them, and `/usr/share/doc/PACKAGE/copyright` of every package.
pub fn keep(keeper: &mut Keeper<'_>) -> bool {
    let mut any = keep_all(keeper, &DIRECTORIES, Group::Licenses);
    let Some(doc) = keeper.tree.walk(b"/usr/share/doc", true).end else { return any };
    let packages: Vec<_> = keeper.tree.children(doc).map(|id| keeper.tree.path(id)).collect();
    for package in packages {
        let copyright = [&package[..], b"/copyright"].concat();
        any |= keeper.keep_present(&copyright, Rule::Group, Group::Licenses.name());
    }
    any
}
