//! Images whose layers hold what is easily lost, minimized over two
//! transports, and what the results' layers hold.
//!
//! The layers are read from what the engines and the layout give out, by an
//! ordinary tar reader: nothing here asks the program under test.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::engine::{Image, docker, output};
use crate::images;
use crate::program::{Outcome, profile_file, profiler};

/// Longest file whose bytes are kept with its entry.
const DATA_MAX: u64 = 64 * 1024;

/// None of the cases needs one, and its set-up is what takes longest.
pub const NETWORK: &str = "--network=none";

/// One entry of a layer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Without slashes at either end; empty for the root directory.
    pub path: Vec<u8>,
    /// What the header says it is.
    pub kind: tar::EntryType,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Bytes of content.
    pub size: u64,
    /// Where a symlink or a hard link leads.
    pub link: Vec<u8>,
    /// Extended attributes by name.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The content of a short file.
    pub data: Vec<u8>,
}

/// An image that was built and is profiled.
pub struct Case {
    /// The source.
    pub image: Image,
    directory: TempDir,
}

/// What became of it over one transport.
pub struct Minimized {
    /// `docker-daemon` or `oci`, for messages.
    pub transport: &'static str,
    /// The result, in the Docker daemon whatever the transport.
    pub image: Image,
    /// Its layers, lowest first, as the transport holds them.
    pub layers: Vec<Vec<Entry>>,
    /// Its config, as the transport holds it.
    pub config: Value,
    /// The report.
    pub report: Value,
}

impl Case {
    /// Builds `profiler-test/faithful-NAME`; see [`images::build`].
    #[track_caller]
    pub fn build(name: &str, dockerfile: &str, fill: impl FnOnce(&Path)) -> Self {
        let image = images::build(&format!("faithful-{name}"), dockerfile, fill);
        Self { image, directory: tempfile::tempdir().expect("a directory") }
    }

    /// Profiles `docker run OPTIONS IMAGE ARGUMENTS`; its stdout.
    #[track_caller]
    pub fn profile(&self, options: &[&str], arguments: &[&str]) -> String {
        let outcome = Outcome::of(
            profiler(["run", "--image", &self.image.name, "-o"])
                .arg(profile_file(self.directory.path()))
                .args(["--", "docker", "run", "--rm", NETWORK])
                .args(options)
                .arg(&self.image.name)
                .args(arguments),
        )
        .succeeded();
        outcome.stdout.trim().to_owned()
    }

    /// Minimizes the image from the daemon into the daemon, and a copy of it
    /// in a layout into another layout.
    #[track_caller]
    pub fn minimized(&self) -> [Minimized; 2] {
        self.minimized_with(&[])
    }

    /// The same with more arguments.
    #[track_caller]
    pub fn minimized_with(&self, arguments: &[&str]) -> [Minimized; 2] {
        [self.by_daemon(arguments), self.by_layout(arguments)]
    }

    #[track_caller]
    fn by_daemon(&self, arguments: &[&str]) -> Minimized {
        let image = Image::future("faithful");
        let output = format!("docker-daemon:{}", image.name);
        let report = self.minimize(&self.image.name, &output, arguments);
        let saved = Saved::of(&image.name);
        let layers = saved.layers.iter().map(|layer| entries(open(layer))).collect();
        Minimized { transport: "docker-daemon", image, layers, config: saved.config, report }
    }

    #[track_caller]
    fn by_layout(&self, arguments: &[&str]) -> Minimized {
        let source = tempfile::tempdir().expect("a directory");
        layout(&Saved::of(&self.image.name), source.path());
        let target = tempfile::tempdir().expect("a directory");
        let output = format!("oci:{}:min", target.path().display());
        let report = self.minimize(&format!("oci:{}", source.path().display()), &output, arguments);
        let (image, layers, config) = from_layout(target.path(), "min");
        Minimized { transport: "oci", image, layers, config, report }
    }

