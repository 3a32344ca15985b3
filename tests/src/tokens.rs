//! A token service as registries send their users to: it gives signed tokens
//! to who knows the password of [`USER`]. Source: "Token authentication
//! specification" of the distribution project.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::engine::output;
use crate::registry::{PASSWORD, USER};

/// The identity token that this service takes for a login.
pub const IDENTITY: &str = "who I am & what I may";

/// A running token service; ended at the end.
pub struct Tokens {
    directory: tempfile::TempDir,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tokens {
    /// Starts it with a key of its own.
    #[track_caller]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        output(
            Command::new("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
                .args(["-subj", "/CN=tokens", "-keyout"])
                .arg(directory.path().join("key.pem"))
                .arg("-out")
                .arg(directory.path().join("cert.pem")),
        );
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let stop = Arc::new(AtomicBool::new(false));
        let (place, stopped) = (directory.path().to_owned(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // A client that goes away is no matter of the service's.
                let _ = stream.and_then(|stream| answer(&place, stream));
            }
        });
        Self { directory, address, stop, thread: Some(thread) }
    }

    /// Where tokens are given.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    /// The certificate of the key that signs them.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It looks up from its waiting.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers one request.
fn answer(place: &Path, stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let header = |name: &str| {
        lines.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let len = header("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    let target = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let body = String::from_utf8_lossy(&body);
    let fields: Vec<(String, String)> = [query, &body]
        .iter()
        .flat_map(|text| text.split('&'))
        .filter_map(|field| field.split_once('='))
        .map(|(key, value)| (key.to_owned(), unescape(value)))
        .collect();
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let known = header("authorization") == Some(basic)
        || field("grant_type").is_some_and(|grant| grant == "refresh_token")
            && field("refresh_token").is_some_and(|token| token == IDENTITY);
    let (status, answer) = if known {
        let scope = field("scope").cloned().unwrap_or_default();
        ("200 OK", json!({ "token": token(place, &scope) }))
    } else {
        ("401 Unauthorized", json!({"errors": [{"code": "X", "message": "who are you?"}]}))
    };
    let answer = answer.to_string();
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

/// A token that allows what `scope` names: `repository:NAME:ACTION,…`.
fn token(place: &Path, scope: &str) -> String {
    let certificate = fs::read_to_string(place.join("cert.pem")).expect("a certificate");
    let certificate: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    let access: Vec<Value> = scope
        .split(' ')
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            let actions: Vec<&str> = actions.split(',').collect();
            Some(json!({"type": kind, "name": name, "actions": actions}))
        })
        .collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    let parts = [
        json!({"typ": "JWT", "alg": "RS256", "x5c": [certificate]}),
        json!({
            "iss": "test-issuer", "sub": USER, "aud": "test-registry", "jti": now.to_string(),
            "iat": now, "nbf": now - 60, "exp": now + 300, "access": access,
        }),
    ];
    let parts = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(place.join("key.pem"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl starts");
    openssl.stdin.take().expect("its input").write_all(parts.as_bytes()).expect("it reads");
    let signature = openssl.wait_with_output().expect("a signature").stdout;
    format!("{parts}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex: Vec<u8> = rest.by_ref().take(2).collect();
            bytes.extend(hex::decode(hex).unwrap_or_default());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
