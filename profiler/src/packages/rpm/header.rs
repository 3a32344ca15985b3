//! RPM headers, as databases hold them.
//!
//! Format: RPM's file format, "Header" (the eight bytes of magic before it are
//! left out in databases); numbers are big-endian.
//!
//! ```text
//! u32  number of index entries
//! u32  bytes of data
//! entries: u32 tag, u32 type, u32 offset into the data, u32 count
//! data
//! ```

/// Tags this program reads. Source: RPM's `rpmtag.h`.
mod tag {
    pub const NAME: u32 = 1000;
    pub const VERSION: u32 = 1001;
    pub const RELEASE: u32 = 1002;
    pub const EPOCH: u32 = 1003;
    pub const LICENSE: u32 = 1014;
    pub const ARCH: u32 = 1022;
    pub const FILE_MODES: u32 = 1030;
    pub const FILE_FLAGS: u32 = 1037;
    pub const SOURCE_RPM: u32 = 1044;
    pub const DIR_INDEXES: u32 = 1116;
    pub const BASE_NAMES: u32 = 1117;
    pub const DIR_NAMES: u32 = 1118;
}

/// The package's licence texts, and what it only promises to own. Source:
/// RPM's `rpmfiles.h`.
const GHOST: u32 = 1 << 6;
const LICENSE_FILE: u32 = 1 << 7;

/// No header has more entries or data: RPM's own limits.
const ENTRIES_MAX: usize = 0xffff;
const DATA_MAX: usize = 256 << 20;

/// What a header says of a package.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Version and release: `5.1-2.fc36`.
    pub version: String,
    /// Epoch, where there is one.
    pub epoch: Option<u32>,
    /// Architecture.
    pub architecture: String,
    /// File name of the source package.
    pub source: Option<String>,
    /// Licence.
    pub license: Option<String>,
    /// Its files.
    pub files: Vec<File>,
}

/// A path of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Absolute path.
    pub path: Vec<u8>,
    /// Whether it is a directory.
    pub directory: bool,
    /// Whether it is not payload: a licence's text, or a file that the
    /// package owns but does not bring.
    pub about: bool,
}

/// Reads a header; none when it is cut short or has no name.
pub fn parse(bytes: &[u8]) -> Option<Header> {
    let index = Index::new(bytes)?;
    let text = |tag| index.strings(tag).and_then(|mut all| all.next()).map(shown);
    let (version, release) = (text(tag::VERSION)?, text(tag::RELEASE)?);
    let header = Header {
        name: text(tag::NAME)?,
        version: format!("{version}-{release}"),
        epoch: index.numbers(tag::EPOCH, 4).and_then(|all| all.first().copied()),
        architecture: text(tag::ARCH).unwrap_or_default(),
        source: text(tag::SOURCE_RPM),
        license: text(tag::LICENSE),
        files: files(&index),
    };
    Some(header)
}

/// The file list: base names, each with the number of its directory.
fn files(index: &Index<'_>) -> Vec<File> {
    let directories: Vec<&[u8]> = index.strings(tag::DIR_NAMES).into_iter().flatten().collect();
    let places = index.numbers(tag::DIR_INDEXES, 4).unwrap_or_default();
    let modes = index.numbers(tag::FILE_MODES, 2).unwrap_or_default();
    let flags = index.numbers(tag::FILE_FLAGS, 4).unwrap_or_default();
    let names = index.strings(tag::BASE_NAMES).into_iter().flatten().enumerate();
    names
        .filter_map(|(at, name)| {
            let directory = directories.get(*places.get(at)? as usize)?;
            let is_directory = modes.get(at).is_some_and(|mode| mode & 0o170_000 == 0o040_000);
            let flags = flags.get(at).copied().unwrap_or_default();
            Some(File {
                path: [directory, name].concat(),
                directory: is_directory,
                about: flags & (GHOST | LICENSE_FILE) != 0,
            })
        })
        .collect()
}

/// The two parts of a header, their lengths checked.
struct Index<'a> {
    entries: &'a [u8],
    data: &'a [u8],
}

impl<'a> Index<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let count = word(bytes, 0)? as usize;
        let len = word(bytes, 4)? as usize;
        if count > ENTRIES_MAX || len > DATA_MAX {
            return None;
        }
        let entries = bytes.get(8..8 + 16 * count)?;
        let data = bytes.get(8 + 16 * count..)?.get(..len)?;
        Some(Self { entries, data })
    }

    /// Data from where a tag's begins, and how many values it has.
    fn find(&self, tag: u32) -> Option<(&'a [u8], usize)> {
        let entry = self.entries.chunks_exact(16).find(|entry| word(entry, 0) == Some(tag))?;
        Some((self.data.get(word(entry, 8)? as usize..)?, word(entry, 12)? as usize))
    }

    fn strings(&self, tag: u32) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        let (data, count) = self.find(tag)?;
        Some(data.split(|&byte| byte == 0).take(count))
    }

    fn numbers(&self, tag: u32, width: usize) -> Option<Vec<u32>> {
        let (data, count) = self.find(tag)?;
        let data = data.get(..count.checked_mul(width)?)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        Some(data.chunks_exact(width).map(number).collect())
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
