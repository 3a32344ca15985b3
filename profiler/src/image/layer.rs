//! One layer: an index of its entries over bytes that are read at random.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use tar::EntryType;

use super::blob::{Blob, digest_of, digest_text};
use super::entry::{Entry, EntryKind, normalize};
use super::header::{BLOCK, Extensions, padded};
use super::{ImageError, ReadSeek};

/// Longest extension block that is taken for one.
const EXTENSION_MAX: u64 = 1 << 20;

/// A layer of an opened image.
#[derive(Debug)]
pub struct Layer {
    /// Digest of the uncompressed layer.
    pub diff_id: String,
    /// Its entries in order.
    pub(super) entries: Vec<Entry>,
    /// Header groups, and content unless `contents` says otherwise.
    pub(super) backing: Blob,
    /// Directory that holds the content under the entries' paths.
    pub(super) contents: Option<PathBuf>,
}

impl Layer {
    /// Indexes a layer that is a plain tar.
    ///
    /// # Errors
    /// [`ImageError::Damaged`] when it is none or is cut short.
    pub(super) fn from_tar(image: &str, diff_id: &str, backing: Blob) -> Result<Self, ImageError> {
        let entries = index(image, &backing)?;
        Ok(Self { diff_id: diff_id.into(), entries, backing, contents: None })
    }

    /// Indexes a layer blob of any compression this program reads. A
    /// compressed one is unpacked to an unnamed temporary file, and its digest
    /// checked on the way.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub(super) fn from_blob(image: &str, diff_id: &str, blob: Blob) -> Result<Self, ImageError> {
        let magic =
            blob.part(0, 4).read_all(4).map_err(|e| ImageError::damaged(image, e.to_string()))?;
        if magic == [0x28, 0xb5, 0x2f, 0xfd] {
            return Err(ImageError::Unsupported {
                image: image.into(),
                what: "zstd compression of layers".into(),
                next: "; copy it with `skopeo copy --dest-compress-format gzip`".into(),
            });
        }
        if !magic.starts_with(&[0x1f, 0x8b]) {
            return Self::from_tar(image, diff_id, blob);
        }
        let mut file = tempfile::tempfile()
            .map_err(ImageError::io("create a temporary file in", std::env::temp_dir()))?;
        let mut hash = Sha256::new();
        let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(1 << 18, blob.reader()));
        let mut chunk = vec![0; 1 << 18];
        loop {
            let len = match decoder.read(&mut chunk) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) => {
                    return Err(ImageError::damaged(image, format!("layer {diff_id}: {error}")));
                }
            };
            hash.update(&chunk[..len]);
            file.write_all(&chunk[..len])
                .map_err(ImageError::io("write a temporary file in", std::env::temp_dir()))?;
        }
        let found = digest_text(hash);
        if found != diff_id {
            return Err(ImageError::DigestMismatch {
                image: image.into(),
                what: "an unpacked layer".into(),
                expected: diff_id.into(),
                found,
            });
        }
        let backing = Blob::whole(file)
            .map_err(ImageError::io("read a temporary file in", std::env::temp_dir()))?;
        Self::from_tar(image, diff_id, backing)
    }

    /// A layer that this program made, from a plain tar.
    ///
    /// # Errors
    /// When no temporary file can be written, or it is no tar.
    pub fn made(tar: &[u8]) -> Result<Self, ImageError> {
        let failed = || ImageError::io("write a temporary file in", std::env::temp_dir());
        let mut file = tempfile::tempfile().map_err(failed())?;
        file.write_all(tar).map_err(failed())?;
        let backing = Blob::whole(file).map_err(failed())?;
        Self::from_tar("a layer made here", &digest_of(tar), backing)
    }

    /// An entry's header group as it stands.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn header(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        self.backing.part(entry.header, entry.header_len).read_all(8 * EXTENSION_MAX)
    }

    /// A regular file's content.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn content(&self, entry: &Entry) -> Result<Box<dyn ReadSeek>, ImageError> {
        let Some(directory) = &self.contents else {
            return Ok(Box::new(self.backing.part(entry.data, entry.size).reader()));
        };
        let path = Path::new(std::ffi::OsStr::from_bytes(&entry.path));
        let shown = directory.join(path);
        let file = open_beneath(directory, path).map_err(ImageError::io("read", &shown))?;
        let len = file.metadata().map_err(ImageError::io("read", &shown))?.len();
        if len != entry.size {
            return Err(ImageError::damaged(
                shown.display().to_string(),
                format!("{len} bytes on disk, {} in the layer", entry.size),
            ));
        }
        Ok(Box::new(file))
    }
}

/// Opens a file below a directory, following no symlink: the names come from
/// a layer, and a layer may try to lead elsewhere.
fn open_beneath(directory: &Path, path: &Path) -> io::Result<File> {
    let root = File::open(directory)?;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: all zeros is a valid `open_how`.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOFOLLOW) as u64;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS;
    // SAFETY: the path is NUL-terminated and `how` has the size given.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor just opened, owned by nobody else.
    Ok(unsafe { File::from_raw_fd(fd as i32) })
}

