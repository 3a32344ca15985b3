//! Where the dynamic loader finds libraries, by the image's own rules.
//!
//! Sources: ld.so(8) for glibc; musl's `ldso/dynlink.c`.

use std::collections::BTreeSet;
use std::io::Read as _;

use globset::GlobBuilder;

use super::Environment;
use super::elf::{Parsed, parse};
use crate::image::{ImageError, NodeId, NodeKind, Tree};
use crate::minimize::keep::{Keeper, Rule};

/// An ELF file and what it asks for.
pub struct Needs<'a> {
    /// Its path.
    pub path: &'a [u8],
    /// The same for people.
    pub shown: &'a str,
    /// What it says.
    pub parsed: &'a Parsed,
}

/// A library, the class and machine it must have, and where it is searched.
type Lookup = (Vec<u8>, (bool, u16), Vec<u8>);

/// Search path of the image.
pub struct Libraries {
    environment: Vec<Vec<u8>>,
    system: Vec<Vec<u8>>,
    /// Directories that kept programs named: glibc passes a program's RPATH
    /// on to its libraries.
    inherited: BTreeSet<Vec<u8>>,
    /// Library, target and search path that were looked up already.
    done: BTreeSet<Lookup>,
}

/// Directories the loader knows without a configuration. Debian's multiarch
/// ones are named in `ld.so.conf.d` too, but its loader has them built in.
const GLIBC: [&str; 10] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib/i386-linux-gnu",
    "/usr/lib/i386-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];
const MUSL: [&str; 3] = ["/lib", "/usr/local/lib", "/usr/lib"];
/// Subdirectories for better processors; the image may run on any.
const HWCAPS: [&str; 3] = ["x86-64-v2", "x86-64-v3", "x86-64-v4"];
const CONF_MAX: u64 = 1 << 20;

impl Libraries {
    /// Reads the image's loader configuration.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn new(keeper: &Keeper<'_>, environment: &Environment) -> Result<Self, ImageError> {
        let tree = keeper.tree;
        let mut system = Vec::new();
        conf(tree, b"/etc/ld.so.conf", &mut system, 0)?;
        system.extend(GLIBC.iter().map(|path| path.as_bytes().to_vec()));
        let mut musl = Vec::new();
        if let Some(etc) = tree.walk(b"/etc", true).end {
            for id in tree.children(etc) {
                let name = &tree.node(id).name;
                if name.starts_with(b"ld-musl-") && name.ends_with(b".path") {
                    let text = read(tree, id)?;
                    musl.extend(
                        text.split(|byte| matches!(byte, b':' | b'\n'))
                            .filter(|path| path.starts_with(b"/"))
                            .map(<[u8]>::to_vec),
                    );
                }
            }
        }
        // Class and machine must fit, so that both loaders' places can be
        // searched for a file of either.
        system.extend(musl);
        system.extend(MUSL.iter().map(|path| path.as_bytes().to_vec()));
        Ok(Self {
            environment: environment.library_path.iter().map(|p| p.clone().into_bytes()).collect(),
            system,
            inherited: BTreeSet::new(),
            done: BTreeSet::new(),
        })
    }

    /// Keeps every library that a file needs.
    ///
    /// # Errors
    /// When a candidate cannot be read.
    pub fn keep(&mut self, keeper: &mut Keeper<'_>, needs: &Needs<'_>) -> Result<(), ImageError> {
        let parsed = needs.parsed;
        let origin = needs.path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at);
        let origin = if origin == 0 { b"/".as_slice() } else { &needs.path[..origin] };
        let expand = |paths: &[Vec<u8>]| -> Vec<Vec<u8>> {
            paths.iter().filter(|path| !path.is_empty()).map(|path| expand(path, origin)).collect()
        };
        // RPATH counts only where there is no RUNPATH.
        let rpath = if parsed.runpath.is_empty() { expand(&parsed.rpath) } else { Vec::new() };
        self.inherited.extend(rpath.iter().cloned());
        let mut directories = rpath;
        directories.extend(self.environment.iter().cloned());
        directories.extend(expand(&parsed.runpath));
        directories.extend(self.system.iter().cloned());
        directories.extend(self.inherited.iter().cloned());
        for name in &parsed.needed {
            let key = (name.clone(), parsed.target, directories.join(&b':'));
            if !self.done.insert(key) {
                continue;
            }
            let detail = format!("library needed by {}", needs.shown);
            if name.contains(&b'/') {
                keeper.keep_walk(&expand_name(name, origin), true, Rule::Elf, &detail);
                continue;
            }
            if !keep_library(keeper, name, parsed, &directories, &detail)? {
                keeper.plan.warnings.push(format!(
                    "{} needs library {}, which is not in the image",
                    needs.shown,
                    String::from_utf8_lossy(name)
                ));
            }
        }
        Ok(())
    }
}

