//! Whole images, and each way in which one can be damaged.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::blob::digest_of;
use super::super::tests::Tar;
use super::{Finding, Problem, validate};

/// An OCI layout that tests damage.
struct Layout {
    directory: TempDir,
    config: Value,
    manifest: Value,
    /// The manifest's descriptor, as far as it is not computed.
    descriptor: Value,
}

impl Layout {
    /// An image of gzip layers that is whole once it is written.
    fn new(tars: &[Vec<u8>]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
        let diff_ids: Vec<String> = tars.iter().map(|tar| digest_of(tar)).collect();
        let mut layout = Self {
            directory,
            config: json!({
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            }),
            manifest: json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "layers": [],
            }),
            descriptor: json!({"mediaType": "application/vnd.oci.image.manifest.v1+json"}),
        };
        let layers = tars.iter().map(|tar| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(tar).unwrap();
            layout.put(&gzip.finish().unwrap(), "application/vnd.oci.image.layer.v1.tar+gzip")
        });
        layout.manifest["layers"] = layers.collect();
        layout
    }

    /// An ordinary image of two layers.
    fn ordinary() -> Self {
        let lower = Tar::new().dir("etc/").file("etc/one", "1").file("etc/two", "2");
        let upper = Tar::new().dir("etc/").file("etc/.wh.two", "").hard("etc/again", "etc/one");
        Self::new(&[lower.bytes(), upper.bytes()])
    }

    /// Stores a blob, returns its descriptor.
    fn put(&self, bytes: &[u8], media_type: &str) -> Value {
        let digest = digest_of(bytes);
        fs::write(self.path(&digest), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.directory.path().join("blobs").join(digest.replace(':', "/"))
    }

    /// Path of a layer's blob.
    fn layer(&self, number: usize) -> PathBuf {
        self.path(self.manifest["layers"][number]["digest"].as_str().unwrap())
    }

    /// Stores config, manifest and index; a config that the manifest names
    /// already stays.
    fn write(&mut self) {
        if self.manifest.get("config").is_none() {
            let config = self.config.to_string();
            let media_type = "application/vnd.oci.image.config.v1+json";
            self.manifest["config"] = self.put(config.as_bytes(), media_type);
        }
        let mut descriptor = self.put(self.manifest.to_string().as_bytes(), "");
        for (key, value) in self.descriptor.as_object().unwrap() {
            descriptor[key] = value.clone();
        }
        self.index(&json!([descriptor]));
    }

    fn index(&self, manifests: &Value) {
        let root = self.directory.path();
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(root.join("index.json"), index.to_string()).unwrap();
        fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    }

    fn findings(&self) -> Vec<Finding> {
        findings("oci", self.directory.path())
    }

    /// Writes it, and what is found.
    fn problems(mut self) -> Vec<Problem> {
        self.write();
        problems(self.findings())
    }
}

fn findings(transport: &str, path: &Path) -> Vec<Finding> {
    validate(&format!("{transport}:{}", path.display()).parse().unwrap()).unwrap()
}

fn problems(findings: Vec<Finding>) -> Vec<Problem> {
    findings.into_iter().map(|finding| finding.problem).collect()
}

/// What is found in an image of these layers.
fn of_layers<const N: usize>(layers: [Tar; N]) -> Vec<Problem> {
    Layout::new(&layers.map(Tar::bytes)).problems()
}

/// A tar of one file whose header is changed; the checksum fits again.
fn header(name: &str, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = Tar::new().file(name, "").bytes();
    change(&mut bytes[..512]);
    let mut header = tar::Header::from_byte_slice(&bytes[..512]).clone();
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    bytes
}

/// What is found in a layer whose only file has this name, whatever it is.
fn of_name(name: &[u8]) -> Vec<Problem> {
    let tar = header("x", |header| header[..name.len()].copy_from_slice(name));
    Layout::new(&[tar]).problems()
}

#[test]
fn a_whole_image_has_no_findings() {
    assert_eq!(Layout::ordinary().problems(), []);
}

