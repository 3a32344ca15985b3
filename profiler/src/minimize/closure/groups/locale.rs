//! Locales.

use super::keep_all;
use crate::minimize::Group;
use crate::minimize::keep::Keeper;

/// Compiled locales of glibc, message catalogues, musl's catalogues.
const DIRECTORIES: [&str; 5] = [
    "/usr/lib/locale",
    "/usr/share/locale",
    "/usr/share/locale-langpack",
    "/usr/share/i18n/locales/musl",
    "/etc/locale.alias",
];

/// Keeps all of them.
pub fn keep(keeper: &mut Keeper<'_>) -> bool {
    keep_all(keeper, &DIRECTORIES, Group::Locale)
}
