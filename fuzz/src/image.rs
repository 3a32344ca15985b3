//! Images made of inputs, in files that are used again for every input.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use profiler::image::{self, Reference, SourceImage, Transport};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// A directory of this process, in memory where that is possible.
pub fn scratch() -> &'static PathBuf {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let top = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let directory = top.join(format!("profiler-fuzz-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a scratch directory");
        directory
    })
}

/// `sha256:…` of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A `docker-archive:` file of that name in the scratch directory.
pub fn archive(name: &str) -> Reference {
    let name = scratch().join(name).display().to_string();
    Reference { transport: Transport::DockerArchive, name, ..example() }
}

/// What other fields a reference has are at their default in a parsed one.
fn example() -> Reference {
    "docker-archive:x".parse().expect("a reference")
}

/// Opens an image of these layers, each a plain tar; none when a layer is
/// refused.
pub fn of_layers(layers: &[&[u8]]) -> Option<SourceImage> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut append = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).expect("a member");
    };
    let names: Vec<String> = (0..layers.len()).map(|number| format!("{number}.tar")).collect();
    for (name, layer) in names.iter().zip(layers) {
        append(name, layer);
    }
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/app"], "Volumes": {"/data": {}}, "WorkingDir": "/work"},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    append("config.json", config.to_string().as_bytes());
    let manifest = json!([{"Config": "config.json", "RepoTags": [], "Layers": names}]);
    append("manifest.json", manifest.to_string().as_bytes());
    let reference = archive("source.tar");
    let bytes = builder.into_inner().expect("an archive");
    fs::write(&reference.name, bytes).expect("an archive written");
    image::open(&reference).ok()
}
