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
    let kept = extensions(&group[..split], link.is_some());
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

/// Makes the group of an entry whose content gets another size; all else of
/// it stays.
pub fn resize(group: &[u8], size: u64) -> Vec<u8> {
    let split = group.len().saturating_sub(BLOCK as usize);
    let mut new = Vec::new();
    let mut blocks = &group[..split];
    // A PAX record of the old size would win over the header's field.
    while let Some(extension) = Extension::first(blocks) {
        blocks = extension.rest;
        if extension.kind == EntryType::XHeader {
            let records = pax_records(extension.data, |record| !record.starts_with(b"size="));
            if !records.is_empty() {
                push_extension(&mut new, EntryType::XHeader, b"PaxHeaders/x", &records);
            }
        } else {
            new.extend_from_slice(extension.whole);
        }
    }
    let mut header = Header::from_byte_slice(&group[split..]).clone();
    header.set_size(size);
    header.set_cksum();
    new.extend_from_slice(header.as_bytes());
    new
}

/// One extension of a group.
struct Extension<'a> {
    kind: EntryType,
    /// Header, content and padding.
    whole: &'a [u8],
    /// Its content.
    data: &'a [u8],
    /// What comes after it.
    rest: &'a [u8],
}

impl<'a> Extension<'a> {
    /// The first of these blocks; none when they are used up or cut short.
    fn first(blocks: &'a [u8]) -> Option<Self> {
        let (block, after) = blocks.split_at_checked(BLOCK as usize)?;
        let header = Header::from_byte_slice(block);
        let size = header.entry_size().ok()?;
        let data = after.get(..usize::try_from(size).ok()?)?;
        let rest = after.get(padded(size) as usize..)?;
        let whole = &blocks[..blocks.len() - rest.len()];
        Some(Self { kind: header.entry_type(), whole, data, rest })
    }
}

/// The PAX records whose `key=value` part passes, as they stand.
fn pax_records(mut records: &[u8], mut passes: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut kept = Vec::new();
    while let Some(space) = records.iter().position(|&byte| byte == b' ') {
        let len = std::str::from_utf8(&records[..space]).ok().and_then(|len| len.parse().ok());
        let Some(record) = len.and_then(|len: usize| records.get(..len)) else { break };
        let Some(body) = record.get(space + 1..) else { break };
        if passes(body) {
            kept.extend_from_slice(record);
        }
        records = &records[record.len()..];
    }
    kept
}

/// What of a group's extension blocks outlives a new name.
#[derive(Default)]
struct Kept {
    /// PAX records.
    records: Vec<u8>,
    /// GNU long link name, as it stands.
    long_link: Option<Vec<u8>>,
}

fn extensions(mut blocks: &[u8], for_link: bool) -> Kept {
    let mut kept = Kept::default();
    while let Some(extension) = Extension::first(blocks) {
        blocks = extension.rest;
        match extension.kind {
            EntryType::GNULongLink if !for_link => kept.long_link = Some(extension.data.to_vec()),
            EntryType::XHeader => {
                kept.records.extend(pax_records(extension.data, |record| {
                    let of_name = record.starts_with(b"path=");
                    let of_file = record.starts_with(b"linkpath=") || record.starts_with(b"size=");
                    !(of_name || for_link && of_file)
                }));
            }
            _ => {}
        }
    }
    kept
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
