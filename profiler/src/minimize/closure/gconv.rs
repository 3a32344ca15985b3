//! Character set conversions of glibc.
//!
//! `iconv_open` finds a module by `gconv-modules.cache`, or by `gconv-modules`
//! and `gconv-modules.d` where there is no cache or `GCONV_PATH` is set. So
//! these stay where anything of their directory does: a module that a test
//! touched, or the cache that a program looked into. Modules themselves stay
//! only when touched, and what they need comes by the rules for ELF files;
//! UTF-8, UTF-16, UTF-32 and ASCII are in libc. All modules are
//! [`Group::Gconv`](crate::minimize::Group).

use crate::minimize::keep::{Keeper, Rule};

const TABLES: [&str; 3] = ["gconv-modules.cache", "gconv-modules", "gconv-modules.d"];

/// Keeps the tables beside a kept module or table.
pub fn keep(keeper: &mut Keeper<'_>, path: &[u8]) {
    const MARK: &[u8] = b"/gconv/";
    let Some(at) = path.windows(MARK.len()).rposition(|window| window == MARK) else { return };
    let directory = &path[..at + MARK.len()];
    let detail = format!("table of conversions, beside {}", String::from_utf8_lossy(path));
    for table in TABLES {
        keeper.keep_below(&[directory, table.as_bytes()].concat(), Rule::Gconv, &detail);
    }
}
