//! Requests to one repository of a registry: scheme, authentication, retries.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Request, Response, StatusCode, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::super::ImageError;
use super::super::blob::digest_of;
use super::challenge::Challenge;
use super::credentials::{self, Credentials, Secret};
use super::{MANIFEST_MAX, Manifest, Name, RegistryError};

/// Registries that may be spoken to without encryption, separated by commas.
const PLAIN_HTTP: &str = "PROFILER_PLAIN_HTTP";

/// How often a request is made whose failure may pass.
const ATTEMPTS: u32 = 3;

/// Longest answer that is read for its words.
const WORDS_MAX: u64 = 64 << 10;

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
    fn scope(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }

    fn words(self) -> &'static str {
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
    agent: Agent,
    /// `https://HOST` of the registry.
    origin: String,
    name: Name,
    access: Access,
    credentials: Option<Credentials>,
    /// The `Authorization` header that the registry last took.
    authorization: Mutex<Option<String>>,
}

impl Client {
    /// Finds out how the registry is spoken to, and whether it lets one in.
    ///
    /// # Errors
    /// When it cannot be reached or asks for a login that is not there.
    pub fn connect(name: &Name, access: Access) -> Result<Self, RegistryError> {
        let host = name.api_host();
        let mut client = Self {
            agent: agent(name),
            origin: format!("https://{host}"),
            name: name.clone(),
            access,
            credentials: credentials::find(name)?,
            authorization: Mutex::new(None),
        };
        if is_listed(&std::env::var(PLAIN_HTTP).unwrap_or_default(), &name.host) {
            client.origin = format!("http://{host}");
        }
        let ping = |client: &Self| client.send("GET", "/v2/", &[], Content::None);
        let answer = match ping(&client) {
            Err(first) if name.is_loopback() && client.origin.starts_with("https") => {
                client.origin = format!("http://{host}");
                // If that is no better, what was wrong with TLS is the news.
                let answer = ping(&client).map_err(|_| first)?;
                if answer.status() == StatusCode::BAD_REQUEST {
                    return Err(
                        client.unreachable("it speaks neither HTTP nor TLS that is trusted")
                    );
                }
                answer
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

    /// Answers a challenge: the next request carries what it asks for.
    fn authenticate(&self, answer: Response<Body>) -> Result<(), RegistryError> {
        let challenges = answer.headers().get_all(header::WWW_AUTHENTICATE).into_iter();
        let mut challenges = challenges.filter_map(|value| Challenge::parse(value.to_str().ok()?));
        let authorization = match challenges.next() {
            None => return Err(self.unauthorized(&words(answer))),
            Some(Challenge::Basic) => {
                match self.credentials.as_ref().and_then(Credentials::basic) {
                    Some(header) => header,
                    None => return Err(self.unauthorized(&words(answer))),
                }
            }
            Some(Challenge::Bearer { realm, service, scope }) => {
                format!("Bearer {}", self.token(&realm, service.as_deref(), scope.as_deref())?)
            }
        };
        if let Ok(mut slot) = self.authorization.lock() {
            *slot = Some(authorization);
        }
        Ok(())
    }

    /// Gets a token from the registry's token service. Source: "Token
    /// authentication specification" of the distribution project.
    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        asked: Option<&str>,
    ) -> Result<String, RegistryError> {
        let plain = self.origin.starts_with("http://");
        if !realm.starts_with("https://") && !plain {
            return Err(self.unreachable(&format!("its token service {realm} is not encrypted")));
        }
        let scope = format!("repository:{}:{}", self.name.repository, self.access.scope());
        // The registry may ask for more than one would guess.
        let scope = match asked {
            Some(asked) if !asked.is_empty() && asked != scope => format!("{scope} {asked}"),
            _ => scope,
        };
        let mut fields = vec![("scope", scope.as_str()), ("client_id", "profiler")];
        fields.extend(service.map(|service| ("service", service)));
        let answer = match self.credentials.as_ref().map(|login| &login.secret) {
            Some(Secret::Identity(token)) => {
                fields.extend([("grant_type", "refresh_token"), ("refresh_token", token)]);
                let form = form(&fields);
                let request = Request::post(realm)
                    .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form.as_bytes());
                request.map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
            }
            _ => {
                let joint = if realm.contains('?') { '&' } else { '?' };
                let mut request = Request::get(format!("{realm}{joint}{}", form(&fields)));
                if let Some(basic) = self.credentials.as_ref().and_then(Credentials::basic) {
                    request = request.header(header::AUTHORIZATION, basic);
                }
                request
                    .body(())
                    .map_err(ureq::Error::from)
                    .and_then(|request| self.agent.run(request))
            }
        };
        let answer = answer.map_err(|error| {
            self.unreachable(&format!("its token service {realm} does not answer: {error}"))
        })?;
        match answer.status().as_u16() {
            200 => {}
            400 | 401 | 403 => return Err(self.unauthorized(&words(answer))),
            _ => return Err(self.refused(answer, "give a token")),
        }
        let bytes = answer.into_body().into_with_config().limit(WORDS_MAX).read_to_vec();
        let value: Option<Value> = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let token = value.as_ref().and_then(|value| {
            ["token", "access_token"].iter().find_map(|key| value.get(key)?.as_str())
        });
        token.map(str::to_owned).ok_or_else(|| {
            self.unreachable(&format!("its token service {realm} gave an answer without a token"))
        })
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
                "; check the name and the network, and for one without TLS set {PLAIN_HTTP}={}",
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

    fn unauthorized(&self, why: &str) -> RegistryError {
        let host = self.name.host.clone();
        let (who, next) = match &self.credentials {
            Some(login) => (
                format!("{} (login from {})", login.user, login.place),
                format!("log in again with `podman login {host}` or `docker login {host}`"),
            ),
            None => (
                "anonymous".to_owned(),
                format!("log in with `podman login {host}` or `docker login {host}`"),
            ),
        };
        RegistryError::Unauthorized {
            host,
            who,
            what: self.access.words(),
            repository: self.name.repository.clone(),
            why: why.into(),
            next,
        }
    }
}

/// A header's text; empty if it is not there.
pub fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// A registry's own words of an error, or the status.
fn words(answer: Response<Body>) -> String {
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

/// Whether a host is in the list of those without encryption.
fn is_listed(list: &str, host: &str) -> bool {
    list.split(',').any(|listed| !listed.trim().is_empty() && listed.trim() == host)
}

/// `key=value&…` with everything but letters, digits and `-._~` escaped.
fn form(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| {
        let mut escaped = String::new();
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    escaped.push(byte.into());
                }
                _ => escaped.push_str(&format!("%{byte:02X}")),
            }
        }
        escaped
    };
    let fields: Vec<String> =
        fields.iter().map(|(key, value)| format!("{key}={}", escape(value))).collect();
    fields.join("&")
}

