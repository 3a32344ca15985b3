//! Shells.

use super::super::text::read_lossy;
use crate::minimize::Group;
use crate::minimize::keep::{Keeper, Rule};

/// Keeps `/bin/sh`, and the shells that `/etc/shells` lists.
pub fn keep(keeper: &mut Keeper<'_>) -> bool {
    let list = read_lossy(keeper.tree, b"/etc/shells");
    let shells = list.lines().map(str::trim).filter(|line| line.starts_with('/'));
    let mut any = false;
    for shell in ["/bin/sh"].into_iter().chain(shells) {
        any |= keeper.keep_present(shell.as_bytes(), Rule::Group, Group::Shell.name());
    }
    if any {
        keeper.keep_present(b"/etc/shells", Rule::Group, Group::Shell.name());
    }
    any
}
