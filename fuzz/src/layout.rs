//! The documents of a layout: config and manifest, a NUL byte between them.
//!
//! `@CONFIG@`, `@LAYER@` and `@DIFF@` in an input become the digests that
//! make the layout whole: a mutation never finds those by itself. What is
//! taken for an image is written and must be readable again.

use std::fs;

use profiler::image::{self, Reference, Subset, Tree, WriteOptions};
use serde_json::json;

use crate::image::{archive, digest, scratch};

/// Takes in one input.
pub fn run(data: &[u8]) {
    let layer = [0; 1024];
    let mut parts = data.splitn(2, |&byte| byte == 0);
    let config = filled(parts.next().unwrap_or_default(), &[("@DIFF@", &digest(&layer))]);
    let manifest = parts.next().unwrap_or_default();
    let digests = [("@CONFIG@", &*digest(&config)), ("@LAYER@", &*digest(&layer))];
    let manifest = filled(manifest, &digests);

    let directory = scratch().join("layout");
    let blobs = directory.join("blobs/sha256");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&blobs).expect("a directory");
    for blob in [&layer[..], &config, &manifest] {
        fs::write(blobs.join(digest(blob).trim_start_matches("sha256:")), blob).expect("a blob");
    }
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest(&manifest),
        "size": manifest.len(),
    }]});
    fs::write(directory.join("index.json"), index.to_string()).expect("an index");
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a file");

    let reference: Reference = format!("oci:{}", directory.display()).parse().expect("a name");
    let Ok(source) = image::open(&reference) else { return };
    let Ok(tree) = Tree::build(&source.layers) else { return };
    let subset = Subset { keep: tree.all().into_iter().collect(), ..Subset::default() };
    let options = WriteOptions { force: true, ..WriteOptions::default() };
    let output = archive("result.tar");
    if image::write(&source, &tree, &subset, &output, &options).is_ok() {
        image::open(&output).expect("what was written can be read");
    }
}

/// The text with its placeholders filled in.
fn filled(text: &[u8], values: &[(&str, &str)]) -> Vec<u8> {
    let mut filled = Vec::new();
    let mut rest = text;
    'bytes: while let Some((&byte, after)) = rest.split_first() {
        for (name, value) in values {
            if let Some(after) = rest.strip_prefix(name.as_bytes()) {
                filled.extend_from_slice(value.as_bytes());
                rest = after;
                continue 'bytes;
            }
        }
        filled.push(byte);
        rest = after;
    }
    filled
}
