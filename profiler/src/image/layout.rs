//! `oci:` and `oci-archive:`, the OCI image layout as a directory or a tar.
//!
//! ```text
//! oci-layout            {"imageLayoutVersion": "1.0.0"}
//! index.json            descriptors of manifests, tags as annotations
//! blobs/sha256/HEX      manifests, configs, layers
//! ```
//!
//! Source: OCI image specification, "image-layout.md".

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use flate2::GzBuilder;
use serde_json::{Value, json};

use super::archive::{JSON_MAX, Members, open_file};
use super::blob::{Blob, digest_of};
use super::compression::Compression;
use super::index::{self, Document};
use super::layers::{self, Stored};
use super::select::{Selection, Source};
use super::sink::{
    EMPTY_LAYER, Hashed, appear, append, beside, check_file, new_config, pad, write_layer,
};
use super::{
    ImageError, Layer, OpenOptions, Platform, Reference, SourceImage, WriteOptions, Written,
    config, garbage,
};
use crate::files::directory_of;
use crate::parallel::{self, Task};
use crate::progress::{self, Counted, Progress, Stage};

/// The annotation that carries a tag.
pub(super) const TAG: &str = "org.opencontainers.image.ref.name";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Opens a layout directory.
///
/// # Errors
/// See [`ImageError`].
pub fn open_directory(
    reference: &Reference,
    options: &OpenOptions<'_>,
) -> Result<SourceImage, ImageError> {
    let root = PathBuf::from(&reference.name);
    if !root.join("index.json").is_file() {
        return Err(ImageError::NotFound {
            image: reference.to_string(),
            hint: format!("; {} has no index.json", root.display()),
        });
    }
    let get = |name: &str| {
        let path = root.join(name);
        let file = File::open(&path).map_err(|error| {
            ImageError::damaged(reference.to_string(), format!("{}: {error}", path.display()))
        })?;
        Blob::whole(file).map_err(ImageError::io("read", path))
    };
    read(reference, &get, options)
}

/// Opens a layout in a tar.
///
/// # Errors
/// See [`ImageError`].
pub fn open_archive(
    reference: &Reference,
    options: &OpenOptions<'_>,
) -> Result<SourceImage, ImageError> {
    let file = open_file(reference)?;
    let blob = Blob::whole(file).map_err(ImageError::io("read", &reference.name))?;
    let members = Members::index(&reference.to_string(), blob)?;
    read(reference, &|name: &str| members.get(name), options)
}

/// Brings what has a path in a layout.
pub type Get<'a> = dyn Fn(&str) -> Result<Blob, ImageError> + 'a;

/// An index may hold indexes; so many deep.
const NESTED_MAX: usize = 4;

/// Reads an image whose documents and layers `get` brings, by their paths in
/// a layout.
///
/// # Errors
/// See [`ImageError`].
pub fn read(
    reference: &Reference,
    get: &Get<'_>,
    options: &OpenOptions<'_>,
) -> Result<SourceImage, ImageError> {
    let image = reference.to_string();
    let index = json_of(&image, "index.json", &get("index.json")?)?.1;
    let Chosen { digest: manifest_digest, manifest, platforms } =
        manifest(&image, reference, &index, get, options.platform)?;
    let missing = |what: &str| ImageError::damaged(&image, format!("its manifest has no {what}"));
    let config_descriptor = manifest.get("config").ok_or_else(|| missing("config"))?;
    let id = digest_in(&image, config_descriptor)?;
    let config = checked(&image, "its config", &id, &get(&blob_path(&id))?)?;
    Platform::check(options.platform, &image, &config)?;
    let diff_ids = config::diff_ids(&image, &config)?;
    let descriptors = manifest.get("layers").and_then(Value::as_array);
    let descriptors = descriptors.ok_or_else(|| missing("layers"))?;
    if descriptors.len() != diff_ids.len() {
        let why = format!("{} layers, but its config names {}", descriptors.len(), diff_ids.len());
        return Err(ImageError::damaged(image, why));
    }
    let mut stored = Vec::new();
    for (descriptor, diff_id) in descriptors.iter().zip(&diff_ids) {
        let digest = digest_in(&image, descriptor)?;
        let blob = get(&blob_path(&digest));
        index::check_layer(&image, descriptor, blob.is_ok())?;
        let blob = blob?;
        let size = descriptor.get("size").and_then(Value::as_u64);
        if let Some(size) = size.filter(|&size| size != blob.len) {
            let why = format!("layer {digest} has {} bytes, its manifest says {size}", blob.len);
            return Err(ImageError::damaged(image, why));
        }
        stored.push(Stored { diff_id: diff_id.clone(), digest: Some(digest), blob });
    }
    let layers = layers::read(&image, &stored, options)?;
    Ok(SourceImage {
        reference: image,
        id,
        manifest_digest: Some(manifest_digest),
        config,
        diff_ids,
        layers,
        platforms,
    })
}

