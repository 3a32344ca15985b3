//! The entries of a tar stream with their names as they stand: nothing is
//! normalised here, since that is what is checked.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::super::header::{BLOCK, Extensions, padded};

/// Longest extension block that is read.
const EXTENSION_MAX: u64 = 1 << 20;

/// One entry.
#[derive(Debug)]
pub struct RawEntry {
    /// Its name, byte for byte.
    pub name: Vec<u8>,
    /// Where a link leads; empty for others.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: EntryType,
    /// Bytes of content.
    pub size: u64,
}

/// Reads a tar up to its end mark, or up to the end of the stream.
///
/// # Errors
/// What is wrong with it, in words.
pub fn entries(reader: &mut impl Read) -> Result<Vec<RawEntry>, String> {
    let mut entries = Vec::new();
    let mut extensions = Extensions::default();
    let mut at: u64 = 0;
    let mut block = [0; BLOCK as usize];
    loop {
        match fill(reader, &mut block).map_err(|error| error.to_string())? {
            0 if at == 0 => return Err("it is empty".into()),
            // Without the closing blocks: all engines read such layers.
            0 => return Ok(entries),
            512 => {}
            len => return Err(format!("it ends {len} bytes into a header at byte {at}")),
        }
        if block.iter().all(|&byte| byte == 0) {
            return Ok(entries);
        }
        let header = Header::from_byte_slice(&block);
        let wrong = |why: &dyn std::fmt::Display| format!("header at byte {at}: {why}");
        if header.cksum().ok() != Some(sum(&block)) {
            return Err(wrong(&"its checksum is wrong"));
        }
        let kind = header.entry_type();
        let stored = header.entry_size().map_err(|error| wrong(&error))?;
        if matches!(
            kind,
            EntryType::XHeader
                | EntryType::XGlobalHeader
                | EntryType::GNULongName
                | EntryType::GNULongLink
        ) {
            let data = extension(reader, stored).map_err(|error| wrong(&error))?;
            let text = || Some(data.split(|&byte| byte == 0).next().unwrap_or_default().to_vec());
            match kind {
                EntryType::XHeader => extensions.add_pax(&data).map_err(|error| wrong(&error))?,
                EntryType::GNULongName => extensions.path = text(),
                EntryType::GNULongLink => extensions.link = text(),
                _ => {}
            }
            at += BLOCK + padded(stored);
            continue;
        }
        let map = match kind {
            EntryType::GNUSparse => sparse_map(reader, &block).map_err(|error| wrong(&error))?,
            _ => 0,
        };
        let extensions = std::mem::take(&mut extensions);
        let size = match kind {
            // Some writers repeat the size of what a link leads to.
            EntryType::Link | EntryType::Symlink => 0,
            _ => extensions.size.unwrap_or(stored),
        };
        let link = match kind {
            EntryType::Link | EntryType::Symlink => extensions
                .link
                .or_else(|| header.link_name_bytes().map(|link| link.into_owned()))
                .unwrap_or_default(),
            _ => Vec::new(),
        };
        let name = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let blocks =
            size.checked_next_multiple_of(BLOCK).ok_or_else(|| wrong(&"an impossible size"))?;
        let skipped = io::copy(&mut reader.take(blocks), &mut io::sink())
            .map_err(|error| error.to_string())?;
        if skipped < size {
            return Err(format!(
                "it ends within {}, {} bytes are missing",
                String::from_utf8_lossy(&name),
                size - skipped
            ));
        }
        entries.push(RawEntry { name, link, kind, size });
        at = at.saturating_add(BLOCK + map).saturating_add(blocks);
    }
}

/// The checksum a header should have.
fn sum(block: &[u8]) -> u32 {
    let field = 148..156;
    block.iter().enumerate().map(|(i, &b)| if field.contains(&i) { 32 } else { b.into() }).sum()
}

/// Reads until the buffer is full or the stream ends.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Skips what of the map of a sparse file did not fit into its header; how
/// many bytes that was. Source: GNU tar manual, "Storing Sparse Files".
fn sparse_map(reader: &mut impl Read, header: &[u8; BLOCK as usize]) -> io::Result<u64> {
    /// Where a header says that the map goes on.
    const IN_HEADER: usize = 482;
    /// Where a block of the map says so.
    const IN_MAP: usize = 504;
    let mut more = header[IN_HEADER] != 0;
    let mut skipped = 0;
    while more {
        let mut block = [0; BLOCK as usize];
        reader.read_exact(&mut block)?;
        more = block[IN_MAP] != 0;
        skipped += BLOCK;
    }
    Ok(skipped)
}

/// The content of an extension block.
fn extension(reader: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    if size > EXTENSION_MAX {
        return Err(io::Error::other(format!("an extension of {size} bytes")));
    }
    let mut data = vec![0; padded(size) as usize];
    reader.read_exact(&mut data)?;
    data.truncate(size as usize);
    Ok(data)
}
