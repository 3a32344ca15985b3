//! Tar headers to entries.

use std::io;

use tar::{EntryType, Header};

use super::ImageError;
use super::entry::{Entry, EntryKind, normalize};
use super::header::{BLOCK, Extensions, is_extension, padded};
use super::sparse::{Piece, Sparse};

/// Longest extension block that is taken for one.
const EXTENSION_MAX: u64 = 1 << 20;

/// Longest header group.
pub const GROUP_MAX: u64 = 8 << 20;

/// Longest name and link target, as for the kernel's system calls: no engine
/// can unpack a longer one. Source: `PATH_MAX`, path_resolution(7).
const PATH_MAX: usize = 4096;

/// Most entries a layer may have: some 150 bytes of memory each.
const ENTRIES_MAX: usize = 4 << 20;

/// What a header took up.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Bytes of blocks read, extension data and padding included.
    pub blocks: u64,
    /// Bytes of content that come next, before their padding.
    pub content: u64,
}

/// Turns header blocks into entries.
pub struct Parser {
    image: String,
    extensions: Extensions,
    /// Where the current group began.
    group: Option<u64>,
    /// Bytes of padding due before the next header, for callers that are
    /// given headers alone.
    pub skip_padding: u64,
    /// What was parsed so far.
    pub entries: Vec<Entry>,
}

impl Parser {
    /// `image` is named in errors.
    pub fn new(image: &str) -> Self {
        Self {
            image: image.into(),
            extensions: Extensions::default(),
            group: None,
            skip_padding: 0,
            entries: Vec::new(),
        }
    }