/// Reads the headers of a plain tar, seeking over the contents.
fn index(image: &str, backing: &Blob) -> Result<Vec<Entry>, ImageError> {
    let mut parser = Parser::new(image);
    let mut reader = BufReader::with_capacity(4096, backing.reader());
    let mut at = 0;
    while at < backing.len {
        let mut block = [0; BLOCK as usize];
        reader.read_exact(&mut block).map_err(|_| {
            ImageError::damaged(image, format!("a layer ends within a header at byte {at}"))
        })?;
        // Two zero blocks end a tar; one is enough, as for GNU tar.
        if block.iter().all(|&byte| byte == 0) {
            return Ok(parser.entries);
        }
        let size = parser.header(&block, at, |size| {
            let mut data = vec![0; size as usize];
            reader.read_exact(&mut data)?;
            reader.seek_relative((padded(size) - size) as i64)?;
            Ok(data)
        })?;
        at += BLOCK + padded(size.total);
        if at > padded(backing.len) {
            return Err(ImageError::damaged(
                image,
                format!("a layer of {} bytes ends within a file", backing.len),
            ));
        }
        if size.unread > 0 {
            let unread = padded(size.unread);
            if unread < 64 * 1024 {
                reader.seek_relative(unread as i64)
            } else {
                reader.seek(SeekFrom::Start(at)).map(drop)
            }
            .map_err(|e| ImageError::damaged(image, e.to_string()))?;
        }
    }
    if parser.entries.is_empty() {
        return Err(ImageError::damaged(image, "a layer is empty"));
    }
    // Without the closing blocks: Docker reads such layers too.
    Ok(parser.entries)
}

/// How much content follows a header.
pub(super) struct Size {
    /// All of it.
    pub total: u64,
    /// What the parser did not read itself.
    pub unread: u64,
}

/// Turns header blocks into entries.
pub(super) struct Parser {
    image: String,
    extensions: Extensions,
    /// Where the current group began.
    group: Option<u64>,
    /// Bytes of padding due before the next header, for callers that are
    /// given headers alone.
    pub(super) skip_padding: u64,
    /// What was parsed so far.
    pub(super) entries: Vec<Entry>,
}

impl Parser {
    pub(super) fn new(image: &str) -> Self {
        Self {
            image: image.into(),
            extensions: Extensions::default(),
            group: None,
            skip_padding: 0,
            entries: Vec::new(),
        }
    }

    /// Takes in the header block at `at`; `read` gives the content of an
    /// extension block, which follows it.
    pub(super) fn header(
        &mut self,
        block: &[u8; BLOCK as usize],
        at: u64,
        read: impl FnOnce(u64) -> io::Result<Vec<u8>>,
    ) -> Result<Size, ImageError> {
        let damaged = |why: String| ImageError::damaged(&self.image, why);
        let header = tar::Header::from_byte_slice(block);
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(i, &b)| if (148..156).contains(&i) { 32 } else { u32::from(b) })
            .sum();
        match header.cksum() {
            Ok(stored) if stored == sum => {}
            _ => return Err(damaged(format!("a layer has no tar header at byte {at}"))),
        }
        let field = |error: io::Error| damaged(format!("header at byte {at}: {error}"));
        let size = header.entry_size().map_err(field)?;
        let kind = header.entry_type();
        if matches!(
            kind,
            EntryType::XHeader
                | EntryType::XGlobalHeader
                | EntryType::GNULongName
                | EntryType::GNULongLink
        ) {
            if size > EXTENSION_MAX {
                return Err(damaged(format!("an extension header of {size} bytes at byte {at}")));
            }
            let data = read(size).map_err(|e| damaged(format!("header at byte {at}: {e}")))?;
            let text = || data.split(|&b| b == 0).next().unwrap_or_default().to_vec();
            match kind {
                EntryType::XHeader => self.extensions.add_pax(&data).map_err(|e| {
                    ImageError::damaged(&self.image, format!("PAX records at byte {at}: {e}"))
                })?,
                EntryType::GNULongName => self.extensions.path = Some(text()),
                EntryType::GNULongLink => self.extensions.link = Some(text()),
                // Comments of git and the like; none of the attributes that
                // layers carry come this way.
                _ => return Ok(Size { total: size, unread: 0 }),
            }
            self.group.get_or_insert(at);
            return Ok(Size { total: size, unread: 0 });
        }
        let extensions = std::mem::take(&mut self.extensions);
        let start = self.group.take().unwrap_or(at);
        if kind == EntryType::GNUSparse || extensions.sparse {
            return Err(ImageError::Unsupported {
                image: self.image.clone(),
                what: format!("a sparse file at byte {at} of a layer"),
                next: "; build the image again without sparse files".into(),
            });
        }
        let size = extensions.size.unwrap_or(size);
        let name = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = || {
            extensions
                .link
                .clone()
                .or_else(|| header.link_name_bytes().map(|name| name.into_owned()))
                .unwrap_or_default()
        };
        let (kind, size) = match kind {
            EntryType::Directory => (EntryKind::Dir, size),
            EntryType::Symlink => (EntryKind::Symlink(link()), size),
            EntryType::Link => (EntryKind::Hardlink(normalize(&link())), size),
            EntryType::Char => (EntryKind::Char, size),
            EntryType::Block => (EntryKind::Block, size),
            EntryType::Fifo => (EntryKind::Fifo, size),
            // Version 7 tar marks directories by a slash alone.
            _ if name.ends_with(b"/") => (EntryKind::Dir, size),
            _ => (EntryKind::File, size),
        };
        self.entries.push(Entry {
            path: normalize(&name),
            kind,
            mode: header.mode().map_err(field)? & 0o7777,
            uid: extensions.uid.map_or_else(|| header.uid(), Ok).map_err(field)?,
            gid: extensions.gid.map_or_else(|| header.gid(), Ok).map_err(field)?,
            size,
            header: start,
            header_len: at + BLOCK - start,
            data: at + BLOCK,
        });
        Ok(Size { total: size, unread: size })
    }
}
