//! Tar header groups: parsing them, and the few cases where one is rewritten.
//!
//! A group is the header block of an entry with the extension blocks before
//! it. Groups are copied byte for byte; only an entry that takes over another
//! one's content (a hard link whose first name is dropped) gets a new one.
//!
//! ```text
//! [ 'x' header | PAX records ] [ 'L' header | long name ] [ header ] data
//! ```
//!
//! The map of an old GNU sparse file may go on in blocks behind the header;
//! they belong to the group.

use tar::{EntryType, Header};

use super::sparse::{Piece, Sparse};

/// Tar's unit.
pub const BLOCK: u64 = 512;

/// Rounds up to whole blocks; headers may claim any length.
pub fn padded(len: u64) -> u64 {
    len.div_ceil(BLOCK).saturating_mul(BLOCK)
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
    /// What PAX says of a sparse file.
    pub sparse: PaxSparse,
    /// `path` is of a record `GNU.sparse.name`.
    sparse_name: bool,
}

/// The records of GNU's sparse formats 0.0, 0.1 and 1.0; see
/// [`super::sparse`].
#[derive(Debug, Default)]
pub struct PaxSparse {
    /// `GNU.sparse.size` or `.realsize`: bytes of the file.
    len: Option<u64>,
    /// `GNU.sparse.major` is 1.
    front: bool,
    /// Pieces of formats 0.0 and 0.1, offsets and lengths in turn.
    numbers: Vec<u64>,
    /// One of the records is no number.
    wrong: bool,
}

impl PaxSparse {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        let mut number = |text: &[u8]| {
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            self.wrong |= number.is_none();
            number.unwrap_or_default()
        };
        match key {
            b"size" | b"realsize" => self.len = Some(number(value)),
            b"major" => self.front = number(value) == 1,
            b"offset" | b"numbytes" => {
                let number = number(value);
                self.numbers.push(number);
            }
            b"map" => {
                let numbers = value.split(|&byte| byte == b',').map(number).collect();
                self.numbers = numbers;
            }
            _ => {}
        }
    }

    /// The file they describe; none where there are no records.
    ///
    /// # Errors
    /// What is wrong.
    pub fn sparse(self) -> Result<Option<Sparse>, &'static str> {
        let Some(len) = self.len else {
            return if self.front || !self.numbers.is_empty() {
                Err("a sparse file has no length")
            } else {
                Ok(None)
            };
        };
        if self.wrong || !self.numbers.len().is_multiple_of(2) {
            return Err("the map of a sparse file is wrong");
        }
        let piece = |pair: &[u64]| Piece { offset: pair[0], len: pair[1] };
        let pieces = (!self.front).then(|| self.numbers.chunks_exact(2).map(piece).collect());
        Ok(Some(Sparse { len, pieces }))
    }
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
                // The other is a made-up name then.
                b"path" if !self.sparse_name => self.path = Some(value.to_vec()),
                b"GNU.sparse.name" => {
                    self.path = Some(value.to_vec());
                    self.sparse_name = true;
                }
                b"linkpath" => self.link = Some(value.to_vec()),
                b"uid" => self.uid = number(),
                b"gid" => self.gid = number(),
                b"size" => self.size = number(),
                key => {
                    if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                        self.sparse.add(key, value);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Makes the group of a name that takes over content: the content's own
/// header and extended attributes under the new name; a link to `link` if
/// that is given.
///
/// It is no longer than the groups it takes the place of, but where links to a
/// long name replace links to a short one: each may get an extension block.
pub fn rename(group: &[u8], name: &[u8], link: Option<&[u8]>) -> Vec<u8> {
    let (before, block, behind) = parts(group);
    let mut new = Vec::new();
    let mut header = Header::from_byte_slice(block).clone();
    // PAX records other than names are kept: times, extended attributes. So
    // is where a symlink leads, unless another name takes its place.
    let mut kept = extensions(before, link.is_some());
    let mut long_name = None;
    if !set_name(&mut header, name) {
        // One block holds several records.
        match pax_record(b"path", name) {
            Some(record) => kept.records.extend(record),
            None => long_name = Some(name),
        }
    }
    if let Some(link) = link {
        set_text(&mut header.as_old_mut().linkname, link);
        if link.len() > NAME_FIELD {
            match pax_record(b"linkpath", link) {
                Some(record) => kept.records.extend(record),
                None => kept.long_link = Some([link, b"\0"].concat()),
            }
        }
        header.set_size(0);
        clear_sparse(&mut header);
        header.set_entry_type(EntryType::Link);
    }
    if !kept.records.is_empty() {
        push_extension(&mut new, EntryType::XHeader, b"PaxHeaders/x", &kept.records);
    }
    if let Some(target) = kept.long_link {
        push_extension(&mut new, EntryType::GNULongLink, b"././@LongLink", &target);
    }
    if let Some(name) = long_name {
        push_extension(&mut new, EntryType::GNULongName, b"././@LongLink", &[name, b"\0"].concat());
    }
    header.set_cksum();
    new.extend_from_slice(header.as_bytes());
    if link.is_none() {
        new.extend_from_slice(behind);
    }
    new
}

/// Makes the group of a directory that engines would make by themselves, since
/// something is in it: everybody may look, root may write.
pub fn directory(path: &[u8]) -> Vec<u8> {
    let name = [path, b"/"].concat();
    let mut group = Vec::new();
    if name.len() > NAME_FIELD {
        let long = [&name[..], b"\0"].concat();
        push_extension(&mut group, EntryType::GNULongName, b"././@LongLink", &long);
    }
    let mut header = Header::new_gnu();
    set_text(&mut header.as_old_mut().name, &name);
    header.set_entry_type(EntryType::Directory);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header.set_cksum();
    group.extend_from_slice(header.as_bytes());
    group
}

/// Makes the group of an entry whose content gets another size; all else of
/// it stays. A sparse file becomes one without holes.
pub fn resize(group: &[u8], size: u64) -> Vec<u8> {
    let (mut blocks, block, _) = parts(group);
    let mut new = Vec::new();
    // A PAX record of the old size would win over the header's field.
    while let Some(extension) = Extension::first(blocks) {
        blocks = extension.rest;
        if extension.kind == EntryType::XHeader {
            let mut real_name = None;
            let mut records = pax_records(extension.data, |record| {
                if let Some(name) = record.strip_prefix(b"GNU.sparse.name=") {
                    real_name = name.strip_suffix(b"\n").and_then(|name| pax_record(b"path", name));
                }
                !record.starts_with(b"size=") && !record.starts_with(b"GNU.sparse.")
            });
            if let Some(name) = real_name {
                // The one that is there is a made-up name.
                records = pax_records(&records, |record| !record.starts_with(b"path="));
                records.extend(name);
            }
            if !records.is_empty() {
                push_extension(&mut new, EntryType::XHeader, b"PaxHeaders/x", &records);
            }
        } else {
            new.extend_from_slice(extension.whole);
        }
    }
    let mut header = Header::from_byte_slice(block).clone();
    clear_sparse(&mut header);
    header.set_size(size);
    header.set_cksum();
    new.extend_from_slice(header.as_bytes());
    new
}

/// Makes an old GNU sparse file's header an ordinary one.
fn clear_sparse(header: &mut Header) {
    if header.entry_type() != EntryType::GNUSparse {
        return;
    }
    header.set_entry_type(EntryType::Regular);
    if let Some(gnu) = header.as_gnu_mut() {
        for piece in &mut gnu.sparse {
            piece.offset.fill(0);
            piece.numbytes.fill(0);
        }
        gnu.isextended.fill(0);
        gnu.realsize.fill(0);
    }
}

/// A group's extension blocks, its header block, and what is behind that.
fn parts(group: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let mut rest = group;
    while let Some(extension) = Extension::first(rest) {
        rest = extension.rest;
    }
    let (before, rest) = group.split_at(group.len() - rest.len());
    let (block, behind) = rest.split_at(rest.len().min(BLOCK as usize));
    (before, block, behind)
}

/// Whether a header is one of the extension blocks of the entry after it.
pub fn is_extension(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::XHeader
            | EntryType::XGlobalHeader
            | EntryType::GNULongName
            | EntryType::GNULongLink
    )
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
    /// The first of these blocks; none when another one comes, or none.
    fn first(blocks: &'a [u8]) -> Option<Self> {
        let (block, after) = blocks.split_at_checked(BLOCK as usize)?;
        let header = Header::from_byte_slice(block);
        if !is_extension(header.entry_type()) {
            return None;
        }
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
                    let starts =
                        |keys: &[&str]| keys.iter().any(|key| record.starts_with(key.as_bytes()));
                    let of_name = starts(&["path=", "GNU.sparse.name="]);
                    !(of_name || for_link && starts(&["linkpath=", "size=", "GNU.sparse."]))
                }));
            }
            _ => {}
        }
    }
    kept
}

