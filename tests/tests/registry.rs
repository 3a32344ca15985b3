//! Images in registries: a real one, with and without logins and TLS.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use integration_tests::engine::{Image, docker, output, unique};
use integration_tests::images;
use integration_tests::program::{Outcome, profile_file, profiler};
use integration_tests::registry::{PASSWORD, Registry, USER, skopeo_copy};
use integration_tests::tokens::{IDENTITY, Tokens};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A profile of the scratch image, which is in a registry as `source:1`.
struct Bench {
    directory: TempDir,
    registry: Registry,
    image: Image,
}

impl Bench {
    #[track_caller]
    fn new(registry: Registry) -> Self {
        let bench = Self::without_image(registry);
        bench.registry.fill(&format!("docker-daemon:{}:latest", bench.image.name), "source:1");
        bench
    }

    #[track_caller]
    fn without_image(registry: Registry) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = images::scratch().own();
        let file = profile_file(directory.path());
        let mut run = profiler(["run", "--image", &image.name, "-o"]);
        run.arg(&file).args(["--", "docker", "run", "--rm", &image.name, "cat", "/etc/read.conf"]);
        Outcome::of(&mut run).succeeded();
        Self { directory, registry, image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn reference(&self, name: &str) -> String {
        self.registry.reference(name)
    }

    /// A command that finds no login but those in the test's directory.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = profiler(arguments);
        command
            .env("REGISTRY_AUTH_FILE", self.path("auth.json"))
            .env("DOCKER_CONFIG", self.directory.path());
        command
    }

    fn minimize(&self, source: &str, output: &str) -> Command {
        let mut command = self.command(&["minimize", source, "--output", output, "--profile"]);
        command.arg(profile_file(self.directory.path()));
        command
    }

    fn login(&self, password: &str) {
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{password}"));
        let auths = json!({ "auths": { &self.registry.host: { "auth": auth } } });
        fs::write(self.path("auth.json"), auths.to_string()).unwrap();
    }
}

/// Pulls an image with Docker and runs it.
#[track_caller]
fn pulled(registry: &Registry, name: &str, arguments: &[&str]) -> String {
    let name = format!("{}/{name}", registry.host);
    docker(["pull", "--quiet", &name]);
    Image { name, temporary: true }.run(arguments)
}

