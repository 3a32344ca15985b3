//! Which dynamic loader a file is loaded by.

use crate::image::{ImageError, Tree};
use crate::minimize::closure::elf::Parsed;
use crate::minimize::closure::text::read;

/// Names that musl's loader itself answers to, after `lib`.
const MUSL_OWN: [&[u8]; 7] = [b"c.", b"pthread.", b"rt.", b"m.", b"dl.", b"util.", b"xnet."];

/// Whose rules hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loader {
    /// glibc's.
    Glibc,
    /// musl's, with the path of its configuration.
    Musl(Vec<u8>),
}

impl Loader {
    /// The loader that most of the image's programs use.
    pub fn usual(tree: &Tree<'_>) -> Self {
        let lib = tree.walk(b"/lib", true).end;
        let musl = lib.into_iter().flat_map(|lib| tree.children(lib)).find_map(|id| {
            let name = &tree.node(id).name;
            name.strip_prefix(b"ld-musl-")?.strip_suffix(b".so.1").map(|arch| Self::musl(b"", arch))
        });
        let glibc = tree.walk(b"/etc/ld.so.cache", true).end;
        match (musl, glibc) {
            (Some(musl), None) => musl,
            _ => Self::Glibc,
        }
    }

    /// The loader of a file: by its interpreter, by the libc it needs, or else
    /// the usual one.
    pub fn of(parsed: &Parsed, usual: &Self) -> Self {
        if let Some(interpreter) = &parsed.interpreter {
            return Self::by_interpreter(interpreter);
        }
        let musl = parsed.needed.iter().find_map(|name| {
            let architecture = name.strip_prefix(b"libc.musl-")?.strip_suffix(b".so.1")?;
            Some(Self::musl(b"", architecture))
        });
        match musl {
            Some(musl) => musl,
            None if parsed.needed.iter().any(|name| name == b"libc.so.6") => Self::Glibc,
            None => usual.clone(),
        }
    }

    fn by_interpreter(interpreter: &[u8]) -> Self {
        const MARK: &[u8] = b"/lib/ld-musl-";
        let at = interpreter.windows(MARK.len()).position(|window| window == MARK);
        let Some(at) = at else { return Self::Glibc };
        let architecture = &interpreter[at + MARK.len()..];
        let architecture = architecture.split(|&byte| byte == b'.').next().unwrap_or_default();
        Self::musl(&interpreter[..at], architecture)
    }

    fn musl(prefix: &[u8], architecture: &[u8]) -> Self {
        Self::Musl([prefix, b"/etc/ld-musl-", architecture, b".path"].concat())
    }

    /// Files that tell it where to look.
    pub fn configuration(&self) -> Vec<&[u8]> {
        match self {
            Self::Glibc => vec![b"/etc/ld.so.cache", b"/etc/ld.so.preload"],
            Self::Musl(conf) => vec![conf],
        }
    }

    /// musl's libc is its loader, under many names.
    pub fn is_own(&self, name: &[u8]) -> bool {
        matches!(self, Self::Musl(_))
            && name
                .strip_prefix(b"lib")
                .is_some_and(|rest| MUSL_OWN.iter().any(|own| rest.starts_with(own)))
    }
}

/// The configured directories, or else those built in.
///
/// # Errors
/// When the configuration cannot be read.
pub fn musl_directories(tree: &Tree<'_>, conf: &[u8]) -> Result<Vec<Vec<u8>>, ImageError> {
    let text = match tree.walk(conf, true).end {
        Some(id) => read(tree, id)?,
        None => b"/lib:/usr/local/lib:/usr/lib".to_vec(),
    };
    Ok(text
        .split(|byte| matches!(byte, b':' | b'\n'))
        .filter(|path| path.starts_with(b"/"))
        .map(<[u8]>::to_vec)
        .collect())
}
