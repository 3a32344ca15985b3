//! Bytes at a place in a file, read at random.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::ImageError;
use crate::progress::{Counted, Progress};

/// Part of a file that several readers share.
#[derive(Debug, Clone)]
pub struct Blob {
    /// The file.
    pub file: Arc<File>,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

impl Blob {
    /// A whole file.
    ///
    /// # Errors
    /// When its size cannot be asked for.
    pub fn whole(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), offset: 0, len })
    }

    /// A part of this part; cut to what is there.
    pub fn part(&self, offset: u64, len: u64) -> Self {
        let offset = offset.min(self.len);
        Self {
            file: Arc::clone(&self.file),
            offset: self.offset + offset,
            len: len.min(self.len - offset),
        }
    }

    /// A reader from its first byte.
    pub fn reader(&self) -> BlobReader {
        BlobReader { blob: self.clone(), at: 0 }
    }

    /// All of it; for small ones.
    ///
    /// # Errors
    /// When it is larger than `limit` or cannot be read.
    pub fn read_all(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.len > limit {
            let why = format!("{} bytes, more than the {limit} expected at most", self.len);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let mut bytes = vec![0; self.len as usize];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        Ok(bytes)
    }
}

/// Fails unless a blob has the digest it should have. `what` it is goes into
/// the error. Its bytes are counted.
///
/// # Errors
/// [`ImageError::DigestMismatch`], or that it cannot be read.
pub fn verify(
    image: &str,
    what: &str,
    digest: &str,
    blob: &Blob,
    progress: Option<&Progress>,
) -> Result<(), ImageError> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 17];
    let mut reader = Counted::new(blob.reader(), progress);
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => hash.update(&chunk[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImageError::damaged(image, format!("{what}: {error}"))),
        }
    }
    let found = digest_text(hash);
    if found == digest {
        return Ok(());
    }
    Err(ImageError::DigestMismatch {
        image: image.into(),
        what: what.into(),
        expected: digest.into(),
        found,
    })
}

/// A finished hash as digests are written.
pub fn digest_text(hash: Sha256) -> String {
    format!("sha256:{}", hex::encode(hash.finalize()))
}

/// `sha256:…` of bytes in memory.
pub fn digest_of(bytes: &[u8]) -> String {
    digest_text(Sha256::new().chain_update(bytes))
}

/// See [`Blob::reader`].
#[derive(Debug)]
pub struct BlobReader {
    blob: Blob,
    at: u64,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.blob.len.saturating_sub(self.at);
        // A place beyond the end, however far: what a file says of itself leads
        // anywhere.
        if left == 0 {
            return Ok(0);
        }
        let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.blob.file.read_at(&mut buffer[..len], self.blob.offset + self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for BlobReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.blob.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn far_beyond_the_end_there_is_nothing() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut reader = Blob::whole(file).unwrap().part(3, 4).reader();
        reader.seek(SeekFrom::Start(u64::MAX)).unwrap();
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
        reader.seek(SeekFrom::Start(2)).unwrap();
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"56");
    }
}
