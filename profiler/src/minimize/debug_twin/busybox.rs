//! A static busybox: found, checked, and its applets read from it.
//!
//! It is never run: it may be another architecture's, or an image's that
//! nobody trusts. Its applets stand in it as one text, sorted, each ended by a
//! NUL byte (busybox's `include/applets.src.h`, "applet_names").

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use elf::ElfBytes;
use elf::abi::{
    EM_386, EM_AARCH64, EM_ARM, EM_LOONGARCH, EM_MIPS, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64,
    PT_INTERP,
};
use elf::endian::AnyEndian;
use serde_json::Value;

use crate::image::{ImageError, SourceImage, Tree};

/// Longest program read.
const MAX: u64 = 64 << 20;

/// Where images keep theirs.
const PLACES: [&str; 5] = [
    "/bin/busybox",
    "/usr/bin/busybox",
    "/busybox/busybox",
    "/bin/busybox.static",
    "/bin/busybox-static",
];

/// Why there is no busybox.
#[derive(Debug, thiserror::Error)]
pub enum BusyboxError {
    /// The one that was named is no good.
    #[error("busybox {path} cannot be used: {why}; name a static one for {architecture} with --debug-busybox", path = .path.display())]
    Given {
        /// The file.
        path: PathBuf,
        /// Architecture of the image, as in its config.
        architecture: String,
        /// What is wrong with it.
        why: String,
    },
    /// None was named, and none that is any good was found.
    #[error(
        "no static busybox for {architecture} in the image or on this machine; name one with --debug-busybox (Debian's package busybox-static has it)"
    )]
    None {
        /// Architecture of the image, as in its config.
        architecture: String,
    },
    /// The image could not be read.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// A static busybox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busybox {
    /// The program.
    pub bytes: Vec<u8>,
    /// Its applets in order, itself among them.
    pub applets: Vec<String>,
}

