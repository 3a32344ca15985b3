//! `docker-archive:`, the format of `docker save` and `docker load`.
//!
//! ```text
//! manifest.json   [{"Config": FILE, "RepoTags": [...], "Layers": [FILE, ...]}]
//! FILE            the config, named by its digest
//! FILE ...        the layers, plain tars
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::blob::{Blob, digest_of};
use super::entry::{Entry, EntryKind, normalize};
use super::header::{BLOCK, padded};
use super::layers::{self, Stored};
use super::select::{Selection, Source};
use super::sink::{
    At, EMPTY_LAYER, Hashed, appear, append, beside, check_file, new_config, pad, write_layer,
};
use super::{
    ImageError, Layer, OpenOptions, Platform, Reference, SourceImage, WriteOptions, Written, config,
};
use crate::parallel::{self, Task};
use crate::progress::{self, Counted, Progress, Stage};

/// Largest JSON document read.
pub const JSON_MAX: u64 = 16 << 20;

/// Opens an archive file.
///
/// # Errors
/// See [`ImageError`].
pub fn open(reference: &Reference, options: &OpenOptions<'_>) -> Result<SourceImage, ImageError> {
    let file = open_file(reference)?;
    let blob = Blob::whole(file).map_err(ImageError::io("read", &reference.name))?;
    read(&reference.to_string(), reference.tag.as_deref(), blob, options)
}

/// Opens the file of an archive reference.
///
/// # Errors
/// [`ImageError::NotFound`] or why it cannot be read.
pub fn open_file(reference: &Reference) -> Result<File, ImageError> {
    File::open(&reference.name).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => ImageError::NotFound {
            image: reference.to_string(),
            hint: "; there is no such file".into(),
        },
        _ => ImageError::io("read", &reference.name)(source),
    })
}

/// The members of an archive, by name.
pub struct Members {
    image: String,
    blob: Blob,
    members: HashMap<Vec<u8>, Entry>,
}

impl Members {
    /// Indexes an archive.
    ///
    /// # Errors
    /// [`ImageError::Damaged`] when it is no tar or is cut short.
    pub fn index(image: &str, blob: Blob) -> Result<Self, ImageError> {
        let layer = Layer::from_tar(image, "", blob.clone())?;
        let members = layer.entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
        Ok(Self { image: image.into(), blob, members })
    }

    /// A member's bytes. Old archives store a layer that two images share as
    /// a symlink.
    ///
    /// # Errors
    /// [`ImageError::Damaged`] when there is none of that name.
    pub fn get(&self, name: &str) -> Result<Blob, ImageError> {
        let mut path = normalize(name.as_bytes());
        for _ in 0..8 {
            match self.members.get(&path) {
                Some(Entry { kind: EntryKind::Symlink(target), .. }) => {
                    let directory =
                        path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
                    path = normalize(&[&path[..directory], target].concat());
                }
                Some(Entry { kind: EntryKind::Hardlink(target), .. }) => path = target.clone(),
                Some(entry) => return Ok(self.blob.part(entry.data, entry.size)),
                None => break,
            }
        }
        Err(ImageError::damaged(&self.image, format!("it has no member {name}")))
    }

    /// A member as JSON.
    ///
    /// # Errors
    /// As [`get`](Self::get), or when it is no JSON.
    pub fn json(&self, name: &str) -> Result<(Vec<u8>, Value), ImageError> {
        let damaged = |why: String| ImageError::damaged(&self.image, format!("{name}: {why}"));
        let bytes = self.get(name)?.read_all(JSON_MAX).map_err(|e| damaged(e.to_string()))?;
        let value = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        Ok((bytes, value))
    }
}

/// Reads an archive that is in a file.
///
/// # Errors
/// See [`ImageError`].
pub fn read(
    image: &str,
    tag: Option<&str>,
    blob: Blob,
    options: &OpenOptions<'_>,
) -> Result<SourceImage, ImageError> {
    let members = Members::index(image, blob)?;
    let (_, manifest) = members.json("manifest.json")?;
    let images = manifest.as_array().map(Vec::as_slice).unwrap_or_default();
    let has_tag = |entry: &&Value| {
        let tags = entry.get("RepoTags").and_then(Value::as_array);
        tags.into_iter().flatten().any(|t| t.as_str() == tag)
    };
    let entry = match tag {
        Some(_) => images.iter().find(has_tag),
        None if images.len() > 1 => {
            return Err(ImageError::Unsupported {
                image: image.into(),
                what: format!("an archive of {} images without a tag", images.len()),
                next: "; name one, docker-archive:FILE:NAME:TAG".into(),
            });
        }
        None => images.first(),
    };
    let entry = entry.ok_or_else(|| ImageError::NotFound {
        image: image.into(),
        hint: "; the archive has no image of that tag".into(),
    })?;
    let name = entry.get("Config").and_then(Value::as_str);
    let name = name.ok_or_else(|| ImageError::damaged(image, "manifest.json names no config"))?;
    let (config, _) = members.json(name)?;
    let id = digest_of(&config);
    let hex: String = name.chars().filter(char::is_ascii_hexdigit).collect();
    // "HEX.json" or "blobs/sha256/HEX"; other writers use other names.
    if let Some(named) = name.trim_end_matches(".json").rsplit('/').next()
        && named.len() == 64
        && hex.contains(named)
        && id != format!("sha256:{named}")
    {
        return Err(ImageError::DigestMismatch {
            image: image.into(),
            what: "its config".into(),
            expected: format!("sha256:{named}"),
            found: id,
        });
    }
    Platform::check(options.platform, image, &config)?;
    let diff_ids = config::diff_ids(image, &config)?;
    let names: Vec<&str> = entry
        .get("Layers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if names.len() != diff_ids.len() {
        let why = format!("{} layers, but its config names {}", names.len(), diff_ids.len());
        return Err(ImageError::damaged(image, why));
    }
    let stored = names
        .iter()
        .zip(&diff_ids)
        .map(|(name, diff_id)| {
            Ok(Stored { diff_id: diff_id.clone(), digest: None, blob: members.get(name)? })
        })
        .collect::<Result<Vec<_>, ImageError>>()?;
    let layers = layers::read(image, &stored, options)?;
    Ok(SourceImage {
        reference: image.into(),
        id,
        manifest_digest: None,
        config,
        diff_ids,
        layers,
        platforms: Vec::new(),
    })
}