#[test]
fn a_layer_with_a_changed_byte_is_found() {
    let mut layout = Layout::ordinary();
    layout.write();
    let path = layout.layer(0);
    let mut bytes = fs::read(&path).unwrap();
    // The time stamp in gzip's header: unpacked it is the same.
    bytes[5] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(matches!(problems(layout.findings())[..], [Problem::Digest { .. }]));
}

#[test]
fn a_layer_that_is_cut_short_is_found() {
    let mut layout = Layout::ordinary();
    layout.write();
    let path = layout.layer(1);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
    let found = problems(layout.findings());
    assert!(
        matches!(found[..], [Problem::Unpack(_), Problem::Size { .. }, Problem::Digest { .. }]),
        "{found:?}"
    );
}

#[test]
fn bytes_after_a_layer_are_found() {
    let mut layout = Layout::ordinary();
    layout.write();
    let path = layout.layer(1);
    fs::write(&path, [fs::read(&path).unwrap(), b"more".to_vec()].concat()).unwrap();
    let found = problems(layout.findings());
    assert!(found.iter().any(|problem| matches!(problem, Problem::Size { .. })), "{found:?}");
    assert!(found.iter().any(|problem| matches!(problem, Problem::Digest { .. })), "{found:?}");
}

#[test]
fn every_missing_blob_is_found() {
    for which in 0..4 {
        let mut layout = Layout::ordinary();
        layout.write();
        let manifest = digest_of(layout.manifest.to_string().as_bytes());
        let gone = match which {
            0 => layout.path(&manifest),
            1 => layout.path(layout.manifest["config"]["digest"].as_str().unwrap()),
            number => layout.layer(number - 2),
        };
        fs::remove_file(&gone).unwrap();
        let found = layout.findings();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(matches!(found[0].problem, Problem::Missing(_)), "{found:?}");
        let hex = gone.file_name().unwrap().to_str().unwrap();
        assert!(found[0].place.ends_with(hex), "{found:?}");
    }
}