#[test]
fn an_image_goes_from_a_registry_to_a_registry() {
    let bench = Bench::new(Registry::start());
    let (source, small) = (bench.reference("source:1"), bench.reference("team/small:1"));
    Outcome::of(&mut bench.minimize(&source, &small)).succeeded();
    Outcome::of(&mut bench.command(&["validate", &small])).succeeded();
    assert_eq!(pulled(&bench.registry, "team/small:1", &["cat", "/etc/read.conf"]), "read.conf");

    // A name that is taken stays as it is unless told otherwise.
    Outcome::of(&mut bench.minimize(&source, &small)).refused(2, &["team/small:1", "--force"]);
    Outcome::of(bench.minimize(&source, &small).arg("--force")).succeeded();

    // The image is what it would be elsewhere, by its digest.
    let layout = format!("oci:{}:1", bench.path("layout").display());
    Outcome::of(&mut bench.minimize(&source, &layout)).succeeded();
    let index: Value =
        serde_json::from_slice(&fs::read(bench.path("layout/index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    let by_digest = bench.reference(&format!("team/small@{digest}"));
    Outcome::of(&mut bench.command(&["validate", &by_digest])).succeeded();
    Outcome::of(&mut bench.minimize(&source, &by_digest)).refused(2, &["an output", "tag"]);
}

#[test]
fn an_oci_image_is_read_as_a_docker_image_is() {
    let bench = Bench::new(Registry::start());
    let layout = format!("oci:{}:1", bench.path("layout").display());
    skopeo_copy(&bench.reference("source:1"), &layout);
    bench.registry.fill(&layout, "oci:1");
    let manifest = bench.registry.manifest("oci", "1");
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    let mut command = bench.minimize(&bench.reference("oci:1"), &bench.reference("small:1"));
    // Converted, the config has lost the health check and so is another.
    Outcome::of(command.arg("--allow-mismatch")).succeeded();
    assert_eq!(pulled(&bench.registry, "small:1", &["cat", "/etc/read.conf"]), "read.conf");
}

#[test]
fn what_a_registry_has_not_is_said() {
    let bench = Bench::new(Registry::start());
    for name in ["source:2", "none:1"] {
        let reference = bench.reference(name);
        let mut validate = bench.command(&["validate", &reference]);
        Outcome::of(&mut validate).refused(2, &[name, "not found"]);
    }
}

#[test]
fn logins_are_used_and_wrong_ones_told() {
    let bench = Bench::without_image(Registry::with_login());
    let from = format!("docker-daemon:{}", bench.image.name);
    let small = bench.reference("small:1");
    let host = bench.registry.host.clone();
    let refused =
        |words: &[&str]| Outcome::of(&mut bench.minimize(&from, &small)).refused(2, words);
    refused(&[&host, "anonymous", "push to small", "docker login"]);
    bench.login("wrong");
    let told = refused(&[&host, USER, "auth.json", "docker login"]);
    assert!(!told.stderr.contains("wrong"), "the password is told: {told:#?}");
    bench.login(PASSWORD);
    Outcome::of(&mut bench.minimize(&from, &small)).succeeded();
    Outcome::of(&mut bench.command(&["validate", &small])).succeeded();
    fs::write(bench.path("auth.json"), "{").unwrap();
    Outcome::of(&mut bench.command(&["validate", &small])).refused(2, &["auth.json", "log in"]);
}

#[test]
fn tokens_are_fetched_from_the_service_the_registry_names() {
    let tokens = Tokens::start();
    let bench = Bench::without_image(Registry::with_tokens(&tokens.realm(), &tokens.certificate()));
    let from = format!("docker-daemon:{}", bench.image.name);
    let small = bench.reference("team/small:1");
    Outcome::of(&mut bench.minimize(&from, &small))
        .refused(2, &[&bench.registry.host, "anonymous", "who are you?", "docker login"]);
    bench.login(PASSWORD);
    Outcome::of(&mut bench.minimize(&from, &small)).succeeded();
    // What `docker login` keeps of a service that gives identities.
    let auths = json!({ "auths": { &bench.registry.host: { "identitytoken": IDENTITY } } });
    fs::write(bench.path("auth.json"), auths.to_string()).unwrap();
    Outcome::of(&mut bench.command(&["validate", &small])).succeeded();
    Outcome::of(bench.minimize(&from, &small).arg("--force")).succeeded();
    bench.login("wrong");
    Outcome::of(&mut bench.command(&["validate", &small])).refused(2, &["auth.json", "pull"]);
}

#[test]
fn logins_come_from_helper_programs() {
    let bench = Bench::without_image(Registry::with_login());
    let helper = bench.path("docker-credential-profiler-test");
    let script = format!(
        "#!/bin/sh\nread host\n[ \"$1 $host\" = \"get {}\" ] || exit 1\n\
         echo '{{\"ServerURL\":\"x\",\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n",
        bench.registry.host
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bench.directory.path().display(), std::env::var("PATH").unwrap());
    let from = format!("docker-daemon:{}", bench.image.name);
    for (number, config) in [
        json!({"credHelpers": {&bench.registry.host: "profiler-test"}}),
        json!({"credsStore": "profiler-test"}),
    ]
    .iter()
    .enumerate()
    {
        fs::write(bench.path("config.json"), config.to_string()).unwrap();
        let mut minimize = bench.minimize(&from, &bench.reference(&format!("small:{number}")));
        Outcome::of(minimize.env("PATH", &path)).succeeded();
    }
    fs::write(bench.path("config.json"), r#"{"credsStore": "profiler-none"}"#).unwrap();
    let mut minimize = bench.minimize(&from, &bench.reference("small:9"));
    Outcome::of(&mut minimize).refused(2, &["docker-credential-profiler-none"]);
}

/// Stores the source as an index of two platforms, `index:1`.
#[track_caller]
fn make_index(bench: &Bench) -> Value {
    let layout = bench.path("platforms");
    let tag = |tag: &str| format!("oci:{}:{tag}", layout.display());
    skopeo_copy(&bench.reference("source:1"), &tag("amd64"));
    output(
        Command::new("umoci")
            .args(["config", "--architecture", "arm64", "--tag", "arm64", "--image"])
            .arg(format!("{}:amd64", layout.display())),
    );
    let index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let mut manifests = Vec::new();
    for descriptor in index["manifests"].as_array().unwrap().iter().rev() {
        let name = descriptor["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap();
        bench.registry.fill(&tag(name), &format!("index:{name}"));
        manifests.push(json!({
            "mediaType": descriptor["mediaType"],
            "digest": descriptor["digest"],
            "size": descriptor["size"],
            "platform": {"os": "linux", "architecture": name},
        }));
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    bench.registry.put_manifest("index", "1", &index);
    index
}

#[test]
fn of_an_index_this_machines_platform_is_taken() {
    let bench = Bench::new(Registry::start());
    let mut index = make_index(&bench);
    let (source, small) = (bench.reference("index:1"), bench.reference("small:1"));
    Outcome::of(&mut bench.command(&["validate", &source])).succeeded();
    Outcome::of(bench.minimize(&source, &small).arg("--allow-mismatch")).succeeded();
    assert_eq!(pulled(&bench.registry, "small:1", &["cat", "/etc/read.conf"]), "read.conf");

    // The wrong platform is told by the index.
    for manifest in index["manifests"].as_array_mut().unwrap() {
        manifest["platform"]["architecture"] = json!("amd64");
    }
    bench.registry.put_manifest("index", "2", &index);
    let wrong = bench.reference("index:2");
    let outcome = Outcome::of(&mut bench.command(&["validate", &wrong])).refused(1, &["1 finding"]);
    assert!(outcome.stdout.contains("is for linux/arm64"), "{outcome:#?}");
}

/// Digest of the first layer of `source:1`.
#[track_caller]
fn first_layer(bench: &Bench) -> String {
    let manifest = bench.registry.manifest("source", "1");
    manifest["layers"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_layer_that_was_tampered_with_makes_no_image() {
    let bench = Bench::new(Registry::start());
    let digest = first_layer(&bench);
    let file = bench.registry.blob(&digest);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let source = bench.reference("source:1");
    let out = format!("oci:{}", bench.path("out").display());
    Outcome::of(&mut bench.minimize(&source, &out)).refused(2, &["digest", &digest]);
    assert!(!bench.path("out").exists());
    let outcome = Outcome::of(&mut bench.command(&["validate", &source])).refused(1, &["finding"]);
    let expected = format!("layer {digest}: has digest ");
    assert!(outcome.stdout.contains(&expected), "{outcome:#?}");
}

#[test]
fn a_manifest_that_was_tampered_with_makes_no_image() {
    let bench = Bench::new(Registry::start());
    let text = bench.registry.digest("source:1");
    let file = bench.registry.blob(&text);
    let manifest = fs::read_to_string(&file).unwrap();
    fs::write(&file, manifest.replace('{', "{ ")).unwrap();
    let source = bench.reference(&format!("source@{text}"));
    let out = format!("oci:{}", bench.path("out").display());
    // The registry may notice first.
    Outcome::of(&mut bench.minimize(&source, &out)).refused(2, &["source"]);
    assert!(!bench.path("out").exists());
}

#[test]
fn a_registry_that_is_not_there_is_said_at_once() {
    let bench = Bench::without_image(Registry::start());
    let nobody = format!("docker://127.0.0.1:1/{}", unique("none"));
    let start = std::time::Instant::now();
    Outcome::of(&mut bench.command(&["validate", &nobody]))
        .refused(2, &["cannot reach registry 127.0.0.1:1"]);
    assert!(start.elapsed().as_secs() < 10);
}

#[test]
fn certificates_are_checked() {
    let registry = Registry::with_tls();
    let bench = Bench::new(registry);
    let source = bench.reference("source:1");
    let mut validate = bench.command(&["validate", &source]);
    Outcome::of(&mut validate).refused(2, &["cannot reach registry", "ertificate"]);
    Outcome::of(validate.env("SSL_CERT_FILE", bench.registry.certificate())).succeeded();
    let mut minimize = bench.minimize(&source, &bench.reference("small:1"));
    Outcome::of(minimize.env("SSL_CERT_FILE", bench.registry.certificate())).succeeded();
}

#[test]
fn without_encryption_only_this_machine_is_spoken_to() {
    // The engine's bridge: its address is this machine's, and no loopback one.
    // A daemon that was never asked for another does not name it, it is the
    // first of the network.
    let config: Value = serde_json::from_str(&docker([
        "network",
        "inspect",
        "bridge",
        "--format={{json (index .IPAM.Config 0)}}",
    ]))
    .unwrap();
    let first = || {
        let (network, _) = config["Subnet"].as_str().expect("a subnet").split_once('/').unwrap();
        let network: std::net::Ipv4Addr = network.parse().unwrap();
        std::net::Ipv4Addr::from_bits(network.to_bits() + 1).to_string()
    };
    let bridge = config["Gateway"].as_str().map_or_else(first, str::to_owned);
    let bench = Bench::new(Registry::start_on(&bridge));
    let source = bench.reference("source:1");
    let mut validate = bench.command(&["validate", &source]);
    Outcome::of(&mut validate).refused(2, &["cannot reach registry", "PROFILER_PLAIN_HTTP="]);
    Outcome::of(validate.env("PROFILER_PLAIN_HTTP", &bench.registry.host)).succeeded();
}

#[test]
fn the_plan_is_attached_as_a_referrer() {
    let bench = Bench::new(Registry::start());
    let (source, small) = (bench.reference("source:1"), bench.reference("small:1"));
    let mut minimize = bench.minimize(&source, &small);
    Outcome::of(minimize.args(["--attach", "plan", "--report"]).arg(bench.path("report.json")))
        .succeeded();
    // This registry keeps no list of its own, so there is a tag for it.
    let image = bench.registry.digest("small:1");
    let list = bench.registry.manifest("small", &image.replace(':', "-"));
    assert_eq!(list["mediaType"], "application/vnd.oci.image.index.v1+json");
    let referrers = list["manifests"].as_array().unwrap();
    assert_eq!(referrers.len(), 1, "{list:#}");
    assert_eq!(referrers[0]["artifactType"], "application/vnd.profiler-rs.report.v1+json");
    let manifest = bench.registry.manifest("small", referrers[0]["digest"].as_str().unwrap());
    assert_eq!(manifest["subject"]["digest"], image.as_str());
    let plan = fs::read(bench.registry.blob(manifest["layers"][0]["digest"].as_str().unwrap()));
    let report: Value =
        serde_json::from_slice(&fs::read(bench.path("report.json")).unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&plan.unwrap()).unwrap(), report);

    // Once more, and the source under another name, so the plan is another:
    // the list grows, what is in it stays.
    let by_digest = bench.reference(&format!("source@{}", bench.registry.digest("source:1")));
    let mut again = bench.minimize(&by_digest, &small);
    Outcome::of(again.args(["--force", "--attach", "plan"])).succeeded();
    assert_eq!(bench.registry.digest("small:1"), image);
    let list = bench.registry.manifest("small", &image.replace(':', "-"));
    assert_eq!(list["manifests"].as_array().unwrap().len(), 2, "{list:#}");
    assert_eq!(list["manifests"][0], referrers[0]);
    for reference in ["small:1".to_owned(), format!("small:{}", image.replace(':', "-"))] {
        let reference = bench.reference(&reference);
        Outcome::of(&mut bench.command(&["validate", &reference])).succeeded();
    }
}

#[test]
fn plan_and_bills_are_attached_in_a_layout_which_stays_valid() {
    let bench = Bench::without_image(Registry::start());
    let source = format!("docker-daemon:{}", bench.image.name);
    let place = bench.path("layout");
    let layout = format!("oci:{}", place.display());
    let tagged = format!("{layout}:1");
    Outcome::of(bench.minimize(&source, &tagged).args(["--attach", "plan,sbom,spdx"])).succeeded();
    let index: Value =
        serde_json::from_slice(&fs::read(place.join("index.json")).unwrap()).unwrap();
    let listed = index["manifests"].as_array().unwrap().iter();
    let types: BTreeSet<&str> =
        listed.filter_map(|manifest| manifest["artifactType"].as_str()).collect();
    assert_eq!(
        types,
        [
            "application/spdx+json",
            "application/vnd.cyclonedx+json",
            "application/vnd.profiler-rs.report.v1+json"
        ]
        .into()
    );
    for reference in [&layout, &tagged] {
        Outcome::of(&mut bench.command(&["validate", reference])).succeeded();
    }
    // Other tools find the image by its tag.
    skopeo_copy(&tagged, &format!("oci:{}", bench.path("copy").display()));
    let archive = format!("oci-archive:{}", bench.path("x.tar").display());
    let mut minimize = bench.minimize(&source, &archive);
    Outcome::of(minimize.args(["--attach", "plan"])).refused(2, &["attached", "docker://"]);
    assert!(!bench.path("x.tar").exists());
}
