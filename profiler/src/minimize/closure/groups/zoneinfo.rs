//! Time zones.

use super::keep_all;
use crate::minimize::Group;
use crate::minimize::keep::Keeper;

/// Where the C libraries look for the database.
pub const DATABASE: [&str; 3] =
    ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo"];

/// The machine's own zone.
pub const LOCAL: [&str; 2] = ["/etc/localtime", "/etc/timezone"];

/// Keeps the database and the machine's own zone.
pub fn keep(keeper: &mut Keeper<'_>) -> bool {
    let local = keep_all(keeper, &LOCAL, Group::Zoneinfo);
    keep_all(keeper, &DATABASE, Group::Zoneinfo) || local
}
