//! A layout made by hand, so that it can be wrong.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::image::blob::digest_of;
use crate::image::{ImageError, OpenOptions, Reference, SourceImage, open_with};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// See the module.
pub struct Store {
    directory: tempfile::TempDir,
}

impl Store {
    pub fn new() -> Self {
        let store = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir_all(store.root().join("blobs/sha256")).unwrap();
        store
    }

    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    pub fn blob_path(&self, digest: &str) -> PathBuf {
        self.root().join("blobs").join(digest.replace(':', "/"))
    }

    /// Stores a blob and describes it.
    pub fn put(&self, kind: &str, bytes: &[u8]) -> Value {
        let digest = digest_of(bytes);
        fs::write(self.blob_path(&digest), bytes).unwrap();
        json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
    }

    /// Stores an image of these layers, as they are stored and plain.
    pub fn image(&self, architecture: &str, layers: &[(Vec<u8>, &[u8])]) -> Value {
        let diff_ids: Vec<String> = layers.iter().map(|(_, plain)| digest_of(plain)).collect();
        let config = json!({
            "architecture": architecture, "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "unknown": {"key": [1, 2]},
            "config": self.put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes()),
            "layers": layers.iter().map(|(blob, _)| self.put(LAYER, blob)).collect::<Vec<_>>(),
        });
        let mut descriptor = self.put(MANIFEST, manifest.to_string().as_bytes());
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        descriptor
    }

    /// Writes `index.json` of these descriptors.
    pub fn index(&self, manifests: &[Value]) -> &Self {
        let index = json!({"schemaVersion": 2, "manifests": manifests, "unknown": true});
        fs::write(self.root().join("index.json"), index.to_string()).unwrap();
        self
    }

    pub fn reference(&self) -> Reference {
        format!("oci:{}", self.root().display()).parse().unwrap()
    }

    pub fn open(&self) -> Result<SourceImage, ImageError> {
        self.open_for(None)
    }

    pub fn open_for(&self, platform: Option<&str>) -> Result<SourceImage, ImageError> {
        let platform = platform.map(|text| text.parse().unwrap());
        let options = OpenOptions { platform: platform.as_ref(), ..OpenOptions::default() };
        open_with(&self.reference(), &options)
    }
}
