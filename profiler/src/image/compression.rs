//! Compression of layers: told by the first bytes, since media types lie.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::ImageError;
use super::blob::Blob;
use super::gzip::Members;

/// The largest window a Zstandard frame may ask for, as a power of two: what
/// every decoder must be ready for, 128 MiB. Source: the `zstd` manual, option
/// `--long`.
pub const ZSTD_WINDOW: u32 = 27;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// Looks at the first bytes.
    ///
    /// # Errors
    /// [`ImageError::Unsupported`] for those that engines read and this
    /// program does not.
    pub fn of(image: &str, blob: &Blob) -> Result<Self, ImageError> {
        let magic =
            blob.part(0, 6).read_all(6).map_err(|e| ImageError::damaged(image, e.to_string()))?;
        let unsupported = |name: &str| ImageError::Unsupported {
            image: image.into(),
            what: format!("{name} compression of layers"),
            next: "; load it into an engine and save it again".into(),
        };
        match magic.as_slice() {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            // A frame, or a skippable one, in which some writers keep indexes.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [b'B', b'Z', b'h', ..] => Err(unsupported("bzip2")),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Err(unsupported("xz")),
            _ => Ok(Self::None),
        }
    }

    /// Reads plain bytes from what is compressed. `checked`: its digest is
    /// checked elsewhere.
    ///
    /// # Errors
    /// When a decoder cannot be made.
    pub fn reader<'a>(
        self,
        compressed: impl Read + Send + 'a,
        checked: bool,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        let reader = BufReader::with_capacity(1 << 17, compressed);
        Ok(match self {
            Self::None => Box::new(reader),
            Self::Gzip if checked => Box::new(Members::new(reader)),
            Self::Gzip => Box::new(MultiGzDecoder::new(reader)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}