/// A manifest that was found.
struct Chosen {
    digest: String,
    manifest: Value,
    /// What the index has that it is of; nothing without an index.
    platforms: Vec<Platform>,
}

/// Finds the manifest of the tag and platform asked for.
fn manifest(
    image: &str,
    reference: &Reference,
    index: &Value,
    get: &Get<'_>,
    platform: Option<&Platform>,
) -> Result<Chosen, ImageError> {
    let all = index.get("manifests").and_then(Value::as_array);
    let all = all.map(Vec::as_slice).unwrap_or_default();
    let tag_of = |m: &Value| Some(m.get("annotations")?.get(TAG)?.as_str()?.to_owned());
    let candidates: Vec<&Value> = match &reference.tag {
        Some(tag) => all.iter().filter(|m| tag_of(m).as_ref() == Some(tag)).collect(),
        None => all.iter().filter(|m| index::is_image(m)).collect(),
    };
    if candidates.is_empty() {
        let tags: Vec<_> = all.iter().filter_map(tag_of).collect();
        return Err(ImageError::NotFound {
            image: image.into(),
            hint: format!("; tags there are: {}", tags.join(", ")),
        });
    }
    let named = |m: &&Value| tag_of(m).is_some() || m.get("platform").is_none();
    if reference.tag.is_none() && candidates.len() > 1 && candidates.iter().any(named) {
        return Err(ImageError::Unsupported {
            image: image.into(),
            what: format!("a layout of {} images without a tag", candidates.len()),
            next: "; name one, oci:DIR:TAG".into(),
        });
    }
    let (mut chosen, mut platforms) = match candidates.as_slice() {
        // Its document may be an index, whatever platform it has.
        [only] => ((*only).clone(), Vec::new()),
        several => (index::choose(image, several, platform)?.clone(), index::platforms(several)),
    };
    for _ in 0..NESTED_MAX {
        let (digest, document) = json_blob(image, &chosen, get)?;
        if index::document(image, &document)? == Document::Manifest {
            return Ok(Chosen { digest, manifest: document, platforms });
        }
        let inside = document.get("manifests").and_then(Value::as_array).into_iter().flatten();
        let inside: Vec<&Value> = inside.collect();
        chosen = index::choose(image, &inside, platform)?.clone();
        platforms = index::platforms(&inside);
    }
    Err(ImageError::damaged(image, format!("indexes in indexes, more than {NESTED_MAX} deep")))
}

fn digest_in(image: &str, descriptor: &Value) -> Result<String, ImageError> {
    let digest = descriptor.get("digest").and_then(Value::as_str).unwrap_or_default();
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ImageError::damaged(image, format!("digest {digest:?} is not a SHA-256")));
    }
    Ok(digest.to_owned())
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn checked(image: &str, what: &str, digest: &str, blob: &Blob) -> Result<Vec<u8>, ImageError> {
    let bytes =
        blob.read_all(JSON_MAX).map_err(|e| ImageError::damaged(image, format!("{what}: {e}")))?;
    let found = digest_of(&bytes);
    if found != digest {
        return Err(ImageError::DigestMismatch {
            image: image.into(),
            what: what.into(),
            expected: digest.into(),
            found,
        });
    }
    Ok(bytes)
}

