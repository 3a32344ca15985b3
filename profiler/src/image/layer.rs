//! One layer: an index of its entries over bytes that are read at random.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::blob::{Blob, digest_of};
use super::compression::Compression;
use super::entry::Entry;
use super::parser::GROUP_MAX;
use super::unpack::{self, index, unpack};
use super::{ImageError, OpenOptions, ReadSeek};

/// A layer of an opened image.
#[derive(Debug)]
pub struct Layer {
    /// Digest of the uncompressed layer.
    pub diff_id: String,
    /// Its entries in order.
    pub(super) entries: Vec<Entry>,
    /// Header groups, and content unless it is elsewhere.
    pub(super) backing: Blob,
    /// Where else it is.
    pub(super) contents: Contents,
}

/// Where the contents of a layer's files are.
#[derive(Debug)]
pub(super) enum Contents {
    /// Among the headers.
    Backing,
    /// In a directory, under the entries' paths.
    Directory(PathBuf),
    /// Among the headers, unless they were left out: then in the compressed
    /// layer.
    Packed(Packed),
}

/// The compressed layer that contents were left out of.
#[derive(Debug)]
pub(super) struct Packed {
    image: String,
    blob: Blob,
    compression: Compression,
    /// The blob's digest, where the image names it.
    digest: Option<String>,
    /// All of it as a tar, once something was missing.
    whole: Mutex<Option<Blob>>,
}

impl Packed {
    fn whole(&self) -> Result<Blob, ImageError> {
        let mut whole = self.whole.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(blob) = &*whole {
            return Ok(blob.clone());
        }
        log::debug!("{}: a layer is unpacked once more, for contents left out", self.image);
        let blob = unpack::whole(&self.image, &self.blob, self.compression)?;
        Ok(whole.insert(blob).clone())
    }
}

impl Layer {
    /// Indexes a layer that is a plain tar, whose digest is known to be right.
    ///
    /// # Errors
    /// [`ImageError::Damaged`] when it is none or is cut short.
    pub(super) fn from_tar(image: &str, diff_id: &str, backing: Blob) -> Result<Self, ImageError> {
        let entries = index(image, &backing)?;
        Ok(Self { diff_id: diff_id.into(), entries, backing, contents: Contents::Backing })
    }

    /// Unpacks a compressed layer; of its contents only the likely ones. If
    /// it has no `digest`, which others check, its diff ID is checked.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub(super) fn from_packed(
        image: &str,
        diff_id: &str,
        blob: Blob,
        compression: Compression,
        digest: Option<&str>,
        options: &OpenOptions<'_>,
    ) -> Result<Self, ImageError> {
        let everything = |_: &[u8], _: u64| true;
        let likely = options.likely.unwrap_or(&everything);
        let checked = digest.is_none().then_some(diff_id);
        let unpacked = unpack(image, &blob, compression, checked, likely, options.progress)?;
        let packed = Packed {
            image: image.into(),
            blob,
            compression,
            digest: digest.map(str::to_owned),
            whole: Mutex::new(None),
        };
        Ok(Self {
            diff_id: diff_id.into(),
            entries: unpacked.entries,
            backing: unpacked.backing,
            contents: Contents::Packed(packed),
        })
    }

    /// A layer that this program made, from a plain tar.
    ///
    /// # Errors
    /// When no temporary file can be written, or it is no tar.
    pub fn made(tar: &[u8]) -> Result<Self, ImageError> {
        let mut file = tempfile::tempfile().map_err(ImageError::temporary)?;
        file.write_all(tar).map_err(ImageError::temporary)?;
        let backing = Blob::whole(file).map_err(ImageError::temporary)?;
        Self::from_tar("a layer made here", &digest_of(tar), backing)
    }

    /// The compressed layer as it is stored, and its digest.
    pub(super) fn stored(&self) -> Option<(&Blob, &str, Compression)> {
        match &self.contents {
            Contents::Packed(packed) => {
                Some((&packed.blob, packed.digest.as_deref()?, packed.compression))
            }
            _ => None,
        }
    }

    /// An entry's header group as it stands.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn header(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        self.backing.part(entry.header, entry.header_len).read_all(2 * GROUP_MAX)
    }

    /// A regular file's content as it is stored: of a sparse one, what is no
    /// hole.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn content(&self, entry: &Entry) -> Result<Box<dyn ReadSeek>, ImageError> {
        let directory = match &self.contents {
            Contents::Directory(directory) => directory,
            Contents::Packed(packed) if entry.left_out => {
                return Ok(Box::new(packed.whole()?.part(entry.data, entry.size).reader()));
            }
            _ => return Ok(Box::new(self.backing.part(entry.data, entry.size).reader())),
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

    /// A regular file's content as programs see it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn expanded(&self, entry: &Entry) -> Result<Box<dyn ReadSeek>, ImageError> {
        let stored = self.content(entry)?;
        let Some(sparse) = &entry.sparse else { return Ok(stored) };
        let name = String::from_utf8_lossy(&entry.path);
        let expanded = sparse.expand(stored, entry.size).map_err(|error| {
            ImageError::damaged(format!("layer {}", self.diff_id), format!("{name}: {error}"))
        })?;
        Ok(Box::new(expanded))
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