#[test]
fn a_foreign_layer_may_be_elsewhere() {
    let tar = Tar::new().file("a", "1").bytes();
    let mut layout = Layout::new(&[tar]);
    let layer = &mut layout.manifest["layers"][0];
    layer["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    layer["urls"] = json!(["https://example.com/layer"]);
    fs::remove_file(layout.layer(0)).unwrap();
    assert_eq!(layout.problems(), []);
}

#[test]
fn a_config_that_is_not_the_named_one_is_found() {
    let mut layout = Layout::ordinary();
    layout.write();
    let path = layout.path(layout.manifest["config"]["digest"].as_str().unwrap());
    let other = fs::read_to_string(&path).unwrap().replace("amd64", "arm64");
    fs::write(path, other).unwrap();
    assert!(matches!(problems(layout.findings())[..], [Problem::Digest { .. }]));
}

#[test]
fn a_manifest_that_is_no_json_is_found() {
    let layout = Layout::ordinary();
    let descriptor = layout.put(b"{", "application/vnd.oci.image.manifest.v1+json");
    layout.index(&json!([descriptor]));
    assert!(matches!(problems(layout.findings())[..], [Problem::NotJson(_)]));
}

#[test]
fn a_config_that_is_no_json_is_found() {
    let mut layout = Layout::ordinary();
    layout.manifest["config"] = layout.put(b"[", "application/vnd.oci.image.config.v1+json");
    assert!(matches!(layout.problems()[..], [Problem::NotJson(_)]));
}

#[test]
fn descriptors_without_a_digest_or_size_are_found() {
    let mut layout = Layout::ordinary();
    layout.manifest["layers"][0]["digest"] = json!("sha256:../../etc/passwd");
    layout.manifest["layers"][1]["size"] = json!("12");
    let found = layout.problems();
    let expected =
        [Problem::NotADigest("sha256:../../etc/passwd".into()), Problem::Descriptor("size")];
    assert_eq!(found, expected);
}

#[test]
fn media_types_of_something_else_are_found() {
    let mut layout = Layout::ordinary();
    layout.descriptor["mediaType"] = json!("application/json");
    layout.manifest["layers"][0]["mediaType"] = json!("text/plain");
    let found = layout.problems();
    // The manifest's own does not fit the descriptor's either.
    let types: Vec<&str> = found
        .iter()
        .map(|problem| match problem {
            Problem::MediaType { found, .. } => found.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    let own = "application/vnd.oci.image.manifest.v1+json";
    assert_eq!(types, ["application/json", own, "text/plain"]);
}

#[test]
fn a_layer_packed_in_another_way_than_its_media_type_says_is_found() {
    for media_type in [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
    ] {
        let mut layout = Layout::ordinary();
        layout.manifest["layers"][1]["mediaType"] = json!(media_type);
        let found = layout.problems();
        assert!(matches!(found[..], [Problem::Compression { found: "gzip", .. }]), "{found:?}");
    }
}

#[test]
fn zstd_layers_are_unpacked_and_checked() {
    let tar = Tar::new().file("a", "1").bytes();
    let mut layout = Layout::new(std::slice::from_ref(&tar));
    let packed = zstd::stream::encode_all(&tar[..], 1).unwrap();
    let layer = layout.put(&packed, "application/vnd.oci.image.layer.v1.tar+zstd");
    layout.manifest["layers"] = json!([layer]);
    layout.config["rootfs"]["diff_ids"] = json!([digest_of(b"another")]);
    let found = layout.problems();
    assert!(
        matches!(&found[..], [Problem::DiffId { found, .. }] if *found == digest_of(&tar)),
        "{found:?}"
    );
}

#[test]
fn another_schema_version_is_found() {
    let mut layout = Layout::ordinary();
    layout.manifest["schemaVersion"] = json!(1);
    assert!(matches!(layout.problems()[..], [Problem::Value { key: "schemaVersion", .. }]));
}

#[test]
fn a_manifest_without_config_or_layers_is_found() {
    let mut layout = Layout::ordinary();
    layout.manifest.as_object_mut().unwrap().remove("layers");
    assert_eq!(layout.problems(), [Problem::Field("layers")]);
    let layout = Layout::ordinary();
    let manifest = layout
        .put(layout.manifest.to_string().as_bytes(), "application/vnd.oci.image.manifest.v1+json");
    layout.index(&json!([manifest]));
    assert_eq!(problems(layout.findings()), [Problem::Field("config")]);
}

#[test]
fn a_config_without_architecture_or_os_is_found() {
    let mut layout = Layout::ordinary();
    layout.config["architecture"] = json!("");
    layout.config.as_object_mut().unwrap().remove("os");
    assert_eq!(layout.problems(), [Problem::Field("architecture"), Problem::Field("os")]);
}

#[test]
fn a_config_without_layers_is_found() {
    let mut layout = Layout::ordinary();
    layout.config["rootfs"] = json!({"type": "other"});
    let found = layout.problems();
    assert!(
        matches!(
            found[..],
            [Problem::Value { key: "rootfs.type", .. }, Problem::Field("rootfs.diff_ids")]
        ),
        "{found:?}"
    );
}

#[test]
fn another_number_of_layers_than_diff_ids_is_found() {
    let mut layout = Layout::ordinary();
    layout.manifest["layers"].as_array_mut().unwrap().pop();
    assert_eq!(layout.problems(), [Problem::LayerCount { layers: 1, diff_ids: 2 }]);
}

#[test]
fn a_history_of_another_number_of_layers_is_found() {
    let mut layout = Layout::ordinary();
    layout.config["history"] =
        json!([{"created_by": "a"}, {"created_by": "b", "empty_layer": true}]);
    assert_eq!(layout.problems(), [Problem::History { entries: 1, diff_ids: 2 }]);
}

#[test]
fn a_diff_id_of_another_layer_is_found() {
    let mut layout = Layout::ordinary();
    let ids = layout.config["rootfs"]["diff_ids"].as_array_mut().unwrap();
    ids.swap(0, 1);
    let found = layout.problems();
    assert!(matches!(found[..], [Problem::DiffId { .. }, Problem::DiffId { .. }]), "{found:?}");
}

#[test]
fn a_diff_id_that_is_no_digest_is_found() {
    let mut layout = Layout::ordinary();
    layout.config["rootfs"]["diff_ids"][0] = json!("sha512:00");
    let found = layout.problems();
    assert!(matches!(found[..], [Problem::NotADigest(_), Problem::DiffId { .. }]), "{found:?}");
}

#[test]
fn an_index_is_checked_with_all_its_platforms() {
    let mut layout = Layout::ordinary();
    layout.write();
    let of = |architecture: &str, bytes: &[u8]| {
        let mut descriptor = layout.put(bytes, "application/vnd.oci.image.manifest.v1+json");
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        descriptor
    };
    let manifest = layout.manifest.to_string();
    let index = |manifests: Value| {
        let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        layout.put(index.as_bytes(), "application/vnd.oci.image.index.v1+json")
    };
    let good = of("amd64", manifest.as_bytes());
    layout.index(&json!([index(json!([good]))]));
    assert_eq!(layout.findings(), []);
    // The same image said to be for two platforms, and one that is not there.
    let wrong = of("arm64", manifest.replace("\"layers\"", " \"layers\"").as_bytes());
    let gone = of("s390x", b"{}");
    fs::remove_file(layout.path(gone["digest"].as_str().unwrap())).unwrap();
    layout.index(&json!([index(json!([good, wrong, gone]))]));
    let found = problems(layout.findings());
    let platform =
        Problem::Platform { expected: "linux/arm64".into(), found: "linux/amd64".into() };
    assert_eq!(found[0], platform);
    assert!(matches!(found[1..], [Problem::Missing(_)]), "{found:?}");
}

#[test]
fn artefacts_beside_an_image_are_no_findings() {
    let mut layout = Layout::ordinary();
    layout.write();
    let image = layout
        .put(layout.manifest.to_string().as_bytes(), "application/vnd.oci.image.manifest.v1+json");
    let artefact = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.cyclonedx+json",
        "config": layout.put(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [layout.put(b"{\"a\":1}", "application/vnd.cyclonedx+json")],
        "subject": image,
    });
    let statement = layout.put(b"{\"b\":1}", "application/vnd.in-toto+json");
    let config = json!({
        "architecture": "unknown", "os": "unknown",
        "rootfs": {"type": "layers", "diff_ids": [statement["digest"]]},
    });
    let attestation = json!({
        "schemaVersion": 2,
        "config": layout.put(
            config.to_string().as_bytes(),
            "application/vnd.oci.image.config.v1+json",
        ),
        "layers": [statement],
    });
    let manifests = [artefact, attestation].map(|manifest| {
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        layout.put(manifest.to_string().as_bytes(), media_type)
    });
    layout.index(&json!([image, manifests[0], manifests[1]]));
    assert_eq!(layout.findings(), []);
    // Their blobs are looked at all the same.
    fs::write(layout.path(&digest_of(b"{\"a\":1}")), "{\"a\":2}").unwrap();
    assert!(matches!(problems(layout.findings())[..], [Problem::Digest { .. }]));
}

#[test]
fn a_layout_without_its_version_is_found() {
    let mut layout = Layout::ordinary();
    layout.write();
    let file = layout.directory.path().join("oci-layout");
    fs::write(&file, r#"{"imageLayoutVersion":"2"}"#).unwrap();
    assert!(matches!(problems(layout.findings())[..], [Problem::Value { .. }]));
    fs::remove_file(file).unwrap();
    assert!(matches!(problems(layout.findings())[..], [Problem::Missing(_)]));
}

#[test]
fn names_that_lead_elsewhere_are_found() {
    for name in ["/etc/passwd", "../a", "a/../b", "a//b", "./a/./b", ".."] {
        let found = of_name(name.as_bytes());
        assert!(matches!(found[..], [Problem::Name(_)]), "{name}: {found:?}");
    }
    for name in ["a", "./a", "a/b", "..a", "\u{e9}"] {
        assert_eq!(of_name(name.as_bytes()), [], "{name}");
    }
    assert_eq!(of_name(b"\xff\xfe"), [], "names need not be UTF-8");
    let root = Tar::new().dir("./").file("./a", "1");
    assert_eq!(of_layers([root]), []);
}

#[test]
fn a_name_twice_in_a_layer_is_found() {
    assert_eq!(of_layers([Tar::new().file("a", "1").file("./a", "2")]), [Problem::Duplicate]);
    assert_eq!(of_layers([Tar::new().file("a", "1"), Tar::new().file("a", "2")]), []);
}

#[test]
fn hard_links_that_lead_to_nothing_are_found() {
    let why = |found: Vec<Problem>| match &found[..] {
        [Problem::HardLink { why, .. }] => *why,
        _ => panic!("{found:?}"),
    };
    let gone = "is not there before it";
    assert_eq!(why(of_layers([Tar::new().hard("b", "a")])), gone);
    assert_eq!(why(of_layers([Tar::new().hard("b", "a").file("a", "1")])), gone);
    let whited =
        [Tar::new().file("a", "1"), Tar::new().file(".wh.a", ""), Tar::new().hard("b", "a")];
    assert_eq!(why(of_layers(whited)), gone);
    let directory = Tar::new().dir("a/").hard("b", "a");
    assert_eq!(why(of_layers([directory])), "is a directory");
    let symlink = Tar::new().link("a", "x").hard("b", "a").hard("c", "b");
    assert_eq!(of_layers([symlink, Tar::new().hard("d", "a")]), []);
}

#[test]
fn malformed_whiteouts_are_found() {
    let odd = |tar: Tar| {
        let found = of_layers([tar]);
        assert!(matches!(found[..], [Problem::Whiteout(_)]), "{found:?}");
    };
    odd(Tar::new().file(".wh.a", "content"));
    odd(Tar::new().link(".wh.a", "b"));
    odd(Tar::new().file(".wh.", ""));
    odd(Tar::new().file(".wh...", ""));
    odd(Tar::new().file(".wh..wh.aufs", ""));
    odd(Tar::new().dir(".wh..wh.plnk/"));
    odd(Tar::new().file("d/.wh..wh..opq", "x"));
    assert_eq!(of_layers([Tar::new().dir("d/").file("d/.wh..wh..opq", "").file(".wh.x", "")]), []);
}

#[test]
fn entries_that_do_not_lie_in_directories_are_found() {
    let what = |found: Vec<Problem>| match &found[..] {
        [Problem::Parent { what, .. }] => *what,
        _ => panic!("{found:?}"),
    };
    assert_eq!(what(of_layers([Tar::new().file("a", "1").file("a/b", "2")])), "no directory");
    let upper = || Tar::new().file("a/b/c", "2");
    assert_eq!(what(of_layers([Tar::new().file("a", "1"), upper()])), "no directory");
    assert_eq!(what(of_layers([Tar::new().link("a", "x"), upper()])), "a symlink");
    // Replaced or taken away, it does not stand in the way.
    assert_eq!(of_layers([Tar::new().link("a", "x"), Tar::new().dir("a/").file("a/b", "")]), []);
    assert_eq!(of_layers([Tar::new().file("a", "1"), Tar::new().file(".wh.a", ""), upper()]), []);
    let opaque = Tar::new().dir("d/").file("d/.wh..wh..opq", "").file("d/a/b", "");
    assert_eq!(of_layers([Tar::new().dir("d/").link("d/a", "x"), opaque]), []);
    // A directory's replacement takes what was in it.
    let replaced = [Tar::new().dir("a/").file("a/b", "1"), Tar::new().file("a", "2")];
    assert_eq!(of_layers(replaced), []);
}

#[test]
fn tars_that_are_none_are_found() {
    let good = Tar::new().file("a", &"x".repeat(2000)).bytes();
    for (bytes, word) in [
        (good[..1024].to_vec(), "ends within a"),
        (good[..700].to_vec(), "ends within a"),
        (good[..300].to_vec(), "into a header"),
        (Vec::new(), "empty"),
        (vec![b'x'; 1024], "checksum"),
    ] {
        let found = Layout::new(&[bytes]).problems();
        assert!(matches!(&found[..], [Problem::Tar(why)] if why.contains(word)), "{found:?}");
    }
    // An extension that claims a gigabyte.
    let bomb = header("x", |header| {
        header[156] = b'x';
        header[124..136].copy_from_slice(b"10000000000\0");
    });
    let found = Layout::new(&[bomb]).problems();
    assert!(matches!(&found[..], [Problem::Tar(why)] if why.contains("extension")), "{found:?}");
}

#[test]
fn long_names_are_read_whole() {
    let long = format!("{}/file", "d".repeat(150));
    let pax = Tar::new().file(&long, "1").hard("again", &long);
    assert_eq!(of_layers([pax]), []);
}

#[test]
fn sparse_files_with_long_maps_are_read() {
    let mut tar = header("sparse", |header| {
        header[156] = b'S';
        header[257..265].copy_from_slice(b"ustar  \0");
        header[482] = 1;
    });
    let mut map = [0; 1024];
    map[504] = 1;
    tar.splice(512..512, map);
    assert_eq!(Layout::new(&[tar]).problems(), []);
}

/// An archive as `docker save` writes them, damaged by `change`.
fn archive(change: impl FnOnce(&mut Value, &mut String, &mut Vec<Vec<u8>>)) -> Vec<Problem> {
    let mut layers = vec![Tar::new().file("a", "1").bytes(), Tar::new().file("b", "2").bytes()];
    let diff_ids: Vec<String> = layers.iter().map(|tar| digest_of(tar)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let mut config = config.to_string();
    let name = format!("{}.json", digest_of(config.as_bytes()).trim_start_matches("sha256:"));
    let mut manifest =
        json!([{"Config": name, "RepoTags": ["x:1"], "Layers": ["0/layer.tar", "1/layer.tar"]}]);
    change(&mut manifest, &mut config, &mut layers);
    let mut tar = Tar::new();
    for (number, layer) in layers.iter().enumerate() {
        let name = format!("{number}/layer.tar");
        tar = tar.entry(tar::EntryType::Regular, &name, "", 0o644, layer);
    }
    let tar = tar.file(&name, &config).file("manifest.json", &manifest.to_string());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image.tar");
    fs::write(&path, tar.bytes()).unwrap();
    problems(findings("docker-archive", &path))
}

#[test]
fn archives_of_docker_are_checked_by_their_configs() {
    assert_eq!(archive(|_, _, _| {}), []);
    let found = archive(|_, config, _| config.push(' '));
    assert!(matches!(found[..], [Problem::Digest { .. }]), "{found:?}");
    let found = archive(|_, _, layers| layers.swap(0, 1));
    assert!(matches!(found[..], [Problem::DiffId { .. }, Problem::DiffId { .. }]), "{found:?}");
    let found = archive(|_, _, layers| drop(layers.pop()));
    assert!(matches!(found[..], [Problem::Missing(_)]), "{found:?}");
    let found = archive(|manifest, _, _| {
        manifest[0]["Layers"].as_array_mut().unwrap().pop();
    });
    assert_eq!(found, [Problem::LayerCount { layers: 1, diff_ids: 2 }]);
    let found = archive(|manifest, _, _| manifest[0]["Config"] = json!("none.json"));
    assert!(matches!(found[..], [Problem::Missing(_)]), "{found:?}");
}

#[test]
fn what_is_no_image_at_all_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    for reference in [format!("oci:{path}"), format!("oci-archive:{path}/x.tar")] {
        assert!(validate(&reference.parse().unwrap()).is_err(), "{reference}");
    }
    let mut layout = Layout::ordinary();
    layout.write();
    let path = layout.directory.path().display();
    assert!(validate(&format!("oci:{path}:other").parse().unwrap()).is_err());
}
