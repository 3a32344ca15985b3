//! Reading an image where Docker's overlay2 driver keeps it.
//!
//! Every layer lies unpacked in a directory, and beside it the tar headers it
//! came with, so that the daemon can give out the same bytes again. Reading
//! both directly costs what is read, not what the image weighs.
//!
//! ```text
//! ROOT/image/overlay2/imagedb/content/sha256/ID       config
//! ROOT/image/overlay2/layerdb/sha256/CHAIN/diff       diff ID
//!                                         /cache-id   name of the directory
//!                                         /tar-split.json.gz
//! ROOT/overlay2/CACHE-ID/diff/...                     files
//! ```
//!
//! tar-split: JSON lines in tar order, type 2 raw bytes (headers, padding,
//! the end), type 1 a file whose content stood there. Source: the README of
//! vbatts/tar-split.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::blob::{Blob, digest_of, digest_text};
use super::header::{BLOCK, is_extension, padded};
use super::layer::Contents;
use super::parser::Parser;
use super::{Layer, Reference, SourceImage, config};
use crate::container::docker::Docker;
use crate::parallel::{self, Task};

/// Opens an image in place. An error means that it must be read otherwise,
/// and says why.
pub fn open(
    docker: &Docker,
    reference: &Reference,
    info: &Value,
    threads: Option<NonZeroUsize>,
) -> Result<SourceImage, String> {
    let text = |pointer: &str| info.pointer(pointer).and_then(Value::as_str);
    if text("/GraphDriver/Name") != Some("overlay2") {
        return Err("the daemon does not use the overlay2 driver".into());
    }
    let id = text("/Id").ok_or("the daemon tells no ID")?;
    let hex = id.strip_prefix("sha256:").ok_or("the ID is no SHA-256")?;
    let daemon = docker.get_json_blocking("/info").map_err(|error| error.to_string())?;
    let root = daemon.get("DockerRootDir").and_then(Value::as_str).unwrap_or("/var/lib/docker");
    let root = Path::new(root);
    let database = root.join("image/overlay2");
    let config = fs::read(database.join("imagedb/content/sha256").join(hex))
        .map_err(|error| format!("its config cannot be read: {error}"))?;
    let found = digest_of(&config);
    if found != id {
        return Err(format!("its config has digest {found}"));
    }
    let name = reference.to_string();
    let diff_ids = config::diff_ids(&name, &config).map_err(|error| error.to_string())?;
    let mut chain = String::new();
    let mut tasks: Vec<Task<'_, Result<Layer, String>>> = Vec::new();
    let name = &name;
    for diff_id in &diff_ids {
        // Source: OCI image specification, "config.md", layer ChainID.
        chain = if chain.is_empty() {
            diff_id.clone()
        } else {
            digest_text(Sha256::new().chain_update(format!("{chain} {diff_id}")))
        };
        let entry = database.join("layerdb").join(chain.replace(':', "/"));
        tasks.push(Box::new(move || layer(name, diff_id, &entry, root)));
    }
    let layers = parallel::run(threads, tasks).into_iter().collect::<Result<_, _>>()?;
    Ok(SourceImage {
        reference: name.clone(),
        id: id.into(),
        manifest_digest: None,
        platforms: Vec::new(),
        config,
        diff_ids,
        layers,
    })
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    payload: Option<String>,
}

fn layer(image: &str, diff_id: &str, entry: &Path, root: &Path) -> Result<Layer, String> {
    let read = |name: &str| {
        fs::read_to_string(entry.join(name)).map_err(|error| format!("{name} of a layer: {error}"))
    };
    if read("diff")?.trim() != diff_id {
        return Err("a layer's record names another diff ID".into());
    }
    let cache_id = read("cache-id")?;
    let contents: PathBuf = root.join("overlay2").join(cache_id.trim()).join("diff");
    if !contents.is_dir() {
        return Err(format!("{} is not there", contents.display()));
    }
    let split = File::open(entry.join("tar-split.json.gz"))
        .map_err(|error| format!("headers of a layer: {error}"))?;
    let split = BufReader::new(MultiGzDecoder::new(BufReader::new(split)));
    // Headers go to a file: an image may have a hundred thousand of them.
    let headers = tempfile::tempfile().map_err(|error| format!("a temporary file: {error}"))?;
    let mut writer = BufWriter::with_capacity(1 << 18, headers);
    let mut parser = Parser::new(image);
    let mut pending: Vec<u8> = Vec::new();
    let mut start = 0;
    for line in split.lines() {
        let line = line.map_err(|error| format!("headers of a layer: {error}"))?;
        let record: Record =
            serde_json::from_str(&line).map_err(|error| format!("headers of a layer: {error}"))?;
        match record.kind {
            2 => {
                let payload = record.payload.unwrap_or_default();
                let bytes = STANDARD.decode(payload).map_err(|error| error.to_string())?;
                writer.write_all(&bytes).map_err(|error| error.to_string())?;
                pending.extend_from_slice(&bytes);
                let used = parse(&mut parser, &pending, start)?;
                pending.drain(..used);
                start += used as u64;
            }
            // The content stands elsewhere; the padding behind it comes with
            // the next raw bytes.
            1 => {
                let padding = padded(record.size) - record.size;
                parser.skip_padding = padding;
            }
            other => return Err(format!("headers of a layer: unknown record type {other}")),
        }
    }
    let headers = writer.into_inner().map_err(|error| error.to_string())?;
    let backing = Blob::whole(headers).map_err(|error| error.to_string())?;
    Ok(Layer {
        diff_id: diff_id.into(),
        entries: parser.entries,
        backing,
        contents: Contents::Directory(contents),
    })
}

/// Takes whole header blocks off the front; returns the bytes used. `start`
/// is where they stand among all raw bytes.
fn parse(parser: &mut Parser, bytes: &[u8], start: u64) -> Result<usize, String> {
    let mut at = 0;
    loop {
        let skip = parser.skip_padding as usize;
        if bytes.len() < at + skip {
            return Ok(at);
        }
        at += skip;
        parser.skip_padding = 0;
        let Some(block) = bytes.get(at..at + BLOCK as usize) else { return Ok(at) };
        let block: &[u8; BLOCK as usize] = block.try_into().expect("sliced to size");
        if block.iter().all(|&byte| byte == 0) {
            // The end, and whatever a writer put behind it.
            return Ok(bytes.len());
        }
        let rest = &bytes[at + BLOCK as usize..];
        let needed = extension_len(block);
        if rest.len() < needed as usize {
            return Ok(at);
        }
        parser
            .header(block, start + at as u64, |size| {
                let data = rest.get(..size as usize).map(<[u8]>::to_vec);
                data.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
            })
            .map_err(|error| error.to_string())?;
        // The driver has them expanded, so that what is stored of them is
        // not at hand.
        if parser.entries.last().is_some_and(|entry| entry.sparse.is_some()) {
            return Err("a layer has sparse files".into());
        }
        at += BLOCK as usize + needed as usize;
    }
}

/// Bytes of the extension data behind a header, padding included; extension
/// data is part of the raw bytes, file content is not.
fn extension_len(block: &[u8; BLOCK as usize]) -> u64 {
    let header = tar::Header::from_byte_slice(block);
    if is_extension(header.entry_type()) { padded(header.entry_size().unwrap_or(0)) } else { 0 }
}