/// Writes an archive file.
///
/// # Errors
/// See [`ImageError`].
pub fn write(
    image: &SourceImage,
    layers: &[Selection<'_>],
    output: &Reference,
    options: &WriteOptions,
) -> Result<Written, ImageError> {
    check_file(output, options.force)?;
    let path = Path::new(&output.name);
    let file = beside(path)?;
    let written = write_to(image, layers, output.tag.as_deref(), file.as_file(), path, options)?;
    appear(file, path)?;
    Ok(written)
}

/// Writes an archive to an open file; `shown` is its name in messages.
///
/// # Errors
/// See [`ImageError`].
pub fn write_to(
    image: &SourceImage,
    layers: &[Selection<'_>],
    tag: Option<&str>,
    file: &File,
    shown: &Path,
    options: &WriteOptions,
) -> Result<Written, ImageError> {
    let failed = || ImageError::io("write", shown);
    let nothing = Selection { source: Source::Made(String::new()), items: Vec::new() };
    let members: Vec<&Selection<'_>> =
        if layers.is_empty() { vec![&nothing] } else { layers.iter().collect() };
    let progress = options.progress.as_deref();
    let bytes = members.iter().map(|layer| layer.bytes()).sum();
    progress::begin(progress, Stage::Writing, bytes);
    // How long each is, is known before it is written: every one has its
    // place, and several can be written at once.
    let (mut names, mut tasks, mut end) = (Vec::new(), Vec::<Task<'_, _>>::new(), 0);
    for (index, &layer) in members.iter().enumerate() {
        let name = format!("{index}/layer.tar");
        names.push(name.clone());
        let at = At::new(file, end);
        tasks.push(Box::new(move || write_member(layer, &name, at, shown, progress)));
        end += BLOCK + padded(layer.bytes());
    }
    let mut diff_ids = Vec::new();
    for diff_id in parallel::run(options.threads, tasks) {
        diff_ids.push(diff_id?);
    }
    let mut writer = BufWriter::with_capacity(1 << 16, At::new(file, end));
    let (config, id) = new_config(image, layers, &diff_ids)?;
    let config_name = format!("{}.json", id.trim_start_matches("sha256:"));
    let tags: Vec<&str> = tag.into_iter().collect();
    let manifest = json!([{"Config": config_name, "RepoTags": tags, "Layers": names}]);
    let manifest = manifest.to_string();
    for (name, content) in
        [(config_name.as_str(), config.as_slice()), ("manifest.json", manifest.as_bytes())]
    {
        let len = content.len() as u64;
        append(&mut writer, name, len, false)
            .and_then(|()| writer.write_all(content))
            .and_then(|()| pad(&mut writer, len))
            .map_err(failed())?;
    }
    writer.write_all(&EMPTY_LAYER).and_then(|()| writer.flush()).map_err(failed())?;
    Ok(Written { id, manifest_digest: None, bytes, layers: diff_ids.len() })
}

/// Writes one layer as a member and returns its diff ID.
fn write_member(
    layer: &Selection<'_>,
    name: &str,
    at: At<'_>,
    shown: &Path,
    progress: Option<&Progress>,
) -> Result<String, ImageError> {
    let failed = || ImageError::io("write", shown);
    let len = layer.bytes();
    let mut writer = BufWriter::with_capacity(1 << 17, at);
    append(&mut writer, name, len, false).map_err(failed())?;
    let mut hashed = Hashed::new(&mut writer);
    write_layer(layer, &mut Counted::new(&mut hashed, progress), shown)?;
    if hashed.bytes != len {
        let why = format!("{} bytes of a layer were written, not {len}", hashed.bytes);
        return Err(failed()(std::io::Error::other(why)));
    }
    let diff_id = hashed.finish().0;
    pad(&mut writer, len).and_then(|()| writer.flush()).map_err(failed())?;
    Ok(diff_id)
}