fn json_of(image: &str, name: &str, blob: &Blob) -> Result<(Vec<u8>, Value), ImageError> {
    let damaged = |why: String| ImageError::damaged(image, format!("{name}: {why}"));
    let bytes = blob.read_all(JSON_MAX).map_err(|e| damaged(e.to_string()))?;
    let value = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    Ok((bytes, value))
}

fn json_blob(
    image: &str,
    descriptor: &Value,
    get: &Get<'_>,
) -> Result<(String, Value), ImageError> {
    let digest = digest_in(image, descriptor)?;
    let bytes = checked(image, "its manifest", &digest, &get(&blob_path(&digest))?)?;
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| ImageError::damaged(image, format!("its manifest: {error}")))?;
    Ok((digest, value))
}

/// Fails if the tag is taken in a layout that exists.
///
/// # Errors
/// [`ImageError::Exists`].
pub fn check_output(output: &Reference, force: bool) -> Result<(), ImageError> {
    let root = Path::new(&output.name);
    if force || !root.exists() {
        return Ok(());
    }
    let Ok(text) = fs::read(root.join("index.json")) else {
        // A directory that is no layout: never written into, unless empty.
        let empty = fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_none());
        return if empty { Ok(()) } else { Err(ImageError::Exists(output.to_string())) };
    };
    let index: Value = serde_json::from_slice(&text)
        .map_err(|error| ImageError::damaged(output.to_string(), format!("index.json: {error}")))?;
    let all = index.get("manifests").and_then(Value::as_array);
    let taken = all.into_iter().flatten().any(|m| is_named(m, output.tag.as_deref()));
    if taken { Err(ImageError::Exists(output.to_string())) } else { Ok(()) }
}

/// Whether a descriptor is of an image of that tag, or of none.
fn is_named(descriptor: &Value, tag: Option<&str>) -> bool {
    let named = descriptor.get("annotations").and_then(|a| a.get(TAG)).and_then(Value::as_str);
    named == tag && index::is_image(descriptor)
}

/// Writes into a layout directory, made if need be. The index is replaced
/// last, so that a reader sees the old image or the new one.
///
/// # Errors
/// See [`ImageError`].
pub fn write_directory(
    image: &SourceImage,
    layers: &[Selection<'_>],
    output: &Reference,
    options: &WriteOptions,
) -> Result<Written, ImageError> {
    check_output(output, options.force)?;
    let root = Path::new(&output.name);
    let fresh = !root.join("index.json").exists();
    let made = if root.exists() { None } else { Some(root) };
    let before = names(&root.join("blobs/sha256"));
    let result = write_blobs(image, layers, output, options, root);
    if result.is_err() {
        // Nothing half-written stays, and nothing that was there goes.
        for name in names(&root.join("blobs/sha256")).difference(&before) {
            let _ = fs::remove_file(root.join("blobs/sha256").join(name));
        }
        if fresh {
            let _ = fs::remove_dir(root.join("blobs/sha256"));
            let _ = fs::remove_dir(root.join("blobs"));
            let _ = fs::remove_file(root.join("oci-layout"));
        }
        if let Some(root) = made {
            let _ = fs::remove_dir_all(root);
        }
    }
    result
}

/// What is in a directory; nothing if that cannot be read.
fn names(directory: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

fn write_blobs(
    image: &SourceImage,
    layers: &[Selection<'_>],
    output: &Reference,
    options: &WriteOptions,
    root: &Path,
) -> Result<Written, ImageError> {
    let blobs = root.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(ImageError::io("create", &blobs))?;
    let nothing = Selection { source: Source::Made(String::new()), items: Vec::new() };
    let written: Vec<&Selection<'_>> =
        if layers.is_empty() { vec![&nothing] } else { layers.iter().collect() };
    let progress = options.progress.as_deref();
    progress::begin(progress, Stage::Writing, written.iter().map(|layer| effort(layer)).sum());
    let tasks = written
        .iter()
        .map(|&layer| {
            let blobs = blobs.as_path();
            Box::new(move || write_layer_blob(layer, blobs, progress)) as Task<'_, _>
        })
        .collect();
    let (mut descriptors, mut diff_ids, mut bytes) = (Vec::new(), Vec::new(), 0);
    for written in parallel::run(options.threads, tasks) {
        let (descriptor, diff_id, len) = written?;
        descriptors.push(descriptor);
        diff_ids.push(diff_id);
        bytes += len;
    }
    let (config, id) = new_config(image, layers, &diff_ids)?;
    put(&blobs, &config)?;
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": id,
            "size": config.len(),
        },
        "layers": descriptors,
    });
    if !options.annotations.is_empty() {
        manifest["annotations"] = json!(options.annotations);
    }
    let manifest = manifest.to_string().into_bytes();
    let digest = put(&blobs, &manifest)?;
    let descriptor = json!({"mediaType": MANIFEST, "digest": digest, "size": manifest.len()});
    publish(root, descriptor, output.tag.as_deref())?;
    Ok(Written { id, manifest_digest: Some(digest), bytes, layers: diff_ids.len() })
}

