//! Ruby: RubyGems knows a gem by its specification, and passes over one whose
//! extensions are not marked as built.
//!
//! ```text
//! HOME/gems/rack-3.0.8/lib/rack.rb           a touched file
//! HOME/specifications/rack-3.0.8.gemspec     keeps this
//! HOME/extensions/PLATFORM/ABI/rack-3.0.8/   and gem.build_complete in here
//! HOME/bundler/gems/rack-1a2b3c/rack.gemspec a gem from a repository: itself
//! ```
//!
//! Debian has the files in `vendor_ruby` and the specifications in
//! `/usr/share/rubygems-integration/ABI/specifications`.

use super::{shown, split};
use crate::minimize::keep::{Keeper, Rule};

const DEBIAN: &[u8] = b"/usr/share/rubygems-integration";

/// Keeps a kept file's gem specification; its whole directory on demand.
pub fn keep(keeper: &mut Keeper<'_>, path: &[u8], whole: bool) {
    if let Some(module) = after(path, b"/vendor_ruby/") {
        return keep_debian(keeper, path, module);
    }
    let Some((home, gem)) = home_and_gem(path) else { return };
    let detail = format!("Ruby gem of {}", shown(path));
    let root = [home, b"/gems/", gem].concat();
    let specification = [home, b"/specifications/", gem, b".gemspec"].concat();
    keeper.keep_present(&specification, Rule::Ruby, &detail);
    keep_matching(keeper, &root, &detail, |name| name.ends_with(b".gemspec"));
    // `extensions/PLATFORM/ABI/GEM/gem.build_complete`
    for platform in directories(keeper, &[home, b"/extensions"].concat()) {
        for abi in directories(keeper, &platform) {
            let mark = [&abi, &b"/"[..], gem, b"/gem.build_complete"].concat();
            keeper.keep_present(&mark, Rule::Ruby, &detail);
        }
    }
    if whole {
        keeper.keep_below(&root, Rule::Ruby, &detail);
    }
}

/// Keeps common encodings of a kept Ruby, which it loads by name when a text
/// first has one: those of one byte a character, UTF-16 and UTF-32, and what
/// `CGI` and the like escape by. Those of East Asia are large; a test that
/// used one has touched it.
pub fn keep_encodings(keeper: &mut Keeper<'_>, path: &[u8]) {
    const COMMON: [&str; 13] = [
        "trans/single_byte.so",
        "trans/utf_16_32.so",
        "trans/escape.so",
        "iso_8859_1.so",
        "iso_8859_2.so",
        "iso_8859_15.so",
        "windows_1250.so",
        "windows_1251.so",
        "windows_1252.so",
        "utf_16be.so",
        "utf_16le.so",
        "utf_32be.so",
        "utf_32le.so",
    ];
    // Ruby loads this list of all encodings when it starts.
    let Some(directory) = path.strip_suffix(b"/enc/encdb.so") else { return };
    for name in COMMON {
        let library = [directory, b"/enc/", name.as_bytes()].concat();
        keeper.keep_present(&library, Rule::Ruby, "encoding that Ruby loads by name");
    }
}

/// By name, since Debian's specifications list no files of theirs.
fn keep_debian(keeper: &mut Keeper<'_>, path: &[u8], module: &[u8]) {
    let (name, _) = first(module);
    let name = name.strip_suffix(b".rb").unwrap_or(name).to_vec();
    let detail = format!("Ruby gem of {}", shown(path));
    for abi in directories(keeper, DEBIAN) {
        let directory = [&abi, &b"/specifications"[..]].concat();
        keep_matching(keeper, &directory, &detail, |file| {
            let version = file.strip_prefix(&name[..]).and_then(|rest| rest.strip_prefix(b"-"));
            version.is_some_and(|rest| {
                rest.first().is_some_and(u8::is_ascii_digit) && rest.ends_with(b".gemspec")
            })
        });
    }
}

/// Keeps the files of a directory whose names fit.
fn keep_matching(
    keeper: &mut Keeper<'_>,
    directory: &[u8],
    detail: &str,
    fits: impl Fn(&[u8]) -> bool,
) {
    let Some(id) = keeper.tree.walk(directory, true).end else { return };
    let tree = keeper.tree;
    let fitting: Vec<Vec<u8>> = tree
        .children(id)
        .filter(|&child| fits(&tree.node(child).name))
        .map(|child| tree.path(child))
        .collect();
    for path in fitting {
        keeper.keep_present(&path, Rule::Ruby, detail);
    }
}

/// Paths of what is in a directory.
fn directories(keeper: &Keeper<'_>, directory: &[u8]) -> Vec<Vec<u8>> {
    let id = keeper.tree.walk(directory, true).end;
    id.into_iter()
        .flat_map(|id| keeper.tree.children(id))
        .map(|child| keeper.tree.path(child))
        .collect()
}

/// `HOME` and `NAME-VERSION` of `HOME/gems/NAME-VERSION/…`. `HOME` may have a
/// `gems` of its own, but then no name with a version follows there.
fn home_and_gem(path: &[u8]) -> Option<(&[u8], &[u8])> {
    const MARK: &[u8] = b"/gems/";
    (0..path.len()).find_map(|at| {
        let inside = path[at..].strip_prefix(MARK)?;
        let end = inside.iter().position(|&byte| byte == b'/')?;
        inside[..end].contains(&b'-').then(|| (&path[..at], &inside[..end]))
    })
}

/// What follows the first occurrence of a mark.
fn after<'a>(path: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let at = path.windows(mark.len()).position(|window| window == mark)?;
    Some(&path[at + mark.len()..])
}

/// The first component, and the rest.
fn first(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|&byte| byte == b'/') {
        Some(at) => path.split_at(at),
        None => split(path),
    }
}
