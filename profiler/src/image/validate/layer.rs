//! One layer: its bytes, what they unpack to, and the tar in that.

use std::io::{self, BufReader, Read};

use sha2::{Digest as _, Sha256};

use super::super::blob::{Blob, digest_text};
use super::finding::{Findings, Problem};
use super::media::Compression;
use super::tar::{self, RawEntry};

/// A reader that hashes and counts what passes.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// Reads to the end, so that the hash is of everything.
    fn drain(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.hash.update(&buffer[..len]);
        self.bytes += len as u64;
        Ok(len)
    }
}

/// What a layer should be.
pub struct Expected<'a> {
    /// Digest and size of the blob, where the transport says.
    pub blob: Option<(&'a str, u64)>,
    /// Media type, where the transport has them.
    pub media_type: Option<&'a str>,
    /// Digest of the unpacked layer.
    pub diff_id: Option<&'a str>,
}

/// Checks a layer in one pass over its bytes. Returns its entries; none when
/// they cannot be read.
pub fn check(
    place: &str,
    blob: &Blob,
    expected: &Expected<'_>,
    findings: &mut Findings,
) -> Option<Vec<RawEntry>> {
    let mut packed = Hashing::new(blob.reader());
    let compression = match Compression::found(blob) {
        Ok(compression) => compression,
        Err(error) => {
            findings.add(place, Problem::Missing(error.to_string()));
            return None;
        }
    };
    if let Some(media_type) = expected.media_type
        && let Some(declared) = Compression::declared(media_type)
        && declared != compression
    {
        findings.add(
            place,
            Problem::Compression {
                media_type: media_type.into(),
                expected: declared.name(),
                found: compression.name(),
            },
        );
    }
    let entries = match compression.unpack(&mut packed) {
        None => {
            findings.add(place, Problem::Unchecked("no decoder for it could be made"));
            None
        }
        Some(plain) => contents(place, plain, expected, findings),
    };
    if let Err(error) = packed.drain() {
        findings.add(place, Problem::Missing(error.to_string()));
        return None;
    }
    if let Some((digest, size)) = expected.blob {
        if packed.bytes != size {
            findings.add(place, Problem::Size { expected: size, found: packed.bytes });
        }
        let found = digest_text(packed.hash);
        if found != digest {
            findings.add(place, Problem::Digest { expected: digest.into(), found });
        }
    }
    entries
}

fn contents(
    place: &str,
    plain: Box<dyn Read + '_>,
    expected: &Expected<'_>,
    findings: &mut Findings,
) -> Option<Vec<RawEntry>> {
    let mut plain = Hashing::new(BufReader::with_capacity(1 << 18, plain));
    let entries = tar::entries(&mut plain);
    if let Err(error) = plain.drain() {
        findings.add(place, Problem::Unpack(error.to_string()));
        return entries.ok();
    }
    if let Some(diff_id) = expected.diff_id {
        let found = digest_text(plain.hash);
        if found != diff_id {
            findings.add(place, Problem::DiffId { expected: diff_id.into(), found });
        }
    }
    match entries {
        Ok(entries) => Some(entries),
        Err(why) => {
            findings.add(place, Problem::Tar(why));
            None
        }
    }
}

/// Digest and size of a blob.
///
/// # Errors
/// When it cannot be read.
pub fn digest(blob: &Blob) -> io::Result<(String, u64)> {
    let mut reader = Hashing::new(blob.reader());
    reader.drain()?;
    Ok((digest_text(reader.hash), reader.bytes))
}
