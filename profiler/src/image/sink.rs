//! Pieces that all outputs share: writing layers, and files that appear only
//! when they are whole.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::blob::{digest_of, digest_text};
use super::header::{BLOCK, padded};
use super::select::{Content, Selection, Source};
use super::{ImageError, Reference, SourceImage, config};
use crate::files;

/// A writer that hashes and counts what passes.
#[derive(Debug)]
pub struct Hashed<W> {
    inner: W,
    hash: Sha256,
    /// Bytes so far.
    pub bytes: u64,
}

impl<W: Write> Hashed<W> {
    /// Around a writer.
    pub fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// The digest, and the writer again.
    pub fn finish(self) -> (String, W) {
        (digest_text(self.hash), self.inner)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.inner.write(bytes)?;
        self.hash.update(&bytes[..len]);
        self.bytes += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A writer at a place of a file that others write to at other places.
#[derive(Debug)]
pub struct At<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> At<'a> {
    /// From this byte of the file on.
    pub fn new(file: &'a File, at: u64) -> Self {
        Self { file, at }
    }
}

impl Write for At<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.file.write_at(bytes, self.at)?;
        self.at += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a layer as a plain tar.
///
/// # Errors
/// When an entry cannot be read or the tar not written to `shown`.
pub fn write_layer(
    layer: &Selection<'_>,
    writer: &mut impl Write,
    shown: &Path,
) -> Result<(), ImageError> {
    let zeros = [0; 2 * BLOCK as usize];
    for item in &layer.items {
        let own;
        let header = match &item.header {
            Some(header) => header,
            None => {
                own = item
                    .layer
                    .header(&item.layer.entries[item.entry])
                    .map_err(ImageError::io("read", "a layer's headers"))?;
                &own
            }
        };
        writer.write_all(header).map_err(ImageError::io("write", shown))?;
        let len = match &item.content {
            None => continue,
            Some(Content::Bytes(bytes)) => {
                writer.write_all(bytes).map_err(ImageError::io("write", shown))?;
                bytes.len() as u64
            }
            Some(Content::Entry(entry)) => {
                let entry = &item.layer.entries[*entry];
                // Links and devices have none, and may not even be opened
                // where the content lies on disk.
                if entry.size == 0 {
                    continue;
                }
                let mut reader = item.layer.content(entry)?;
                copy(&mut reader, writer, entry.size, shown)?;
                entry.size
            }
        };
        let padding = (padded(len) - len) as usize;
        writer.write_all(&zeros[..padding]).map_err(ImageError::io("write", shown))?;
    }
    writer.write_all(&zeros).map_err(ImageError::io("write", shown))
}

/// Copies exactly `len` bytes.
fn copy(
    reader: &mut impl io::Read,
    writer: &mut impl Write,
    len: u64,
    shown: &Path,
) -> Result<(), ImageError> {
    let mut chunk = [0; 64 * 1024];
    let mut left = len;
    while left > 0 {
        let want = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match reader.read(&mut chunk[..want]) {
            Ok(0) => {
                return Err(ImageError::damaged(
                    "a layer",
                    format!("{left} bytes of a file are missing"),
                ));
            }
            Ok(read) => {
                writer.write_all(&chunk[..read]).map_err(ImageError::io("write", shown))?;
                left -= read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImageError::io("read", "a layer")(error)),
        }
    }
    Ok(())
}

/// The tar of a layer that keeps nothing, for images that would have none.
pub const EMPTY_LAYER: [u8; 2 * BLOCK as usize] = [0; 2 * BLOCK as usize];

/// The new config for layers that were written, and its digest.
///
/// # Errors
/// When the source's config cannot be edited.
pub fn new_config(
    image: &SourceImage,
    layers: &[Selection<'_>],
    diff_ids: &[String],
) -> Result<(Vec<u8>, String), ImageError> {
    let sources: Vec<&Source> = layers.iter().map(|layer| &layer.source).collect();
    let config = config::with_layers(&image.reference, &image.config, diff_ids, &sources)?;
    let digest = digest_of(&config);
    Ok((config, digest))
}

/// Fails if a file exists that may not be replaced.
///
/// # Errors
/// [`ImageError::Exists`].
pub fn check_file(output: &Reference, force: bool) -> Result<(), ImageError> {
    if !force && Path::new(&output.name).exists() {
        return Err(ImageError::Exists(output.to_string()));
    }
    Ok(())
}

/// A file that will appear as `path` when it is whole.
///
/// # Errors
/// When its directory cannot be written.
pub fn beside(path: &Path) -> Result<NamedTempFile, ImageError> {
    files::beside(path).map_err(ImageError::io("write", path))
}

/// Makes the file of [`beside`] appear.
///
/// # Errors
/// When it cannot be flushed or renamed; it is removed then.
pub fn appear(file: NamedTempFile, path: &Path) -> Result<(), ImageError> {
    files::appear(file, path).map_err(ImageError::io("write", path))
}

/// Appends a file to a tar with a header that is the same on every machine.
///
/// # Errors
/// When it cannot be written.
pub fn append(writer: &mut impl Write, name: &str, len: u64, directory: bool) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(len);
    header.set_mode(if directory { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(if directory {
        tar::EntryType::Directory
    } else {
        tar::EntryType::Regular
    });
    header.set_cksum();
    writer.write_all(header.as_bytes())
}

/// Fills the last block of a file of `len` bytes.
///
/// # Errors
/// When it cannot be written.
pub fn pad(writer: &mut impl Write, len: u64) -> io::Result<()> {
    writer.write_all(&EMPTY_LAYER[..(padded(len) - len) as usize])
}
