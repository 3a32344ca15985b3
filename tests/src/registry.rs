//! A registry of the test's own on this machine: the distribution project's,
//! from Debian's package.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::engine::output;
use crate::until;

/// The user of [`Registry::with_login`].
pub const USER: &str = "tester";

/// The password of [`USER`].
pub const PASSWORD: &str = "open sesame";

/// [`PASSWORD`] as `htpasswd -B` hashes it.
const HASH: &str = "$2y$05$xiDfhuwElxMXZZg1eCBM3u6Ft2Yeugitd1fweVMfdgvooUJ33L7bG";

/// A running registry; ended and removed at the end.
pub struct Registry {
    directory: tempfile::TempDir,
    child: Child,
    /// Host and port.
    pub host: String,
}

impl Registry {
    /// Starts one on the loopback address that lets everybody in.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_at("127.0.0.1", |_| String::new())
    }

    /// The same on another address of this machine.
    #[track_caller]
    pub fn start_on(address: &str) -> Self {
        Self::start_at(address, |_| String::new())
    }

    /// Starts one that asks for [`USER`] and [`PASSWORD`].
    #[track_caller]
    pub fn with_login() -> Self {
        Self::start_at("127.0.0.1", |directory| {
            let file = directory.join("htpasswd");
            fs::write(&file, format!("{USER}:{HASH}\n")).expect("a file of passwords");
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display())
        })
    }

    /// Starts one that speaks TLS, with a certificate that nobody trusts but
    /// those who know [`certificate`](Self::certificate).
    #[track_caller]
    pub fn with_tls() -> Self {
        Self::start_at("127.0.0.1", |directory| {
            let (key, certificate) = (directory.join("key.pem"), directory.join("cert.pem"));
            output(
                Command::new("openssl")
                    .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
                    .args(["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
                    .args(["-addext", "subjectAltName=IP:127.0.0.1"])
                    .args(["-addext", "basicConstraints=critical,CA:FALSE"])
                    .arg("-keyout")
                    .arg(&key)
                    .arg("-out")
                    .arg(&certificate),
            );
            format!(
                "  tls:\n    certificate: {}\n    key: {}\n",
                certificate.display(),
                key.display()
            )
        })
    }

    /// Starts one that sends its users to a token service at `realm` and
    /// believes tokens signed with the key of `certificate`.
    #[track_caller]
    pub fn with_tokens(realm: &str, certificate: &Path) -> Self {
        Self::start_at("127.0.0.1", |_| {
            format!(
                "auth:\n  token:\n    realm: {realm}\n    service: test-registry\n    \
                 issuer: test-issuer\n    rootcertbundle: {}\n",
                certificate.display()
            )
        })
    }

    /// `more` is put at the end of the configuration, after `http`.
    #[track_caller]
    fn start_at(address: &str, more: impl FnOnce(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let place = directory.path();
        // Nobody else takes the port in the moment that it is free.
        let port =
            TcpListener::bind((address, 0)).expect("a port").local_addr().expect("it").port();
        let host = format!("{address}:{port}");
        let config = format!(
            "version: 0.1\n\
             log:\n  level: warn\n\
             storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
             http:\n  addr: {host}\n{}",
            place.join("store").display(),
            more(place)
        );
        let file = place.join("config.yml");
        fs::write(&file, config).expect("a configuration");
        let log = fs::File::create(place.join("log")).expect("a log");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("docker-registry starts");
        let registry = Self { directory, child, host };
        until("the registry answers", || TcpStream::connect(&registry.host).is_ok());
        registry
    }

    /// A reference into it, as the program under test and skopeo write it.
    pub fn reference(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.host)
    }

    /// Where it keeps a blob's bytes.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.directory.path().join("store/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// The certificate of [`with_tls`](Self::with_tls).
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    /// Copies an image into it from where skopeo finds it.
    #[track_caller]
    pub fn fill(&self, from: &str, name: &str) {
        skopeo_copy(from, &self.reference(name));
    }

    /// The digest of a name's manifest or index, as skopeo finds it.
    #[track_caller]
    pub fn digest(&self, name: &str) -> String {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--tls-verify=false", "--format={{.Digest}}"]);
        output(skopeo.arg(self.reference(name)))
    }

    /// What it has under a name and a tag or digest, as it stands.
    #[track_caller]
    pub fn manifest(&self, name: &str, reference: &str) -> serde_json::Value {
        let accept = ["oci.image.index.v1+json", "oci.image.manifest.v1+json"]
            .map(|kind| format!("Accept: application/vnd.{kind}"));
        let docker = ["manifest.list.v2+json", "manifest.v2+json"]
            .map(|kind| format!("Accept: application/vnd.docker.distribution.{kind}"));
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail"]);
        for header in accept.iter().chain(&docker) {
            curl.args(["--header", header]);
        }
        curl.arg(format!("http://{}/v2/{name}/manifests/{reference}", self.host));
        serde_json::from_str(&output(&mut curl)).expect("a manifest")
    }

    /// Stores a manifest or index as it stands.
    #[track_caller]
    pub fn put_manifest(&self, name: &str, tag: &str, manifest: &serde_json::Value) {
        let file = self.directory.path().join("manifest.json");
        fs::write(&file, manifest.to_string()).expect("a file");
        let media_type = manifest["mediaType"].as_str().expect("a media type");
        output(
            Command::new("curl")
                .args(["--silent", "--show-error", "--fail", "--request", "PUT"])
                .args(["--header", &format!("Content-Type: {media_type}"), "--data-binary"])
                .arg(format!("@{}", file.display()))
                .arg(format!("http://{}/v2/{name}/manifests/{tag}", self.host)),
        );
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `skopeo copy` between any two transports, as it stands.
#[track_caller]
pub fn skopeo_copy(from: &str, to: &str) {
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "--quiet"]);
    skopeo.args(["--src-tls-verify=false", "--dest-tls-verify=false", from, to]);
    output(&mut skopeo);
}