/// Keeps the first fitting library, and its variants for better processors.
fn keep_library(
    keeper: &mut Keeper<'_>,
    name: &[u8],
    parsed: &Parsed,
    directories: &[Vec<u8>],
    detail: &str,
) -> Result<bool, ImageError> {
    for directory in directories {
        if keeper.tree.walk(directory, true).end.is_none() {
            continue;
        }
        for level in HWCAPS {
            let path =
                [directory, b"/glibc-hwcaps/".as_slice(), level.as_bytes(), b"/", name].concat();
            if fits(keeper, &path, parsed)? {
                keeper.keep_walk(&path, true, Rule::Elf, detail);
            }
        }
        let path = [directory, b"/".as_slice(), name].concat();
        if fits(keeper, &path, parsed)? {
            keeper.keep_walk(&path, true, Rule::Elf, detail);
            return Ok(true);
        }
    }
    // musl's libc is its loader, under another name than is asked for.
    Ok(name.starts_with(b"libc.musl-") || name == b"libc.so")
}

fn fits(keeper: &Keeper<'_>, path: &[u8], parsed: &Parsed) -> Result<bool, ImageError> {
    let Some(end) = keeper.tree.walk(path, true).end else { return Ok(false) };
    if keeper.tree.node(end).kind != NodeKind::File {
        return Ok(false);
    }
    Ok(parse(keeper, end)?.is_some_and(|candidate| candidate.target == parsed.target))
}

/// Replaces `$ORIGIN`, `$LIB` and `$PLATFORM` in a search path.
fn expand(path: &[u8], origin: &[u8]) -> Vec<u8> {
    let text = expand_name(path, origin);
    if text.starts_with(b"/") { text } else { [b"/".as_slice(), &text].concat() }
}

fn expand_name(path: &[u8], origin: &[u8]) -> Vec<u8> {
    let mut out = path.to_vec();
    for (variable, value) in [
        (b"${ORIGIN}".as_slice(), origin),
        (b"$ORIGIN", origin),
        (b"${LIB}", b"lib/x86_64-linux-gnu".as_slice()),
        (b"$LIB", b"lib/x86_64-linux-gnu"),
    ] {
        // Onwards from what was put in: a directory may bear a variable's name.
        let mut from = 0;
        while let Some(at) =
            out[from..].windows(variable.len()).position(|window| window == variable)
        {
            let at = from + at;
            out.splice(at..at + variable.len(), value.iter().copied());
            from = at + value.len();
        }
    }
    out
}

/// Reads `ld.so.conf` and what it includes.
fn conf(
    tree: &Tree<'_>,
    path: &[u8],
    directories: &mut Vec<Vec<u8>>,
    depth: usize,
) -> Result<(), ImageError> {
    const DEPTH_MAX: usize = 8;
    let Some(id) = tree.walk(path, true).end else { return Ok(()) };
    if depth > DEPTH_MAX || tree.node(id).kind != NodeKind::File {
        return Ok(());
    }
    for line in read(tree, id)?.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        if let Some(pattern) = line.strip_prefix(b"include ") {
            for included in glob(tree, pattern.trim_ascii()) {
                conf(tree, &included, directories, depth + 1)?;
            }
        } else if line.starts_with(b"/") {
            directories.push(line.to_vec());
        }
    }
    Ok(())
}

/// Paths that fit a pattern whose last component alone is a glob.
fn glob(tree: &Tree<'_>, pattern: &[u8]) -> Vec<Vec<u8>> {
    let absolute = if pattern.starts_with(b"/") {
        pattern.to_vec()
    } else {
        [b"/etc/".as_slice(), pattern].concat()
    };
    let at = absolute.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    let (directory, last) = (&absolute[..at], &absolute[at + 1..]);
    let Ok(last) = std::str::from_utf8(last) else { return Vec::new() };
    let Ok(glob) = GlobBuilder::new(last).build() else { return Vec::new() };
    let glob = glob.compile_matcher();
    let Some(parent) = tree.walk(directory, true).end else { return Vec::new() };
    tree.children(parent)
        .filter(|&id| glob.is_match(String::from_utf8_lossy(&tree.node(id).name).as_ref()))
        .map(|id| tree.path(id))
        .collect()
}

fn read(tree: &Tree<'_>, id: NodeId) -> Result<Vec<u8>, ImageError> {
    let mut text = Vec::new();
    if let Some(reader) = tree.open(id)? {
        reader.take(CONF_MAX).read_to_end(&mut text).map_err(ImageError::io(
            "read",
            String::from_utf8_lossy(&tree.path(id)).into_owned(),
        ))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_named_like_a_variable_ends() {
        assert_eq!(expand(b"$ORIGIN/../lib", b"/opt/app"), b"/opt/app/../lib");
        assert!(expand(b"${ORIGIN}/lib", b"/a/${ORIGIN}").starts_with(b"/a/"));
        assert!(expand(b"$ORIGIN:x", b"/a/$ORIGIN").starts_with(b"/a/"));
    }
}
