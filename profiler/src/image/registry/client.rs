//! Requests to one repository of a registry: scheme, authentication, retries.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Request, Response, StatusCode, header};
use ureq::{Agent, Body};

use super::super::ImageError;
use super::super::blob::digest_of;
use super::credentials::{self, Credentials};
use super::{MANIFEST_MAX, Manifest, Name, RegistryError, trust};

/// How often a request is made whose failure may pass.
const ATTEMPTS: u32 = 3;

/// Longest answer that is read for its words.
pub(super) const WORDS_MAX: u64 = 64 << 10;

/// What every kind of manifest is asked for by.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// What a client wants of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Pull,
    /// To read and write.
    Push,
}

impl Access {
    /// As token services spell it.
    pub fn scope(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }

    /// In messages.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push to",
        }
    }
}

/// What follows a request's head.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// Nothing.
    None,
    /// These bytes, of this media type.
    Bytes(&'a [u8], &'a str),
    /// A whole file.
    File(&'a File),
}

/// A repository that can be spoken to.
#[derive(Debug)]
pub struct Client {
    pub(super) agent: Agent,
    /// `https://HOST` of the registry.
    pub(super) origin: String,
    pub(super) name: Name,
    pub(super) access: Access,
    pub(super) credentials: Option<Credentials>,
    /// The `Authorization` header that the registry last took.
    pub(super) authorization: Mutex<Option<String>>,
}

impl Client {
    /// Finds out how the registry is spoken to, and whether it lets one in.
    ///
    /// # Errors
    /// When it cannot be reached or asks for a login that is not there.
    pub fn connect(name: &Name, access: Access) -> Result<Self, RegistryError> {
        let host = name.api_host();
        let mut client = Self {
            agent: trust::agent(name),
            origin: format!("https://{host}"),
            name: name.clone(),
            access,
            credentials: credentials::find(name)?,
            authorization: Mutex::new(None),
        };
        if trust::may_be_plain(&name.host) {
            client.origin = format!("http://{host}");
        }
        let ping = |client: &Self| client.send("GET", "/v2/", &[], Content::None);
        let answer = match ping(&client) {
            Err(first) if name.is_loopback() && client.origin.starts_with("https") => {
                client.origin = format!("http://{host}");
                match ping(&client) {
                    // A server of TLS says so to who speaks without it; what
                    // was wrong with its TLS is the news then.
                    Ok(answer) if answer.status() == StatusCode::BAD_REQUEST => return Err(first),
                    Err(RegistryError::Unreachable { .. }) => return Err(first),
                    answer => answer?,
                }
            }
            answer => answer?,
        };
        match answer.status().as_u16() {
            200..300 => Ok(client),
            // Registries without this address exist; the rest will show.
            404 => Ok(client),
            _ => Err(client.refused(answer, "speak version 2 of its protocol")),
        }
    }

