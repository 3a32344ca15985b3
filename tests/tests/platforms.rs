//! Indexes of images for several platforms.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::engine::{Image, docker, output};
use integration_tests::images;
use integration_tests::program::{Outcome, profile_file, profiler};
use serde_json::{Value, json};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A layout with an index of an amd64 and an arm64 image, and a profile of
/// each.
struct Bench(tempfile::TempDir);

impl Bench {
    #[track_caller]
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let (amd64, arm64) = (images::scratch(), images::arm64());
        let real = bench.path("real");
        fs::create_dir(&real).unwrap();
        Outcome::of(
            profiler(["run", "--image", &amd64.name, "-o"]).arg(profile_file(&real)).args([
                "--",
                "docker",
                "run",
                "--rm",
                "--network=none",
                &amd64.name,
            ]),
        )
        .succeeded();
        let mut profile: Value = serde_json::from_slice(&read(&profile_file(&real))).unwrap();
        let mut manifests = Vec::new();
        for (image, architecture) in [(&amd64, "amd64"), (&arm64, "arm64")] {
            manifests.push(bench.copy(image, architecture));
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        let bytes = index.to_string();
        let digest = sha256(&bytes);
        fs::write(bench.path("in/blobs/sha256").join(&digest), &bytes).unwrap();
        let tags = json!({"org.opencontainers.image.ref.name": "app"});
        let list = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": INDEX, "digest": format!("sha256:{digest}"), "size": bytes.len(),
            "annotations": tags,
        }]});
        fs::write(bench.path("in/index.json"), list.to_string()).unwrap();
        // Copied to a layout, the configs have other digests than in Docker.
        for (at, (architecture, program)) in
            [("amd64", "/toolbox"), ("arm64", "/usr/bin/ls")].into_iter().enumerate()
        {
            profile["image"]["architecture"] = json!(architecture);
            profile["image"]["id"] =
                bench.manifest("in", &manifests[at])["config"]["digest"].clone();
            if architecture == "arm64" {
                // No machine here runs it: what a run there would tell.
                profile["paths"] = json!([{"path": program, "kinds": ["exec"], "comm": "ls"}]);
                profile["names"] = json!([{"name": "/bin/ls", "kinds": ["exec"], "comm": "ls"}]);
            }
            fs::write(bench.path(&format!("{architecture}.json")), profile.to_string()).unwrap();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Copies an image from Docker into the layout; returns its descriptor.
    fn copy(&self, image: &Image, architecture: &str) -> Value {
        let layout = format!("oci:{}:{architecture}", self.path("in").display());
        let from = format!("docker-daemon:{}", latest(&image.name));
        output(Command::new("skopeo").args(["copy", "--quiet", &from, &layout]));
        let list: Value = serde_json::from_slice(&read(&self.path("in/index.json"))).unwrap();
        let found = list["manifests"].as_array().unwrap().iter().find(|manifest| {
            manifest["annotations"]["org.opencontainers.image.ref.name"] == architecture
        });
        let mut descriptor = found.unwrap().clone();
        descriptor.as_object_mut().unwrap().remove("annotations");
        descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
        descriptor
    }

    /// The document that a descriptor names.
    fn manifest(&self, layout: &str, descriptor: &Value) -> Value {
        let digest = descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:");
        serde_json::from_slice(&read(&self.path(layout).join("blobs/sha256").join(digest))).unwrap()
    }

    fn minimize(&self, profiles: &[&str], to: &str) -> Outcome {
        let from = format!("oci:{}:app", self.path("in").display());
        let profiles = profiles.iter().map(|name| self.path(name));
        let mut command = profiler(["minimize", &from, "--output", to, "--profile"]);
        Outcome::of(command.args(profiles))
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn latest(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

fn sha256(text: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let line = output(Command::new("sha256sum").arg(file.path()));
    line.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn an_index_in_and_profiles_of_its_platforms_give_an_index_out() {
    let bench = Bench::new();
    let to = format!("oci:{}:small", bench.path("out").display());
    bench.minimize(&["amd64.json", "arm64.json"], &to).succeeded();
    Outcome::of(&mut profiler(["validate", &to])).succeeded();
    let list: Value = serde_json::from_slice(&read(&bench.path("out/index.json"))).unwrap();
    assert_eq!(list["manifests"].as_array().unwrap().len(), 1, "{list}");
    let index = bench.manifest("out", &list["manifests"][0]);
    let platforms: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|manifest| manifest["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    // This machine's image of it runs; the other one has its own loader.
    let name = "profiler-test/platforms:small";
    let daemon = format!("docker-daemon:{name}");
    output(Command::new("skopeo").args(["copy", "--quiet", &to, &daemon]));
    let said = docker(["run", "--rm", "--network=none", name]);
    docker(["rmi", name]);
    assert!(!said.is_empty());
    let rootfs = bench.path("rootfs");
    let one = format!("{}:x", bench.path("one").display());
    let choice = ["--override-arch", "arm64", "copy", "--quiet", &to, &format!("oci:{one}")];
    output(Command::new("skopeo").args(choice));
    let unpack = ["raw", "unpack", "--image", &one];
    output(Command::new("umoci").args(unpack).arg(&rootfs));
    assert!(rootfs.join("usr/bin/ls").is_file());
    assert!(rootfs.join("usr/lib/ld-linux-aarch64.so.1").exists());
    assert!(!rootfs.join("usr/bin/cat").exists());
}

#[test]
fn a_profile_of_one_platform_gives_its_image_and_a_note_of_the_others() {
    let bench = Bench::new();
    let to = format!("oci:{}:small", bench.path("out").display());
    let outcome = bench.minimize(&["amd64.json"], &to).succeeded();
    assert!(outcome.stderr.contains("linux/amd64, linux/arm64"), "{}", outcome.stderr);
    let list: Value = serde_json::from_slice(&read(&bench.path("out/index.json"))).unwrap();
    assert!(bench.manifest("out", &list["manifests"][0])["layers"].is_array());
}

#[test]
fn an_index_goes_nowhere_where_there_are_none() {
    let bench = Bench::new();
    bench
        .minimize(&["amd64.json", "arm64.json"], "docker-daemon:profiler-test/platforms:none")
        .refused(2, &["index of several platforms", "oci:DIR:TAG", "--platform"]);
}