/// Names a manifest or index whose blobs are in a layout; what had the tag
/// before goes, with what nothing else needs of it.
///
/// # Errors
/// When the layout's files cannot be written.
pub(super) fn publish(
    root: &Path,
    mut descriptor: Value,
    tag: Option<&str>,
) -> Result<(), ImageError> {
    replace(&root.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let index_path = root.join("index.json");
    let mut index: Value = fs::read(&index_path)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_else(|| json!({"schemaVersion": 2, "manifests": []}));
    if let Some(tag) = tag {
        descriptor["annotations"] = json!({ TAG: tag });
    }
    let mut gone = Vec::new();
    if let Some(manifests) = index.get_mut("manifests").and_then(Value::as_array_mut) {
        let all = std::mem::take(manifests).into_iter();
        (gone, *manifests) = all.partition(|m| is_named(m, tag));
        manifests.push(descriptor);
        // What was attached to the old image alone goes with it.
        let about_gone = |m: &Value| garbage::is_about(root, m, &gone, manifests);
        let attached: Vec<Value> = manifests.iter().filter(|m| about_gone(m)).cloned().collect();
        manifests.retain(|m| !attached.contains(m));
        gone.extend(attached);
    }
    replace(&index_path, index.to_string().as_bytes())?;
    garbage::sweep(root, &gone, &index);
    Ok(())
}

/// The compressed layer of which nothing was left out, with what is known of
/// it.
fn as_stored<'a>(layer: &Selection<'a>) -> Option<(&'a Layer, &'a Blob, &'a str, Compression)> {
    let whole = layer.unchanged()?;
    let (blob, digest, compression) = whole.stored()?;
    Some((whole, blob, digest, compression))
}

/// The bytes that pass when a layer is written.
fn effort(layer: &Selection<'_>) -> u64 {
    as_stored(layer).map_or_else(|| layer.bytes(), |(_, blob, ..)| blob.len)
}

/// Writes one compressed layer: its descriptor, its diff ID, its bytes.
fn write_layer_blob(
    layer: &Selection<'_>,
    blobs: &Path,
    progress: Option<&Progress>,
) -> Result<(Value, String, u64), ImageError> {
    // Compressed anew it might be larger than it was.
    if let Some((whole, blob, digest, compression)) = as_stored(layer) {
        let path = blobs.join(digest.trim_start_matches("sha256:"));
        let mut file = beside(&path)?;
        std::io::copy(&mut Counted::new(blob.reader(), progress), &mut file)
            .map_err(ImageError::io("write", &path))?;
        appear(file, &path)?;
        let descriptor = descriptor(compression, digest, blob.len);
        return Ok((descriptor, whole.diff_id.clone(), layer.bytes()));
    }
    let file = beside(&blobs.join("layer"))?;
    let compressed = Hashed::new(BufWriter::with_capacity(1 << 17, file));
    // Level 6 and no time stamp: the same bytes on every machine.
    let gzip = GzBuilder::new().write(compressed, flate2::Compression::new(6));
    let mut plain = Hashed::new(gzip);
    write_layer(layer, &mut Counted::new(&mut plain, progress), blobs)?;
    let bytes = plain.bytes;
    let (diff_id, gzip) = plain.finish();
    Ok((finish_layer(gzip, blobs)?, diff_id, bytes))
}

