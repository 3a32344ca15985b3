//! Character set conversions.

use super::library_directories;
use crate::minimize::Group;
use crate::minimize::keep::{Keeper, Rule};

/// Keeps every module, and the tables that name them.
pub fn keep(keeper: &mut Keeper<'_>) -> bool {
    let mut any = false;
    for directory in library_directories(keeper.tree) {
        let gconv = [&directory[..], b"/gconv"].concat();
        any |= keeper.keep_below(&gconv, Rule::Group, Group::Gconv.name());
    }
    any
}
