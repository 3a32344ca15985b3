//! Looking for one library through directories and the cache.

use super::Libraries;
use super::expand::{Variables, expand, multiarch};
use crate::image::{ImageError, NodeKind, Tree};
use crate::minimize::closure::elf::Target;

/// Subdirectories for better processors of glibc before 2.37.
const LEGACY: [&str; 7] =
    ["tls", "x86_64", "haswell", "haswell/avx512_1", "atomics", "i686", "i686/sse2"];

/// Where a file's libraries are searched, in order.
#[derive(Debug, Default)]
pub struct Search {
    /// What a library must be made for.
    pub target: Target,
    /// Directories that are asked before the cache.
    pub before: Vec<Vec<u8>>,
    /// Whether there is a cache.
    pub cache: bool,
    /// Directories that are asked after it.
    pub after: Vec<Vec<u8>>,
    /// Directories of other files, for a library that is not where it should
    /// be: it may have been loaded before on another's account.
    pub last: Vec<Vec<u8>>,
}

/// Directories that glibc's loader has built in. Which of them, the
/// distribution has chosen; class and machine must fit in any of them.
pub fn default_directories(target: Target) -> Vec<Vec<u8>> {
    let mut directories = Vec::new();
    let mut add = |name: &str| {
        directories.push(format!("/{name}").into_bytes());
        directories.push(format!("/usr/{name}").into_bytes());
    };
    for name in multiarch(target) {
        add(&format!("lib/{name}"));
    }
    match (target.machine, target.wide) {
        (243, true) => ["lib64/lp64d", "lib64"].into_iter().for_each(&mut add),
        (_, true) => add("lib64"),
        (62, false) => add("libx32"),
        (_, false) => add("lib32"),
    }
    add("lib");
    directories
}

impl Libraries {
    /// Paths of the library that is taken, and of its variants; empty when
    /// there is none.
    pub(super) fn find(
        &mut self,
        tree: &Tree<'_>,
        name: &[u8],
        search: &Search,
        variables: &Variables<'_>,
    ) -> Result<Vec<Vec<u8>>, ImageError> {
        let mut found = Vec::new();
        if name.contains(&b'/') {
            for path in expand(name, variables) {
                if self.fits(tree, &path, search.target)? {
                    found.push(path);
                    break;
                }
            }
            return Ok(found);
        }
        for directory in &search.before {
            if self.look(tree, directory, name, search, &mut found)? {
                return Ok(found);
            }
        }
        if search.cache {
            for entry in self.cache.get(name).cloned().unwrap_or_default() {
                if !self.fits(tree, &entry.path, search.target)? {
                    continue;
                }
                found.push(entry.path);
                if !entry.variant {
                    return Ok(found);
                }
            }
        }
        for directory in search.after.iter().chain(&search.last) {
            if self.look(tree, directory, name, search, &mut found)? {
                return Ok(found);
            }
        }
        Ok(found)
    }

    /// Looks into a directory and those of variants below it; true when it
    /// has one for every processor.
    fn look(
        &mut self,
        tree: &Tree<'_>,
        directory: &[u8],
        name: &[u8],
        search: &Search,
        found: &mut Vec<Vec<u8>>,
    ) -> Result<bool, ImageError> {
        let Some(id) = tree.walk(directory, true).end else { return Ok(false) };
        if search.cache {
            let mut levels: Vec<Vec<u8>> =
                LEGACY.iter().map(|name| name.as_bytes().to_vec()).collect();
            if let Some(hwcaps) = tree.child(id, b"glibc-hwcaps") {
                let names = tree.children(hwcaps).map(|level| &tree.node(level).name);
                levels.extend(names.map(|name| [b"glibc-hwcaps/", &name[..]].concat()));
            }
            for level in levels {
                let path = [directory, b"/", &level, b"/", name].concat();
                if self.fits(tree, &path, search.target)? {
                    found.push(path);
                }
            }
        }
        let path = [directory, b"/", name].concat();
        let fits = self.fits(tree, &path, search.target)?;
        if fits {
            found.push(path);
        }
        Ok(fits)
    }

    fn fits(&mut self, tree: &Tree<'_>, path: &[u8], target: Target) -> Result<bool, ImageError> {
        let Some(end) = tree.walk(path, true).end else { return Ok(false) };
        if tree.node(end).kind != NodeKind::File {
            return Ok(false);
        }
        Ok(self.parsed(tree, end)?.is_some_and(|candidate| candidate.target == target))
    }
}