type Gzip = flate2::write::GzEncoder<Hashed<BufWriter<tempfile::NamedTempFile>>>;

/// Ends a compressed layer, names it by its digest, describes it.
fn finish_layer(gzip: Gzip, blobs: &Path) -> Result<Value, ImageError> {
    let compressed = gzip.finish().map_err(ImageError::io("write", blobs))?;
    let size = compressed.bytes;
    let (digest, buffer) = compressed.finish();
    let file =
        buffer.into_inner().map_err(|error| ImageError::io("write", blobs)(error.into_error()))?;
    appear(file, &blobs.join(digest.trim_start_matches("sha256:")))?;
    Ok(descriptor(Compression::Gzip, &digest, size))
}

fn descriptor(compression: Compression, digest: &str, size: u64) -> Value {
    let suffix = match compression {
        Compression::None => "",
        Compression::Gzip => "+gzip",
        Compression::Zstd => "+zstd",
    };
    json!({
        "mediaType": format!("application/vnd.oci.image.layer.v1.tar{suffix}"),
        "digest": digest,
        "size": size,
    })
}

/// Stores a small blob and returns its digest.
///
/// # Errors
/// When it cannot be written.
pub(super) fn put(blobs: &Path, bytes: &[u8]) -> Result<String, ImageError> {
    let digest = digest_of(bytes);
    replace(&blobs.join(digest.trim_start_matches("sha256:")), bytes)?;
    Ok(digest)
}

/// Replaces a file by one of these bytes.
///
/// # Errors
/// When it cannot be written.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    let mut file = beside(path)?;
    file.write_all(bytes).map_err(ImageError::io("write", path))?;
    appear(file, path)
}

/// Writes a layout and packs it into a tar.
///
/// # Errors
/// See [`ImageError`].
pub fn write_archive(
    image: &SourceImage,
    layers: &[Selection<'_>],
    output: &Reference,
    options: &WriteOptions,
) -> Result<Written, ImageError> {
    check_file(output, options.force)?;
    let path = Path::new(&output.name);
    let staging = tempfile::Builder::new()
        .prefix(".profiler-")
        .tempdir_in(directory_of(path))
        .map_err(ImageError::io("write", path))?;
    let written = write_blobs(image, layers, output, options, staging.path())?;
    let mut file = beside(path)?;
    pack(staging.path(), file.as_file_mut()).map_err(ImageError::io("write", path))?;
    appear(file, path)?;
    Ok(written)
}

/// Packs a layout in an order that is always the same.
///
/// # Errors
/// When it cannot be read or written.
pub(super) fn pack(root: &Path, file: &mut File) -> std::io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    append(&mut writer, "blobs/", 0, true)?;
    append(&mut writer, "blobs/sha256/", 0, true)?;
    let mut names: Vec<_> = fs::read_dir(root.join("blobs/sha256"))?
        .map(|entry| Ok(format!("blobs/sha256/{}", entry?.file_name().to_string_lossy())))
        .collect::<std::io::Result<_>>()?;
    names.sort();
    names.extend(["index.json".into(), "oci-layout".into()]);
    for name in names {
        let mut source = File::open(root.join(&name))?;
        let len = source.metadata()?.len();
        append(&mut writer, &name, len, false)?;
        std::io::copy(&mut source, &mut writer)?;
        pad(&mut writer, len)?;
    }
    writer.write_all(&EMPTY_LAYER)?;
    writer.flush()
}