impl Busybox {
    /// The one that is given; else the image's own, else this machine's.
    ///
    /// # Errors
    /// See [`BusyboxError`].
    pub fn find(
        image: &SourceImage,
        tree: &Tree<'_>,
        given: Option<&Path>,
    ) -> Result<Self, BusyboxError> {
        let config: Value = serde_json::from_slice(&image.config).unwrap_or_default();
        let architecture = config.get("architecture").and_then(Value::as_str).unwrap_or("amd64");
        if let Some(path) = given {
            return read(path).and_then(|bytes| Self::new(bytes, architecture)).map_err(|why| {
                BusyboxError::Given {
                    path: path.to_owned(),
                    architecture: architecture.to_owned(),
                    why,
                }
            });
        }
        for place in PLACES {
            let Some(id) = tree.walk(place.as_bytes(), true).end else { continue };
            let Some(reader) = tree.open(id)? else { continue };
            let mut bytes = Vec::new();
            if reader.take(MAX).read_to_end(&mut bytes).is_err() {
                continue;
            }
            if let Ok(found) = Self::new(bytes, architecture) {
                return Ok(found);
            }
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .filter_map(|directory| read(&directory.join("busybox")).ok())
            .find_map(|bytes| Self::new(bytes, architecture).ok())
            .ok_or_else(|| BusyboxError::None { architecture: architecture.to_owned() })
    }

    /// Checks a program.
    ///
    /// # Errors
    /// What is wrong with it.
    fn new(bytes: Vec<u8>, architecture: &str) -> Result<Self, String> {
        let elf = ElfBytes::<AnyEndian>::minimal_parse(&bytes)
            .map_err(|_| "it is no ELF program".to_owned())?;
        if machine(architecture).is_some_and(|machine| machine != elf.ehdr.e_machine) {
            return Err("it is a program for another architecture".into());
        }
        let segments = elf.segments().ok_or("it has no segments")?;
        if segments.iter().any(|segment| segment.p_type == PT_INTERP) {
            return Err("it is not static".into());
        }
        let applets = applets(&bytes);
        if !applets.iter().any(|applet| applet == "sh") {
            return Err("it names no applet sh".into());
        }
        Ok(Self { bytes, applets })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// ELF's number for what OCI calls an architecture (Go's `GOARCH`); none for
/// those that are not known here.
fn machine(architecture: &str) -> Option<u16> {
    Some(match architecture {
        "amd64" => EM_X86_64,
        "386" => EM_386,
        "arm64" => EM_AARCH64,
        "arm" => EM_ARM,
        "ppc64le" | "ppc64" => EM_PPC64,
        "s390x" => EM_S390,
        "riscv64" => EM_RISCV,
        "loong64" => EM_LOONGARCH,
        "mips" | "mipsle" | "mips64" | "mips64le" => EM_MIPS,
        _ => return None,
    })
}

/// The longest run of names around one that is `busybox`.
fn applets(bytes: &[u8]) -> Vec<String> {
    const NAME: &[u8] = b"\0busybox\0";
    let mut longest: Vec<&[u8]> = Vec::new();
    let mut from = 0;
    while let Some(at) = find(&bytes[from..], NAME).map(|at| from + at) {
        let run = run(bytes, at + 1, at + NAME.len() - 1);
        if run.len() > longest.len() {
            longest = run;
        }
        from = at + 1;
    }
    longest.into_iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// Names before and after the one at `start..end`, as long as they rise.
fn run(bytes: &[u8], start: usize, end: usize) -> Vec<&[u8]> {
    let mut names = vec![&bytes[start..end]];
    let mut first = start;
    // The byte before a name ends the one before it.
    while let Some(ended) = first.checked_sub(1) {
        let before = &bytes[..ended];
        let begin = before.iter().rposition(|&byte| byte == 0).map_or(0, |at| at + 1);
        let name = &before[begin..];
        if !is_name(name) || Some(&name) >= names.last() {
            break;
        }
        names.push(name);
        first = begin;
    }
    names.reverse();
    let mut rest = &bytes[end + 1..];
    while let Some(length) = rest.iter().position(|&byte| byte == 0) {
        let name = &rest[..length];
        if !is_name(name) || Some(&name) <= names.last() {
            break;
        }
        names.push(name);
        rest = &rest[length + 1..];
    }
    names
}

fn is_name(name: &[u8]) -> bool {
    let fits =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"[_.-".contains(byte);
    !name.is_empty() && name.len() <= 32 && name != b"." && name != b".." && name.iter().all(fits)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applets_are_those_that_the_program_lists() {
        let bytes = fs::read("/bin/busybox").unwrap();
        let listed = std::process::Command::new("/bin/busybox").arg("--list").output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert_eq!(applets(&bytes), listed.lines().collect::<Vec<_>>());
        Busybox::new(bytes, "amd64").unwrap();
    }

    #[test]
    fn what_is_no_static_busybox_is_told_apart() {
        let wrong = |bytes: &[u8], architecture: &str| {
            Busybox::new(bytes.to_vec(), architecture).unwrap_err()
        };
        let busybox = fs::read("/bin/busybox").unwrap();
        assert!(wrong(&busybox, "arm64").contains("architecture"));
        assert!(wrong(&fs::read("/bin/true").unwrap(), "amd64").contains("not static"));
        assert!(wrong(b"#!/bin/sh\n", "amd64").contains("no ELF"));
        let mut nameless = busybox.clone();
        while let Some(at) = find(&nameless, b"\0busybox\0") {
            nameless[at + 1] = b'B';
        }
        assert!(wrong(&nameless, "amd64").contains("no applet"));
    }

    #[test]
    fn a_list_at_either_end_of_a_file_is_read_without_a_panic() {
        for text in ["\0busybox\0", "ash\0busybox\0sh", "\0busybox\0sh\0", "a\0busybox\0\0"] {
            assert!(applets(text.as_bytes()).contains(&"busybox".to_owned()), "{text:?}");
        }
        assert_eq!(applets(b"busybox"), Vec::<String>::new());
    }
}