    #[track_caller]
    fn minimize(&self, source: &str, output: &str, arguments: &[&str]) -> Value {
        let report = self.directory.path().join("report.json");
        Outcome::of(
            profiler(["minimize", source, "--output", output, "--profile"])
                .arg(profile_file(self.directory.path()))
                .arg("--report")
                .arg(&report)
                .args(arguments),
        )
        .succeeded();
        serde_json::from_slice(&fs::read(&report).expect("a report")).expect("a report is JSON")
    }

    /// The source's layers.
    #[track_caller]
    pub fn layers(&self) -> Vec<Vec<Entry>> {
        layers_of(&self.image)
    }

    /// Where [`profile`](Self::profile) leaves the profile.
    pub fn profile_file(&self) -> PathBuf {
        profile_file(self.directory.path())
    }
}

impl Minimized {
    /// What `docker run OPTIONS IMAGE ARGUMENTS` says on stdout.
    #[track_caller]
    pub fn run(&self, options: &[&str], arguments: &[&str]) -> String {
        let before = ["run", "--rm", NETWORK].iter().chain(options);
        docker(before.chain([&self.image.name.as_str()]).chain(arguments))
    }

    /// All entries of a path, lowest layer first.
    pub fn entries(&self, path: impl AsRef<[u8]>) -> Vec<&Entry> {
        all(&self.layers, path.as_ref())
    }

    /// The one entry of a path.
    #[track_caller]
    pub fn entry(&self, path: impl AsRef<[u8]>) -> &Entry {
        let path = path.as_ref();
        let found = self.entries(path);
        let shown = String::from_utf8_lossy(path).into_owned();
        assert_eq!(found.len(), 1, "{}: entries of {shown}: {found:?}", self.transport);
        found[0]
    }
}

/// The layers of an image in the Docker daemon, lowest first.
#[track_caller]
pub fn layers_of(image: &Image) -> Vec<Vec<Entry>> {
    Saved::of(&image.name).layers.iter().map(|layer| entries(open(layer))).collect()
}

/// All entries of a path in some layers.
pub fn all<'a>(layers: &'a [Vec<Entry>], path: &[u8]) -> Vec<&'a Entry> {
    layers.iter().flatten().filter(|entry| entry.path == path).collect()
}

/// What `docker save` gives out, unpacked.
struct Saved {
    _directory: TempDir,
    config: Value,
    config_bytes: Vec<u8>,
    layers: Vec<PathBuf>,
}

impl Saved {
    #[track_caller]
    fn of(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = r#"docker save "$0" | tar -xC "$1""#;
        output(Command::new("sh").args(["-c", pipe, name]).arg(directory.path()));
        let read = |name: &str| fs::read(directory.path().join(name)).expect("a saved file");
        let manifest: Value = serde_json::from_slice(&read("manifest.json")).expect("a manifest");
        let config_bytes = read(manifest[0]["Config"].as_str().expect("a config"));
        let layers = manifest[0]["Layers"].as_array().expect("layers").iter();
        let layers =
            layers.map(|name| directory.path().join(name.as_str().expect("a name"))).collect();
        let config = serde_json::from_slice(&config_bytes).expect("a config is JSON");
        Self { _directory: directory, config, config_bytes, layers }
    }
}

/// Makes a layout of a saved image whose config and layers are the same byte
/// for byte. skopeo would write another config, without a health check.
fn layout(saved: &Saved, directory: &Path) {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a directory");
    let put = |bytes: &[u8]| {
        let digest = hex::encode(Sha256::digest(bytes));
        fs::write(blobs.join(&digest), bytes).expect("a blob");
        format!("sha256:{digest}")
    };
    let diff_ids = saved.config["rootfs"]["diff_ids"].as_array().expect("diff IDs");
    let layers: Vec<Value> = saved
        .layers
        .iter()
        .zip(diff_ids)
        .map(|(layer, diff_id)| {
            let hex = diff_id.as_str().expect("a digest").trim_start_matches("sha256:");
            let size = fs::copy(layer, blobs.join(hex)).expect("a layer");
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": diff_id, "size": size})
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": put(&saved.config_bytes),
            "size": saved.config_bytes.len(),
        },
        "layers": layers,
    })
    .to_string();
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": put(manifest.as_bytes()),
        "size": manifest.len(),
    }]});
    fs::write(directory.join("index.json"), index.to_string()).expect("an index");
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("a file");
}

