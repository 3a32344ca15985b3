//! Media types: what each is for, and how a layer's bytes are packed.

use std::io::{self, BufReader, Read};

use super::super::blob::Blob;
use super::super::compression::ZSTD_WINDOW;

/// Media types of indexes: OCI's, and Docker's manifest list.
pub const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// Media types of manifests.
pub const MANIFESTS: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Media types of image configs. A manifest with another one is an artefact
/// and no image.
pub const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "not compressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What a layer's media type says; none if it is not one of a layer.
    pub fn declared(media_type: &str) -> Option<Self> {
        Some(match media_type {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar" => Self::Plain,
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Self::Gzip,
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Self::Zstd,
            _ => return None,
        })
    }

    /// What the first bytes of a blob say.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn found(blob: &Blob) -> io::Result<Self> {
        let magic = blob.part(0, 4).read_all(4)?;
        Ok(match magic.as_slice() {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd,
            _ => Self::Plain,
        })
    }

    /// Unpacks what `packed` gives; none when there is no decoder for it.
    pub fn unpack<'a>(self, packed: impl Read + 'a) -> Option<Box<dyn Read + 'a>> {
        match self {
            Self::Plain => Some(Box::new(packed)),
            Self::Gzip => Some(Box::new(flate2::read::MultiGzDecoder::new(
                BufReader::with_capacity(1 << 18, packed),
            ))),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(packed).ok()?;
                decoder.window_log_max(ZSTD_WINDOW).ok()?;
                Some(Box::new(decoder))
            }
        }
    }
}

/// Whether a layer may be absent, to be fetched from elsewhere.
pub fn is_foreign(media_type: &str) -> bool {
    media_type.contains(".nondistributable.") || media_type.contains(".foreign.")
}
