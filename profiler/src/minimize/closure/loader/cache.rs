//! `/etc/ld.so.cache`: what `ldconfig` found, by name.
//!
//! Source: glibc's `sysdeps/generic/dl-cache.h`. Either the new format alone,
//! or after the old one's table, aligned; string offsets count from the new
//! header.
//!
//! ```text
//! 0  "glibc-ld.so.cache1.1"   20 entries (u32)   24 bytes of strings (u32)
//! 48 entries of 24 bytes: flags, name, path, OS version (u32), hwcap (u64)
//! ```

use std::collections::BTreeMap;

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;

/// A library that the cache names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: Vec<u8>,
    /// Only for processors that can do more than all can.
    pub variant: bool,
}

/// Libraries by name, in the cache's order: of those that the processor can
/// run, the first is taken.
pub type Cache = BTreeMap<Vec<u8>, Vec<Entry>>;

/// Reads a cache; a damaged one, and one of the old format alone, names
/// nothing. Of the architecture nothing is taken from it: the library says
/// that itself.
pub fn parse(bytes: &[u8]) -> Cache {
    let mut cache = Cache::new();
    let Some(at) = bytes.windows(MAGIC.len()).position(|window| window == MAGIC) else {
        return cache;
    };
    let bytes = &bytes[at..];
    // In the byte order of the machine it is for: only one of them fits.
    let fits =
        |count: usize| count.checked_mul(ENTRY).is_some_and(|size| size + HEADER <= bytes.len());
    let number = |at: usize, little: bool| -> Option<usize> {
        let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) } as usize)
    };
    let little = match (number(20, true), number(20, false)) {
        (Some(count), _) if fits(count) => true,
        (_, Some(count)) if fits(count) => false,
        _ => return cache,
    };
    let text = |offset: usize| bytes.get(offset..)?.split(|&byte| byte == 0).next();
    for entry in 0..number(20, little).unwrap_or(0) {
        let at = HEADER + entry * ENTRY;
        let (Some(name), Some(path)) = (number(at + 4, little), number(at + 8, little)) else {
            break;
        };
        let (Some(name), Some(path)) = (text(name), text(path)) else { continue };
        let variant = bytes[at + 16..at + ENTRY].iter().any(|&byte| byte != 0);
        cache.entry(name.to_vec()).or_default().push(Entry { path: path.to_vec(), variant });
    }
    cache
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A cache of `(name, path, hwcap)`.
    pub fn made(entries: &[(&str, &str, u64)], little: bool) -> Vec<u8> {
        let four = |value: usize| {
            let value = value as u32;
            if little { value.to_le_bytes() } else { value.to_be_bytes() }
        };
        let mut strings = Vec::new();
        let mut bytes = MAGIC.to_vec();
        bytes.extend(four(entries.len()));
        bytes.resize(HEADER, 0);
        let base = HEADER + ENTRY * entries.len();
        for (name, path, hwcap) in entries {
            bytes.extend(four(3));
            for text in [name, path] {
                bytes.extend(four(base + strings.len()));
                strings.extend_from_slice(text.as_bytes());
                strings.push(0);
            }
            bytes.extend(four(0));
            bytes.extend(if little { hwcap.to_le_bytes() } else { hwcap.to_be_bytes() });
        }
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn names_paths_and_variants_of_either_byte_order() {
        let entries = [("liba.so", "/x/hw/liba.so", 1 << 62), ("liba.so", "/x/liba.so", 0)];
        for little in [true, false] {
            let new = made(&entries, little);
            let old = [b"ld.so-1.7.0\0\0\0\0\0".as_slice(), &new].concat();
            for bytes in [new, old] {
                let cache = parse(&bytes);
                let entry = |path: &[u8], variant| Entry { path: path.to_vec(), variant };
                let expected = [entry(b"/x/hw/liba.so", true), entry(b"/x/liba.so", false)];
                assert_eq!(cache[&b"liba.so"[..]], expected);
            }
        }
    }

    #[test]
    fn this_machines_own_cache() {
        let cache = parse(&std::fs::read("/etc/ld.so.cache").unwrap());
        assert!(cache[&b"libc.so.6"[..]][0].path.ends_with(b"/libc.so.6"));
    }

    #[test]
    fn damaged_caches_name_nothing_and_do_not_panic() {
        let whole = made(&[("liba.so", "/x/liba.so", 0)], true);
        for len in 0..whole.len() {
            parse(&whole[..len]);
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] = !bytes[at];
            parse(&bytes);
        }
    }
}