/// Loads an image of a layout into the daemon, and reads its layers and
/// config.
#[track_caller]
pub fn from_layout(directory: &Path, tag: &str) -> (Image, Vec<Vec<Entry>>, Value) {
    let blob = |descriptor: &Value| {
        let hex = descriptor["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
        directory.join("blobs/sha256").join(hex)
    };
    let json = |path: &Path| -> Value {
        serde_json::from_slice(&fs::read(path).expect("a blob")).expect("a blob is JSON")
    };
    let index = json(&directory.join("index.json"));
    let manifests = index["manifests"].as_array().expect("manifests");
    let named = |m: &&Value| m["annotations"]["org.opencontainers.image.ref.name"] == tag;
    let descriptor = manifests.iter().find(named).expect("the tag");
    let manifest = json(&blob(descriptor));
    let descriptors = manifest["layers"].as_array().expect("layers");

    let image = Image::future("faithful-oci");
    let archive = directory.join("load.tar");
    let mut builder = tar::Builder::new(File::create(&archive).expect("a file"));
    let mut names = Vec::new();
    for (number, descriptor) in descriptors.iter().enumerate() {
        let name = format!("{number}/layer.tar");
        builder.append_path_with_name(blob(descriptor), &name).expect("a member");
        names.push(name);
    }
    let config = blob(&manifest["config"]);
    builder.append_path_with_name(&config, "config.json").expect("a member");
    let tags = [format!("{}:latest", image.name)];
    let list = json!([{"Config": "config.json", "RepoTags": tags, "Layers": names}]).to_string();
    let mut header = tar::Header::new_gnu();
    header.set_size(list.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append_data(&mut header, "manifest.json", list.as_bytes()).expect("a member");
    builder.into_inner().expect("an archive").flush().expect("an archive");
    docker(["load".as_ref(), "--quiet".as_ref(), "--input".as_ref(), archive.as_os_str()]);

    let layers = descriptors
        .iter()
        .map(|descriptor| entries(flate2::read::MultiGzDecoder::new(open(&blob(descriptor)))))
        .collect();
    (image, layers, json(&config))
}

fn open(path: &Path) -> File {
    File::open(path).expect("a layer")
}

/// Reads a layer.
fn entries(layer: impl std::io::Read) -> Vec<Entry> {
    let mut archive = tar::Archive::new(layer);
    let entries = archive.entries().expect("a tar");
    entries.map(|entry| read(entry.expect("an entry"))).collect()
}

fn read<R: std::io::Read>(mut entry: tar::Entry<'_, R>) -> Entry {
    let mut xattrs = BTreeMap::new();
    for record in entry.pax_extensions().expect("PAX records").into_iter().flatten() {
        let record = record.expect("a PAX record");
        let key = record.key().expect("a key");
        if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
            xattrs.insert(name.to_owned(), record.value_bytes().to_vec());
        }
    }
    let name = entry.path_bytes().into_owned();
    let name = name.strip_prefix(b"./").unwrap_or(&name);
    let name = name.strip_suffix(b"/").unwrap_or(name).to_vec();
    let size = entry.size();
    let mut data = Vec::new();
    if size <= DATA_MAX {
        entry.read_to_end(&mut data).expect("content");
    }
    Entry {
        path: name,
        kind: entry.header().entry_type(),
        mode: entry.header().mode().expect("a mode") & 0o7777,
        size,
        link: entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default(),
        xattrs,
        data,
    }
}
