//! What an ELF file says of its needs.

use std::io::{Read as _, Seek as _, SeekFrom};

use elf::ElfStream;
use elf::abi::{
    DF_1_NODEFLIB, DT_FLAGS_1, DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB,
    PT_INTERP, PT_LOAD, PT_NOTE,
};
use elf::endian::AnyEndian;
use elf::file::Class;

use super::dlopen::{self, Optional};
use crate::image::{ImageError, NodeId, ReadSeek, Tree};

/// Largest string table read.
const STRINGS_MAX: u64 = 64 << 20;
/// Largest segment of notes read.
const NOTES_MAX: u64 = 1 << 20;
/// `DT_AUXILIARY` and `DT_FILTER` of the Solaris ABI, which glibc honours:
/// libraries asked before the file itself. The `elf` crate has no names for
/// them.
const DT_AUXILIARY: i64 = 0x7fff_fffd;
const DT_FILTER: i64 = 0x7fff_ffff;

/// Class, byte order and machine: all must fit for a library to be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// 64-bit.
    pub wide: bool,
    /// Least significant byte first.
    pub little: bool,
    /// `e_machine`.
    pub machine: u16,
}

/// What of an ELF file matters here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What it is made for.
    pub target: Target,
    /// `PT_INTERP`.
    pub interpreter: Option<Vec<u8>>,
    /// `DT_NEEDED` and `DT_FILTER`.
    pub needed: Vec<Vec<u8>>,
    /// `DT_AUXILIARY`: taken where it is there.
    pub auxiliary: Vec<Vec<u8>>,
    /// `DT_RPATH`, colons split.
    pub rpath: Vec<Vec<u8>>,
    /// `DT_RUNPATH`, colons split.
    pub runpath: Vec<Vec<u8>>,
    /// `DF_1_NODEFLIB`: the loader's own directories are not searched.
    pub no_defaults: bool,
    /// Libraries that it says it opens at run time.
    pub optional: Vec<Optional>,
}

/// Parses a node; none if it is no ELF file after all.
///
/// # Errors
/// When it cannot be opened.
pub fn parse(tree: &Tree<'_>, id: NodeId) -> Result<Option<Parsed>, ImageError> {
    let (Some(headers), Some(strings)) = (tree.open(id)?, tree.open(id)?) else {
        return Ok(None);
    };
    Ok(parse_streams(headers, strings))
}

/// Two readers of the same file: the parser takes one for itself.
fn parse_streams(headers: Box<dyn ReadSeek>, mut strings: Box<dyn ReadSeek>) -> Option<Parsed> {
    let mut stream = ElfStream::<AnyEndian, _>::open_stream(headers).ok()?;
    let (class, endian) = (stream.ehdr.class, stream.ehdr.endianness);
    let mut parsed = Parsed {
        target: Target {
            wide: class == Class::ELF64,
            little: endian == AnyEndian::Little,
            machine: stream.ehdr.e_machine,
        },
        ..Parsed::default()
    };
    let segments = stream.segments().clone();
    if let Some(segment) = segments.iter().find(|segment| segment.p_type == PT_INTERP)
        && segment.p_filesz < 4096
        && let Ok(bytes) = read_at(&mut strings, segment.p_offset, segment.p_filesz)
    {
        parsed.interpreter = Some(text(&bytes, 0)?.to_vec());
    }
    for segment in segments.iter().filter(|segment| segment.p_type == PT_NOTE) {
        let size = segment.p_filesz.min(NOTES_MAX);
        if let Ok(bytes) = read_at(&mut strings, segment.p_offset, size) {
            // Linkers leave alignment 0 or 1 where they mean 4.
            let align = if segment.p_align == 8 { 8 } else { 4 };
            parsed.optional.extend(dlopen::notes(endian, class, align, &bytes));
        }
    }
    let mut offsets = Vec::new();
    let (mut table, mut size) = (None, None);
    // Static files have no dynamic table.
    let Ok(Some(dynamic)) = stream.dynamic() else { return Some(parsed) };
    for entry in dynamic.iter().take_while(|entry| entry.d_tag != DT_NULL) {
        match entry.d_tag {
            DT_STRTAB => table = Some(entry.d_ptr()),
            DT_STRSZ => size = Some(entry.d_val()),
            DT_FLAGS_1 => parsed.no_defaults = entry.d_val() & DF_1_NODEFLIB as u64 != 0,
            DT_NEEDED | DT_RPATH | DT_RUNPATH | DT_AUXILIARY | DT_FILTER => {
                offsets.push((entry.d_tag, entry.d_val()));
            }
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
            DT_RPATH => parsed.rpath.extend(parts()),
            DT_RUNPATH => parsed.runpath.extend(parts()),
            DT_AUXILIARY => parsed.auxiliary.push(value.to_vec()),
            _ => parsed.needed.push(value.to_vec()),
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
    use super::super::made::Elf;
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
    fn everything_that_a_file_of_any_class_and_order_says() {
        for (wide, little) in [(true, true), (true, false), (false, true), (false, false)] {
            let target = Target { wide, little, machine: 22 };
            let bytes = Elf::new(target)
                .interpreter("/lib/ld.so")
                .needed("liba.so.1")
                .auxiliary("libb.so")
                .rpath("$ORIGIN/x:/y")
                .runpath("/z")
                .no_defaults()
                .note(r#"[{"feature":"f","priority":"required","soname":["libd.so"]}]"#)
                .bytes();
            let parsed = parse_bytes(bytes).unwrap();
            assert_eq!(parsed.target, target);
            assert_eq!(parsed.interpreter.unwrap(), b"/lib/ld.so");
            assert_eq!(parsed.needed, [b"liba.so.1"]);
            assert_eq!(parsed.auxiliary, [b"libb.so"]);
            assert_eq!(parsed.rpath, [&b"$ORIGIN/x"[..], b"/y"]);
            assert_eq!(parsed.runpath, [b"/z"]);
            assert!(parsed.no_defaults);
            assert_eq!(parsed.optional[0].soname, ["libd.so"]);
        }
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