    /// Takes in the header block at `at`; `read` gives that many bytes from
    /// the whole blocks that follow.
    ///
    /// # Errors
    /// [`ImageError::Damaged`], or that no engine can unpack it.
    pub fn header(
        &mut self,
        block: &[u8; BLOCK as usize],
        at: u64,
        mut read: impl FnMut(u64) -> io::Result<Vec<u8>>,
    ) -> Result<Step, ImageError> {
        let image = self.image.clone();
        let damaged = |why: &dyn std::fmt::Display| {
            ImageError::damaged(&image, format!("header at byte {at}: {why}"))
        };
        let header = Header::from_byte_slice(block);
        if header.cksum().ok() != Some(checksum(block)) {
            return Err(ImageError::damaged(
                &image,
                format!("a layer has no tar header at byte {at}"),
            ));
        }
        let old = header.as_old();
        let size = number(&old.size, || header.entry_size()).map_err(|e| damaged(&e))?;
        let kind = header.entry_type();
        let start = self.group.unwrap_or(at);
        if at - start > GROUP_MAX {
            return Err(damaged(&format_args!("more than {GROUP_MAX} bytes of extension headers")));
        }
        if is_extension(kind) {
            if size > EXTENSION_MAX {
                return Err(damaged(&format_args!("an extension header of {size} bytes")));
            }
            let data = read(size).map_err(|e| damaged(&e))?;
            let text = || data.split(|&b| b == 0).next().unwrap_or_default().to_vec();
            match kind {
                EntryType::XHeader => self
                    .extensions
                    .add_pax(&data)
                    .map_err(|e| damaged(&format_args!("PAX records: {e}")))?,
                EntryType::GNULongName => self.extensions.path = Some(text()),
                EntryType::GNULongLink => self.extensions.link = Some(text()),
                // Comments of git and the like; none of the attributes that
                // layers carry come this way.
                _ => {}
            }
            if kind != EntryType::XGlobalHeader {
                self.group = Some(start);
            }
            return Ok(Step { blocks: BLOCK + padded(size), content: 0 });
        }
        let extensions = std::mem::take(&mut self.extensions);
        self.group = None;
        let size = extensions.size.unwrap_or(size);
        let name = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extensions
            .link
            .or_else(|| header.link_name_bytes().map(|name| name.into_owned()))
            .unwrap_or_default();
        if name.len().max(link.len()) > PATH_MAX {
            return Err(damaged(&"a name longer than Linux allows (4096 bytes)"));
        }
        if self.entries.len() == ENTRIES_MAX {
            return Err(damaged(&format_args!("more than {ENTRIES_MAX} entries in one layer")));
        }
        let mut behind = 0;
        let mut sparse = extensions.sparse.sparse().map_err(|why| damaged(&why))?;
        if kind == EntryType::GNUSparse {
            let read = |size| {
                behind += size;
                if behind > EXTENSION_MAX {
                    return Err(io::Error::other("the map of a sparse file is too long"));
                }
                read(size)
            };
            sparse = Some(gnu_sparse(header, read).map_err(|e| damaged(&e))?);
        }
        let (kind, size) = match kind {
            EntryType::Regular | EntryType::GNUSparse if name.ends_with(b"/") => {
                // Version 7 tar marks directories by a slash alone.
                (EntryKind::Dir, size)
            }
            EntryType::Regular | EntryType::GNUSparse | EntryType::Continuous => {
                (EntryKind::File, size)
            }
            // These have no content, whatever their size field says. Source:
            // `isHeaderOnly` of Go's archive/tar, which engines use.
            EntryType::Directory => (EntryKind::Dir, 0),
            EntryType::Symlink => (EntryKind::Symlink(link), 0),
            EntryType::Link => (EntryKind::Hardlink(normalize(&link)), 0),
            EntryType::Char => (EntryKind::Char, 0),
            EntryType::Block => (EntryKind::Block, 0),
            EntryType::Fifo => (EntryKind::Fifo, 0),
            other => {
                let what =
                    format!("a tar entry of type {:?} in a layer", char::from(other.as_byte()));
                return Err(ImageError::Unsupported { image, what, next: String::new() });
            }
        };
        let sparse = sparse.filter(|_| kind == EntryKind::File);
        if let Some(sparse) = &sparse {
            sparse.check(size).map_err(|why| damaged(&why))?;
        }
        let mode = number(&old.mode, || header.mode()).map_err(|e| damaged(&e))?;
        let uid = number(&old.uid, || header.uid()).map_err(|e| damaged(&e))?;
        let gid = number(&old.gid, || header.gid()).map_err(|e| damaged(&e))?;
        self.entries.push(Entry {
            path: normalize(&name),
            kind,
            mode: mode & 0o7777,
            uid: extensions.uid.unwrap_or(uid),
            gid: extensions.gid.unwrap_or(gid),
            size,
            sparse: sparse.map(Box::new),
            header: start,
            header_len: at + BLOCK + behind - start,
            data: at + BLOCK + behind,
            left_out: false,
        });
        Ok(Step { blocks: BLOCK + behind, content: size })
    }
}

/// A number of a header; an empty field is 0, as for engines.
fn number<T: Default>(field: &[u8], parse: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(T::default()) } else { parse() }
}

/// The checksum field's own bytes count as spaces.
fn checksum(block: &[u8; BLOCK as usize]) -> u32 {
    let bytes = block.iter().enumerate();
    bytes.map(|(i, &byte)| if (148..156).contains(&i) { 32 } else { u32::from(byte) }).sum()
}

/// The map of an old GNU sparse file, from its header and the blocks behind.
fn gnu_sparse(
    header: &Header,
    mut read: impl FnMut(u64) -> io::Result<Vec<u8>>,
) -> io::Result<Sparse> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let gnu = header.as_gnu().ok_or_else(|| wrong("a sparse file without a GNU header"))?;
    let mut pieces = Vec::new();
    let mut add = |piece: &tar::GnuSparseHeader| {
        if !piece.is_empty() {
            pieces.push(Piece { offset: piece.offset()?, len: piece.length()? });
        }
        io::Result::Ok(())
    };
    gnu.sparse.iter().try_for_each(&mut add)?;
    let mut more = gnu.is_extended();
    while more {
        let mut block = tar::GnuExtSparseHeader::new();
        block.as_mut_bytes().copy_from_slice(&read(BLOCK)?);
        block.sparse.iter().try_for_each(&mut add)?;
        more = block.is_extended();
    }
    // A piece of no length marks the end of a file that ends with a hole.
    Ok(Sparse { len: gnu.real_size()?, pieces: Some(pieces) })
}