/// Bytes of a header's fields for names.
const NAME_FIELD: usize = 100;

/// Puts a name into a header; false if it does not fit and an extension must
/// carry it.
fn set_name(header: &mut Header, name: &[u8]) -> bool {
    set_text(&mut header.as_old_mut().name, name);
    // What a ustar prefix holds belongs to the old name.
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.prefix.fill(0);
    }
    if name.len() <= NAME_FIELD {
        return true;
    }
    // POSIX splits longer ones at a slash. A GNU header can become a POSIX
    // one if it holds nothing of its own: neither times nor binary numbers.
    let bytes = header.as_bytes();
    let plain = bytes[345..].iter().all(|&byte| byte == 0)
        && bytes[100..148].iter().all(|&byte| byte < 0x80);
    if !plain {
        return false;
    }
    let split = (1..name.len().min(PREFIX_FIELD + 1))
        .find(|&at| name[at] == b'/' && (1..=NAME_FIELD).contains(&(name.len() - at - 1)));
    let Some(at) = split else { return false };
    if let Some(gnu) = header.as_gnu_mut() {
        (gnu.magic, gnu.version) = (*b"ustar\0", *b"00");
    }
    let Some(ustar) = header.as_ustar_mut() else { return false };
    set_text(&mut ustar.prefix, &name[..at]);
    set_text(&mut ustar.name, &name[at + 1..]);
    true
}

/// Bytes of a POSIX header's field for the first part of a name.
const PREFIX_FIELD: usize = 155;

/// A PAX record, `LENGTH KEY=VALUE\n` with the length counting itself; none
/// for a value that is not UTF-8, which not every reader takes.
fn pax_record(key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(value).ok()?;
    let rest = [b" ", key, b"=", value, b"\n"].concat();
    let digits = |len: usize| len.to_string().len();
    let mut len = rest.len() + digits(rest.len());
    if digits(len) + rest.len() != len {
        len = rest.len() + digits(len);
    }
    Some([len.to_string().as_bytes(), &rest].concat())
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
