//! Reading a layer: its headers, and the contents that will be wanted.
//!
//! A plain tar is indexed where it lies, seeking over the contents. A
//! compressed one is unpacked in one pass: headers and likely contents go to
//! an unnamed temporary file, the rest nowhere. What was left out and is
//! wanted after all is had by a second pass.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};

use sha2::{Digest as _, Sha256};

use super::ImageError;
use super::blob::{Blob, digest_text};
use super::compression::Compression;
use super::entry::Entry;
use super::header::{BLOCK, padded};
use super::parser::Parser;
use crate::progress::{Counted, Progress};

/// Says whether the content of a path (no leading slash) with that many bytes
/// is likely to be wanted.
pub type Likely<'a> = dyn Fn(&[u8], u64) -> bool + Sync + 'a;

/// Bytes unpacked at once: small enough for the processor's cache.
const CHUNK: usize = 1 << 17;

/// Reads the headers of a plain tar, seeking over the contents.
///
/// # Errors
/// [`ImageError::Damaged`] when it is no tar or is cut short.
pub fn index(image: &str, backing: &Blob) -> Result<Vec<Entry>, ImageError> {
    let mut parser = Parser::new(image);
    let mut reader = BufReader::with_capacity(4096, backing.reader());
    let mut at = 0;
    while at < backing.len {
        let mut block = [0; BLOCK as usize];
        reader.read_exact(&mut block).map_err(|_| cut(image, at))?;
        // Two zero blocks end a tar; one is enough, as for GNU tar.
        if block.iter().all(|&byte| byte == 0) {
            return Ok(parser.entries);
        }
        let step = parser.header(&block, at, |size| {
            let mut data = vec![0; size as usize];
            reader.read_exact(&mut data)?;
            reader.seek_relative((padded(size) - size) as i64)?;
            Ok(data)
        })?;
        let content = padded(step.content);
        at = at.saturating_add(step.blocks).saturating_add(content);
        if at > padded(backing.len) {
            return Err(ImageError::damaged(
                image,
                format!("a layer of {} bytes ends within a file", backing.len),
            ));
        }
        if content < 64 * 1024 {
            reader.seek_relative(content as i64)
        } else {
            reader.seek(SeekFrom::Start(at)).map(drop)
        }
        .map_err(|e| ImageError::damaged(image, e.to_string()))?;
    }
    finished(image, parser)
}

fn cut(image: &str, at: u64) -> ImageError {
    ImageError::damaged(image, format!("a layer ends within a header at byte {at}"))
}

/// Without the closing blocks: Docker reads such layers too.
fn finished(image: &str, parser: Parser) -> Result<Vec<Entry>, ImageError> {
    if parser.entries.is_empty() {
        return Err(ImageError::damaged(image, "a layer is empty"));
    }
    Ok(parser.entries)
}

/// A layer that was unpacked.
pub struct Unpacked {
    /// Its entries, placed in `backing`.
    pub entries: Vec<Entry>,
    /// Header groups and the likely contents.
    pub backing: Blob,
}

/// Unpacks a compressed layer. `diff_id`, where given, is checked; the tar's
/// end is read for that alone. The compressed bytes are counted.
///
/// # Errors
/// See [`ImageError`].
pub fn unpack(
    image: &str,
    blob: &Blob,
    compression: Compression,
    diff_id: Option<&str>,
    likely: &Likely<'_>,
    progress: Option<&Progress>,
) -> Result<Unpacked, ImageError> {
    let mut source = Source::open(image, blob, compression, diff_id.is_some(), progress)?;
    let mut parser = Parser::new(image);
    let mut spill = Spill::new()?;
    loop {
        let mut block = [0; BLOCK as usize];
        let at = source.at;
        if source.at_end()? {
            break;
        }
        source.exact(&mut block).map_err(|_| cut(image, at))?;
        if block.iter().all(|&byte| byte == 0) {
            break;
        }
        // Where errors say it is; where it really lies is put in below.
        let (known, mut following) = (parser.entries.len(), Vec::new());
        let step = parser.header(&block, at, |size| {
            let from = following.len();
            following.resize(from + padded(size) as usize, 0);
            source.exact(&mut following[from..])?;
            Ok(following[from..from + size as usize].to_vec())
        })?;
        spill.write(&block)?;
        spill.write(&following)?;
        let content = step.content;
        let Some(entry) = parser.entries.get_mut(known) else { continue };
        entry.header = spill.at - entry.header_len;
        if content == 0 {
            entry.data = spill.at;
        } else if likely(&entry.path, entry.size) {
            entry.data = spill.at;
            source.pass(content, |bytes| spill.write(bytes))?;
        } else {
            entry.left_out = true;
            source.pass(content, |_| Ok(()))?;
        }
        // Missing padding of the last entry is no loss.
        source.pass_most(padded(content) - content)?;
    }
    if parser.entries.is_empty() && source.at == 0 {
        finished(image, Parser::new(image))?;
    }
    if let Some(diff_id) = diff_id {
        source.pass_most(u64::MAX)?;
        let found = source.hash.map(digest_text).unwrap_or_default();
        if found != diff_id {
            return Err(ImageError::DigestMismatch {
                image: image.into(),
                what: "an unpacked layer".into(),
                expected: diff_id.into(),
                found,
            });
        }
    }
    Ok(Unpacked { entries: parser.entries, backing: spill.finish()? })
}