fn agent(name: &Name) -> Agent {
    let wait = |seconds| Some(Duration::from_secs(seconds));
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("profiler/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(wait(30))
        // A registry that stores a large layer answers late.
        .timeout_recv_response(wait(300))
        .timeout_per_read(wait(60))
        .timeout_per_write(wait(60))
        .tls_config(TlsConfig::builder().root_certs(roots(name)).build());
    if name.is_loopback() {
        config = config.proxy(None);
    }
    config.build().into()
}

/// Whom this machine trusts, and whom the engines trust for this registry.
fn roots(name: &Name) -> RootCerts {
    let mut trusted: Vec<Certificate<'static>> = rustls_native_certs::load_native_certs()
        .certs
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    for directory in ["/etc/containers/certs.d", "/etc/docker/certs.d"] {
        let files = std::fs::read_dir(format!("{directory}/{}", name.host));
        for file in files.into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|extension| extension == "crt")
                && let Ok(pem) = std::fs::read(file.path())
            {
                trusted.extend(Certificate::from_pem(&pem).ok());
            }
        }
    }
    // A machine without any has at least those that browsers trust.
    if trusted.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&trusted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_hosts_named_in_full() {
        assert!(is_listed("a.example:5000, b.example", "b.example"));
        assert!(is_listed("a.example:5000", "a.example:5000"));
        for host in ["a.example", "example", ""] {
            assert!(!is_listed("a.example:5000,", host), "{host}");
        }
    }

    #[test]
    fn form_fields_are_escaped() {
        assert_eq!(form(&[("scope", "a/b:c,d"), ("x", "é&")]), "scope=a%2Fb%3Ac%2Cd&x=%C3%A9%26");
    }
}
