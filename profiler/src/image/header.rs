//! Tar header groups: parsing them, and the few cases where one is rewritten.
//!
//! A group is the header block of an entry with the extension blocks before
//! it. Groups are copied byte for byte; only an entry that takes over another
//! one's content (a hard link whose first name is dropped) gets a new one.
//!
//! ```text
//! [ 'x' header | PAX records ] [ 'L' header | long name ] [ header ] data
//! ```

use tar::{EntryType, Header};

/// Tar's unit.
pub const BLOCK: u64 = 512;

/// Rounds up to whole blocks.
pub fn padded(len: u64) -> u64 {
    len.div_ceil(BLOCK) * BLOCK
}

/// What the extension blocks say beside the header.
#[derive(Debug, Default)]
pub struct Extensions {
    /// PAX `path` or GNU long name.
    pub path: Option<Vec<u8>>,
    /// PAX `linkpath` or GNU long link name.
    pub link: Option<Vec<u8>>,
    /// PAX `uid`.
    pub uid: Option<u64>,
    /// PAX `gid`.
    pub gid: Option<u64>,
    /// PAX `size`.
    pub size: Option<u64>,
    /// A sparse format is used.
    pub sparse: bool,
}

impl Extensions {
    /// Takes in the records of a PAX block.
    ///
    /// # Errors
    /// When a record is malformed.
    pub fn add_pax(&mut self, records: &[u8]) -> std::io::Result<()> {
        for record in tar::PaxExtensions::new(records) {
            let record = record?;
            let value = record.value_bytes();
            let number = || std::str::from_utf8(value).ok()?.parse().ok();
            match record.key_bytes() {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"uid" => self.uid = number(),
                b"gid" => self.gid = number(),
                b"size" => self.size = number(),
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Makes the group of a name that takes over content: the content's own
/// header and extended attributes under the new name; a link to `link` if
/// that is given.
pub fn rename(group: &[u8], name: &[u8], link: Option<&[u8]>) -> Vec<u8> {
    let split = group.len().saturating_sub(BLOCK as usize);
    let mut new = Vec::new();
    // PAX records other than names are kept: times, extended attributes. So
    // is where a symlink leads, unless another name takes its place.
    let kept = extensions(&group[..split], link.is_some()).unwrap_or_default();
    if !kept.records.is_empty() {
        push_extension(&mut new, EntryType::XHeader, b"PaxHeaders/x", &kept.records);
    }
    if let Some(target) = kept.long_link {
        push_extension(&mut new, EntryType::GNULongLink, b"././@LongLink", &target);
    }
    let mut header = Header::from_byte_slice(&group[split..]).clone();
    push_long(&mut new, EntryType::GNULongName, name);
    set_text(&mut header.as_old_mut().name, name);
    // A ustar prefix belongs to the old name.
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.prefix.fill(0);
    }
    if let Some(link) = link {
        push_long(&mut new, EntryType::GNULongLink, link);
        set_text(&mut header.as_old_mut().linkname, link);
        header.set_entry_type(EntryType::Link);
        header.set_size(0);
    }
    header.set_cksum();
    new.extend_from_slice(header.as_bytes());
    new
}

/// What of a group's extension blocks outlives a new name.
#[derive(Default)]
struct Kept {
    /// PAX records.
    records: Vec<u8>,
    /// GNU long link name, as it stands.
    long_link: Option<Vec<u8>>,
}

fn extensions(mut blocks: &[u8], for_link: bool) -> Option<Kept> {
    let mut kept = Kept::default();
    while blocks.len() >= BLOCK as usize {
        let (block, rest) = blocks.split_at(BLOCK as usize);
        let header = Header::from_byte_slice(block);
        let size = header.entry_size().ok()?;
        let data = rest.get(..size as usize)?;
        if header.entry_type() == EntryType::GNULongLink && !for_link {
            kept.long_link = Some(data.to_vec());
        }
        if header.entry_type() == EntryType::XHeader {
            let mut records = data;
            while let Some(space) = records.iter().position(|&byte| byte == b' ') {
                let len: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
                let record = records.get(..len)?;
                let body = &record[space + 1..];
                let names = body.starts_with(b"path=")
                    || (for_link && body.starts_with(b"linkpath="))
                    || (for_link && body.starts_with(b"size="));
                if !names {
                    kept.records.extend_from_slice(record);
                }
                records = &records[len..];
            }
        }
        blocks = rest.get(padded(size) as usize..)?;
    }
    Some(kept)
}

fn push_long(group: &mut Vec<u8>, kind: EntryType, name: &[u8]) {
    const FIELD: usize = 100;
    if name.len() > FIELD {
        let mut data = name.to_vec();
        data.push(0);
        push_extension(group, kind, b"././@LongLink", &data);
    }
}

fn push_extension(group: &mut Vec<u8>, kind: EntryType, name: &[u8], data: &[u8]) {
    let mut header =
        if kind == EntryType::XHeader { Header::new_ustar() } else { Header::new_gnu() };
    set_text(&mut header.as_old_mut().name, name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(data.len() as u64);
    header.set_cksum();
    group.extend_from_slice(header.as_bytes());
    group.extend_from_slice(data);
    group.resize(padded(group.len() as u64) as usize, 0);
}

fn set_text(field: &mut [u8], text: &[u8]) {
    field.fill(0);
    let len = text.len().min(field.len());
    field[..len].copy_from_slice(&text[..len]);
}
