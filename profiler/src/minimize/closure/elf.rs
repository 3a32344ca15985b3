//! ELF programs and libraries: the interpreter and what they need.

use std::io::{Read as _, Seek as _, SeekFrom};

use elf::ElfStream;
use elf::abi::{DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, PT_INTERP, PT_LOAD};
use elf::endian::AnyEndian;
use elf::file::Class;

use super::libraries::{Libraries, Needs};
use crate::image::{ImageError, NodeId, ReadSeek};
use crate::minimize::keep::{Keeper, Rule};

/// Largest string table read.
const STRINGS_MAX: u64 = 64 << 20;

/// What of an ELF file matters here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// 64-bit, machine number: both must fit for a library to be taken.
    pub target: (bool, u16),
    /// `PT_INTERP`.
    pub interpreter: Option<Vec<u8>>,
    /// `DT_NEEDED`.
    pub needed: Vec<Vec<u8>>,
    /// `DT_RPATH`, colons split.
    pub rpath: Vec<Vec<u8>>,
    /// `DT_RUNPATH`, colons split.
    pub runpath: Vec<Vec<u8>>,
}

/// Keeps what an ELF file needs. A damaged one is noted and needs nothing.
///
/// # Errors
/// When it cannot be opened.
pub fn keep(
    keeper: &mut Keeper<'_>,
    id: NodeId,
    libraries: &mut Libraries,
) -> Result<(), ImageError> {
    let path = keeper.tree.path(id);
    let shown = keeper.shown(id);
    let parsed = match parse(keeper, id)? {
        Some(parsed) => parsed,
        None => {
            keeper.plan.warnings.push(format!("{shown} begins like an ELF file but is none"));
            return Ok(());
        }
    };
    if let Some(interpreter) = &parsed.interpreter {
        let detail = format!("ELF interpreter of {shown}");
        if keeper.keep_walk(interpreter, true, Rule::Elf, &detail).is_none() {
            let name = String::from_utf8_lossy(interpreter);
            keeper
                .plan
                .warnings
                .push(format!("{shown} names ELF interpreter {name}, which is not there"));
        }
    }
    libraries.keep(keeper, &Needs { path: &path, shown: &shown, parsed: &parsed })
}

/// Parses a node; none if it is no ELF file after all.
///
/// # Errors
/// When it cannot be opened.
pub fn parse(keeper: &Keeper<'_>, id: NodeId) -> Result<Option<Parsed>, ImageError> {
    let (Some(headers), Some(strings)) = (keeper.tree.open(id)?, keeper.tree.open(id)?) else {
        return Ok(None);
    };
    Ok(parse_streams(headers, strings))
}

/// Two readers of the same file: the parser takes one for itself.
fn parse_streams(headers: Box<dyn ReadSeek>, mut strings: Box<dyn ReadSeek>) -> Option<Parsed> {
    let mut stream = ElfStream::<AnyEndian, _>::open_stream(headers).ok()?;
    let mut parsed = Parsed {
        target: (stream.ehdr.class == Class::ELF64, stream.ehdr.e_machine),
        ..Parsed::default()
    };
    let segments = stream.segments().clone();
    if let Some(segment) = segments.iter().find(|segment| segment.p_type == PT_INTERP)
        && segment.p_filesz < 4096
        && let Ok(bytes) = read_at(&mut strings, segment.p_offset, segment.p_filesz)
    {
        parsed.interpreter = Some(text(&bytes, 0)?.to_vec());
    }
    let mut offsets = Vec::new();
    let (mut table, mut size) = (None, None);
    // Static files have no dynamic table.
    let Ok(Some(dynamic)) = stream.dynamic() else { return Some(parsed) };
    for entry in dynamic.iter().take_while(|entry| entry.d_tag != DT_NULL) {
        match entry.d_tag {
            DT_STRTAB => table = Some(entry.d_ptr()),
            DT_STRSZ => size = Some(entry.d_val()),
            DT_NEEDED | DT_RPATH | DT_RUNPATH => offsets.push((entry.d_tag, entry.d_val())),
            _ => {}
        }
    }
    let (Some(table), Some(size)) = (table, size) else { return Some(parsed) };
    // The table is named by address: back to a place in the file.
    let segment = segments.iter().find(|segment| {
        segment.p_type == PT_LOAD
            && (segment.p_vaddr..segment.p_vaddr.saturating_add(segment.p_filesz)).contains(&table)
    })?;
    let offset = segment.p_offset.checked_add(table - segment.p_vaddr)?;
    let bytes = read_at(&mut strings, offset, size.min(STRINGS_MAX)).ok()?;
    for (tag, offset) in offsets {
        let Some(value) = text(&bytes, usize::try_from(offset).ok()?) else { continue };
        let parts = || value.split(|&byte| byte == b':').map(<[u8]>::to_vec);
        match tag {
            DT_NEEDED => parsed.needed.push(value.to_vec()),
            DT_RPATH => parsed.rpath.extend(parts()),
            _ => parsed.runpath.extend(parts()),
        }
    }
    Some(parsed)
}

fn read_at(reader: &mut Box<dyn ReadSeek>, offset: u64, len: u64) -> std::io::Result<Vec<u8>> {
    reader.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    reader.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// NUL-terminated text at an offset.
fn text(bytes: &[u8], offset: usize) -> Option<&[u8]> {
    bytes.get(offset..)?.split(|&byte| byte == 0).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn parse_bytes(bytes: Vec<u8>) -> Option<Parsed> {
        parse_streams(Box::new(Cursor::new(bytes.clone())), Box::new(Cursor::new(bytes)))
    }

    #[test]
    fn a_program_of_this_machine() {
        let parsed = parse_bytes(std::fs::read("/bin/true").unwrap()).unwrap();
        assert!(parsed.interpreter.unwrap().starts_with(b"/lib"));
        assert!(parsed.needed.iter().any(|name| name.starts_with(b"libc.")));
    }

    #[test]
    fn damaged_files_need_nothing_and_do_not_panic() {
        let whole = std::fs::read("/bin/true").unwrap();
        for len in [4, 5, 40, 64, 100, 1000, whole.len() / 2] {
            parse_bytes(whole[..len].to_vec());
        }
        for at in 0..512 {
            let mut bytes = whole.clone();
            bytes[at] = !bytes[at];
            parse_bytes(bytes);
        }
    }
}
