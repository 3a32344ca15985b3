//! Reading the layers of an image, several at a time.

use super::blob::{Blob, verify};
use super::compression::Compression;
use super::{ImageError, Layer, OpenOptions};
use crate::parallel::{self, Task};
use crate::progress::{self, Stage};

/// A layer that is yet to be read.
pub struct Stored {
    /// Digest of the uncompressed layer.
    pub diff_id: String,
    /// Digest of `blob`, where the image names one: a manifest does.
    pub digest: Option<String>,
    /// The layer as it is stored.
    pub blob: Blob,
}

/// What a task brings.
enum Done {
    Layer(Box<Layer>),
    Verified,
}

/// Reads layers, and makes sure that they are what the image says: by the
/// blob's digest where the manifest names it, else by the diff ID. One of them
/// is enough, since a manifest and a config that were checked name them.
///
/// # Errors
/// See [`ImageError`].
pub fn read(
    image: &str,
    stored: &[Stored],
    options: &OpenOptions<'_>,
) -> Result<Vec<Layer>, ImageError> {
    // The longest first, so that no thread is left alone with it at the end.
    let mut order: Vec<usize> = (0..stored.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(stored[index].blob.len));
    let mut tasks: Vec<Task<'_, (usize, Result<Done, ImageError>)>> = Vec::new();
    let mut hashing: Vec<Task<'_, (usize, Result<Done, ImageError>)>> = Vec::new();
    let mut total = 0;
    for index in order {
        let layer = &stored[index];
        let compression = Compression::of(image, &layer.blob)?;
        let plain = compression == Compression::None;
        let digest = layer.digest.as_ref().or(plain.then_some(&layer.diff_id));
        if let Some(digest) = digest {
            let progress = options.progress;
            let verified = move || verify(image, "a layer", digest, &layer.blob, progress);
            total += layer.blob.len;
            hashing.push(Box::new(move || (index, verified().map(|()| Done::Verified))));
        }
        if !plain {
            total += layer.blob.len;
        }
        let known = layer.digest.as_deref();
        let open = move || {
            let blob = layer.blob.clone();
            if plain {
                return Layer::from_tar(image, &layer.diff_id, blob);
            }
            Layer::from_packed(image, &layer.diff_id, blob, compression, known, options)
        };
        tasks.push(Box::new(move || (index, open().map(|layer| Done::Layer(Box::new(layer))))));
    }
    tasks.append(&mut hashing);
    progress::begin(options.progress, Stage::Reading, total);
    let mut layers: Vec<Option<Layer>> = stored.iter().map(|_| None).collect();
    let mut failed = None;
    for (index, result) in parallel::run(options.threads, tasks) {
        match result {
            Ok(Done::Layer(layer)) => layers[index] = Some(*layer),
            Ok(Done::Verified) => {}
            // That the bytes are wrong says more than what came of it.
            Err(error @ ImageError::DigestMismatch { .. }) => return Err(error),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(layers.into_iter().flatten().collect()),
    }
}