    /// An address within the repository, as a path.
    pub fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.name.repository)
    }

    /// Makes a request; `target` is a path or a whole address, which the
    /// registry gave. Authenticates when asked to, and tries again what may
    /// pass. Any status but those comes back as the answer.
    ///
    /// # Errors
    /// When there is no answer, or the registry refuses the login.
    pub fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        content: Content<'_>,
    ) -> Result<Response<Body>, RegistryError> {
        let mut attempt = 1;
        let mut authenticated = false;
        loop {
            let answer = self.send_once(method, target, headers, content);
            let passing = match &answer {
                Err(error) => passes(error),
                Ok(answer) => matches!(answer.status().as_u16(), 429 | 500 | 502 | 503 | 504),
            };
            if passing && attempt < ATTEMPTS {
                log::info!(
                    "{method} {target}: trying again ({})",
                    match &answer {
                        Ok(answer) => answer.status().to_string(),
                        Err(error) => error.to_string(),
                    }
                );
                std::thread::sleep(Duration::from_secs(1 << (attempt - 1)));
                attempt += 1;
                continue;
            }
            let answer = answer.map_err(|error| self.unreachable(&error.to_string()))?;
            match answer.status() {
                // A token may have run out since: one more round.
                StatusCode::UNAUTHORIZED if !authenticated => {
                    authenticated = true;
                    self.authenticate(answer)?;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    return Err(self.unauthorized(&words(answer)));
                }
                _ => return Ok(answer),
            }
        }
    }

    fn send_once(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        content: Content<'_>,
    ) -> Result<Response<Body>, ureq::Error> {
        let address = if target.starts_with('/') {
            format!("{}{target}", self.origin)
        } else {
            target.into()
        };
        let mut request = Request::builder().method(method).uri(&address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // Nobody but the registry itself gets the login.
        let own = address.strip_prefix(&self.origin).is_some_and(|rest| rest.starts_with('/'));
        if own
            && let Ok(authorization) = self.authorization.lock()
            && let Some(value) = authorization.as_ref()
        {
            request = request.header(header::AUTHORIZATION, value);
        }
        match content {
            Content::None => self.agent.run(request.body(())?),
            Content::Bytes(bytes, media_type) => {
                self.agent.run(request.header(header::CONTENT_TYPE, media_type).body(bytes)?)
            }
            Content::File(mut file) => {
                file.seek(SeekFrom::Start(0))?;
                let request = request.header(header::CONTENT_TYPE, "application/octet-stream");
                self.agent.run(request.body(file)?)
            }
        }
    }

    /// A manifest or index by tag or digest; none if there is none.
    ///
    /// # Errors
    /// When it cannot be had, or is not what its digest says.
    pub fn manifest(&self, reference: &str) -> Result<Option<Manifest>, ImageError> {
        let target = self.path(&format!("manifests/{reference}"));
        let answer = self.send("GET", &target, &[("Accept", ACCEPT)], Content::None)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(self.refused(answer, "give a manifest").into()),
        }
        let media_type = text(answer.headers(), "content-type");
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
        let named = text(answer.headers(), "docker-content-digest");
        let bytes = answer.into_body().into_with_config().limit(MANIFEST_MAX).read_to_vec();
        let bytes = bytes.map_err(|error| self.unreachable(&error.to_string()))?;
        let found = digest_of(&bytes);
        let expected = if super::name::is_digest(reference) { reference } else { named.as_str() };
        if expected.starts_with("sha256:") && expected != found {
            return Err(ImageError::DigestMismatch {
                image: self.shown(),
                what: "its manifest".into(),
                expected: expected.into(),
                found,
            });
        }
        Ok(Some(Manifest { bytes, media_type, digest: found }))
    }

    /// Whether there is a manifest of that tag or digest.
    ///
    /// # Errors
    /// When the registry cannot be asked.
    pub fn has_manifest(&self, reference: &str) -> Result<bool, RegistryError> {
        let target = self.path(&format!("manifests/{reference}"));
        self.is_there(self.send("HEAD", &target, &[("Accept", ACCEPT)], Content::None)?)
    }

    /// Whether there is a blob of that digest.
    ///
    /// # Errors
    /// When the registry cannot be asked.
    pub fn has_blob(&self, digest: &str) -> Result<bool, RegistryError> {
        let target = self.path(&format!("blobs/{digest}"));
        self.is_there(self.send("HEAD", &target, &[], Content::None)?)
    }

    fn is_there(&self, answer: Response<Body>) -> Result<bool, RegistryError> {
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(self.refused(answer, "say what it has")),
        }
    }

    /// The image's name for messages.
    pub fn shown(&self) -> String {
        format!("docker://{}/{}", self.name.host, self.name.repository)
    }

    /// For when there is no answer.
    pub fn unreachable(&self, why: &str) -> RegistryError {
        let next = if self.origin.starts_with("https") && !self.name.is_loopback() {
            format!(
                "; check the name and the network, and for one without TLS set {}={}",
                trust::PLAIN_HTTP,
                self.name.host
            )
        } else {
            "; check the name and whether it runs".into()
        };
        RegistryError::Unreachable { host: self.name.host.clone(), why: why.into(), next }
    }

    /// For an answer that was not hoped for.
    pub fn refused(&self, answer: Response<Body>, what: &str) -> RegistryError {
        let status = answer.status().as_u16();
        let (host, what) = (self.name.host.clone(), what.into());
        RegistryError::Answer { host, status, what, why: words(answer) }
    }
}

/// A header's text; empty if it is not there.
pub fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// A registry's own words of an error, or the status.
pub(super) fn words(answer: Response<Body>) -> String {
    let status = answer.status();
    let bytes = answer.into_body().into_with_config().limit(WORDS_MAX).read_to_vec();
    let value: Option<Value> = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let errors = value.as_ref().and_then(|value| value.get("errors")?.as_array());
    let words = errors
        .into_iter()
        .flatten()
        .filter_map(|error| ["message", "code"].iter().find_map(|key| error.get(key)?.as_str()));
    let words: Vec<&str> = words.collect();
    if words.is_empty() { status.to_string() } else { words.join(", ") }
}

/// Whether a failure may be gone the next time.
fn passes(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => !matches!(
            error.kind(),
            std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::InvalidData
        ),
        ureq::Error::Timeout(_) => true,
        _ => false,
    }
}