/// Unpacks all of a layer, which was read before, as a tar.
///
/// # Errors
/// See [`ImageError`].
pub fn whole(image: &str, blob: &Blob, compression: Compression) -> Result<Blob, ImageError> {
    let mut source = Source::open(image, blob, compression, false, None)?;
    let mut spill = Spill::new()?;
    while !source.at_end()? {
        source.pass(1, |bytes| spill.write(bytes))?;
        let ready = source.reader.buffer().len() as u64;
        source.pass(ready, |bytes| spill.write(bytes))?;
    }
    spill.finish()
}

/// The plain bytes of a layer, from first to last.
struct Source<'a> {
    image: &'a str,
    reader: BufReader<Box<dyn Read + Send + 'a>>,
    /// Bytes so far.
    at: u64,
    /// Of what passed, where somebody wants to know.
    hash: Option<Sha256>,
}

impl<'a> Source<'a> {
    fn open(
        image: &'a str,
        blob: &Blob,
        compression: Compression,
        hashed: bool,
        progress: Option<&'a Progress>,
    ) -> Result<Self, ImageError> {
        let reader = compression
            .reader(Counted::new(blob.reader(), progress), !hashed)
            .map_err(|error| ImageError::damaged(image, error.to_string()))?;
        let reader = BufReader::with_capacity(CHUNK, reader);
        Ok(Self { image, reader, at: 0, hash: hashed.then(Sha256::new) })
    }

    fn damaged(&self, error: &io::Error) -> ImageError {
        let why = format!("a layer cannot be unpacked at byte {}: {error}", self.at);
        ImageError::damaged(self.image, why)
    }

    fn at_end(&mut self) -> Result<bool, ImageError> {
        loop {
            match self.reader.fill_buf() {
                Ok(bytes) => return Ok(bytes.is_empty()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.damaged(&error)),
            }
        }
    }

    fn exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.reader.read_exact(bytes)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&*bytes);
        }
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Hands on exactly that many bytes.
    fn pass(
        &mut self,
        len: u64,
        mut to: impl FnMut(&[u8]) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let left = self.pass_up_to(len, &mut to)?;
        if left == 0 {
            return Ok(());
        }
        let why = format!("a layer of {} bytes ends within a file", self.at);
        Err(ImageError::damaged(self.image, why))
    }

    /// Passes over that many bytes, or what there is.
    fn pass_most(&mut self, len: u64) -> Result<(), ImageError> {
        self.pass_up_to(len, &mut |_| Ok(())).map(drop)
    }

    /// Returns how many bytes were not there.
    fn pass_up_to(
        &mut self,
        len: u64,
        to: &mut impl FnMut(&[u8]) -> Result<(), ImageError>,
    ) -> Result<u64, ImageError> {
        let mut left = len;
        while left > 0 {
            if self.at_end()? {
                return Ok(left);
            }
            let bytes = self.reader.buffer();
            let now = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if let Some(hash) = &mut self.hash {
                hash.update(&bytes[..now]);
            }
            to(&bytes[..now])?;
            self.reader.consume(now);
            self.at += now as u64;
            left -= now as u64;
        }
        Ok(0)
    }
}

/// The temporary file that a layer is unpacked to. It has no name, so that it
/// is gone with this process, whatever ends that.
struct Spill {
    writer: BufWriter<File>,
    /// Bytes so far.
    at: u64,
}

impl Spill {
    fn new() -> Result<Self, ImageError> {
        let file = tempfile::tempfile().map_err(ImageError::temporary)?;
        Ok(Self { writer: BufWriter::with_capacity(CHUNK, file), at: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.at += bytes.len() as u64;
        self.writer.write_all(bytes).map_err(ImageError::temporary)
    }

    fn finish(self) -> Result<Blob, ImageError> {
        let file =
            self.writer.into_inner().map_err(|error| ImageError::temporary(error.into_error()))?;
        Blob::whole(file).map_err(ImageError::temporary)
    }
}
