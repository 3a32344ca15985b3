//! Logins to registries, where `docker login` and `podman login` leave them.
//!
//! ```text
//! $REGISTRY_AUTH_FILE                       if set, no other of Podman's
//! $XDG_RUNTIME_DIR/containers/auth.json
//! /run/containers/UID/auth.json
//! ~/.config/containers/auth.json
//! $DOCKER_CONFIG/config.json or ~/.docker/config.json
//!
//! {"auths": {KEY: {"auth": BASE64(USER:PASSWORD), "identitytoken": TOKEN}},
//!  "credHelpers": {HOST: NAME}, "credsStore": NAME}
//! ```
//!
//! KEY is a host, in Podman's files also a host with the first parts of a
//! repository. A helper is a program `docker-credential-NAME`. Sources:
//! containers-auth.json(5), docker-credential-helpers' README.

use std::env;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::RegistryError;
use super::name::Name;

/// The key under which Docker keeps its own registry's login.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// A login.
#[derive(Clone)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// What proves it.
    pub secret: Secret,
    /// Where it was found, for messages.
    pub place: String,
}

/// What proves a user.
#[derive(Clone)]
pub enum Secret {
    /// A password, or a token that takes its place.
    Password(String),
    /// A token that the registry's token service gives others for.
    Identity(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).field("place", &self.place).finish()
    }
}

impl Credentials {
    /// The `Authorization` header of basic authentication.
    pub fn basic(&self) -> Option<String> {
        match &self.secret {
            Secret::Password(password) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{}:{password}", self.user))))
            }
            Secret::Identity(_) => None,
        }
    }
}

/// The login for a name; none when there is none.
///
/// # Errors
/// When a file or helper that should have it cannot be read.
pub fn find(name: &Name) -> Result<Option<Credentials>, RegistryError> {
    for file in files() {
        if let Some(found) = in_file(&file, name)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The files that exist, in the order in which they are asked.
fn files() -> Vec<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let home = variable("HOME").map(PathBuf::from);
    let mut files = Vec::new();
    if let Some(file) = variable("REGISTRY_AUTH_FILE") {
        files.push(PathBuf::from(file));
    } else {
        if let Some(run) = variable("XDG_RUNTIME_DIR") {
            files.push(PathBuf::from(run).join("containers/auth.json"));
        }
        let user = rustix::process::geteuid();
        files.push(format!("/run/containers/{}/auth.json", user.as_raw()).into());
        let config = variable("XDG_CONFIG_HOME").map(PathBuf::from);
        if let Some(config) = config.or_else(|| home.as_ref().map(|home| home.join(".config"))) {
            files.push(config.join("containers/auth.json"));
        }
    }
    let docker = variable("DOCKER_CONFIG").map(PathBuf::from);
    if let Some(docker) = docker.or_else(|| home.map(|home| home.join(".docker"))) {
        files.push(docker.join("config.json"));
    }
    files
}

fn in_file(file: &Path, name: &Name) -> Result<Option<Credentials>, RegistryError> {
    let wrong = |why: String| RegistryError::Credentials { place: file.display().to_string(), why };
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(wrong(error.to_string())),
    };
    let value: Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let helper = value
        .get("credHelpers")
        .and_then(|helpers| keys(name).iter().find_map(|key| helpers.get(key)?.as_str()));
    if let Some(helper) = helper {
        return ask(helper, name);
    }
    let auths = value.get("auths").and_then(Value::as_object);
    for key in keys(name) {
        let entry = auths.into_iter().flatten().find(|(of, _)| plain(of) == key);
        let Some((_, entry)) = entry else { continue };
        let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
        let (mut user, mut password) = (String::new(), String::new());
        if let Some(auth) = text("auth") {
            let bytes =
                STANDARD.decode(auth).map_err(|error| wrong(format!("auth of {key}: {error}")))?;
            let both = String::from_utf8_lossy(&bytes);
            let (first, second) = both
                .split_once(':')
                .ok_or_else(|| wrong(format!("auth of {key} is not USER:PASSWORD")))?;
            (user, password) = (first.into(), second.trim_end_matches('\0').into());
        }
        let secret = match text("identitytoken") {
            Some(token) => Secret::Identity(token.into()),
            None if user.is_empty() => continue,
            None => Secret::Password(password),
        };
        return Ok(Some(Credentials { user, secret, place: file.display().to_string() }));
    }
    match value.get("credsStore").and_then(Value::as_str).filter(|store| !store.is_empty()) {
        Some(store) => ask(store, name),
        None => Ok(None),
    }
}

/// The keys that a name's login may have, the most special first.
fn keys(name: &Name) -> Vec<String> {
    let mut keys = Vec::new();
    let mut path = name.repository.as_str();
    loop {
        keys.push(format!("{}/{path}", name.host));
        match path.rsplit_once('/') {
            Some((above, _)) => path = above,
            None => break,
        }
    }
    keys.push(name.host.clone());
    if name.host == "docker.io" {
        keys.extend([plain(HUB_KEY), "registry-1.docker.io".into()]);
    }
    keys
}

/// A key without what Docker puts around hosts.
fn plain(key: &str) -> String {
    let key = key.trim_start_matches("https://").trim_start_matches("http://");
    let key = key.strip_suffix("/v1/").or_else(|| key.strip_suffix("/v2/")).unwrap_or(key);
    key.trim_end_matches('/').to_owned()
}

/// Asks a helper program.
fn ask(helper: &str, name: &Name) -> Result<Option<Credentials>, RegistryError> {
    let program = format!("docker-credential-{helper}");
    let wrong = |why: String| RegistryError::Credentials { place: program.clone(), why };
    if helper.contains('/') {
        return Err(wrong("a helper's name has no slash".into()));
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| wrong(error.to_string()))?;
    let key = if name.host == "docker.io" { HUB_KEY } else { &name.host };
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read its input says so by its exit status.
        let _ = writeln!(stdin, "{key}");
    }
    let output = child.wait_with_output().map_err(|error| wrong(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        // Word for word what the helpers' common library says.
        if said.contains("credentials not found in native keychain") {
            return Ok(None);
        }
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(wrong(format!("{}{}", said.trim(), error.trim())));
    }
    let value: Value = serde_json::from_str(&said).map_err(|error| wrong(error.to_string()))?;
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (user, secret) = (text("Username"), text("Secret"));
    let secret = match user.as_str() {
        "<token>" => Secret::Identity(secret),
        _ => Secret::Password(secret),
    };
    Ok(Some(Credentials { user, secret, place: program.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    /// The login in words.
    fn found(json: &str, text: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("auth.json");
        fs::write(&file, json).unwrap();
        match in_file(&file, &name(text)).unwrap().map(|found| (found.user, found.secret)) {
            None => "none".into(),
            Some((user, Secret::Password(word))) => format!("{user} with password {word}"),
            Some((_, Secret::Identity(token))) => format!("identity {token}"),
        }
    }

    #[test]
    fn the_most_special_login_is_taken() {
        // "a:1", "b:2" and "c:3:4".
        let json = r#"{"auths": {
            "h.example": {"auth": "YToxAA=="},
            "h.example/team": {"auth": "Yjoy"},
            "https://index.docker.io/v1/": {"auth": "YzozOjQ="},
            "empty.example": {},
            "token.example": {"identitytoken": "t"}
        }}"#;
        for (of, login) in [
            ("h.example/x", "a with password 1"),
            ("h.example/team/x", "b with password 2"),
            ("h.example/team-mates/x", "a with password 1"),
            ("nginx", "c with password 3:4"),
            ("token.example/x", "identity t"),
            ("empty.example/x", "none"),
            ("other.example/x", "none"),
        ] {
            assert_eq!(found(json, of), login, "{of}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_an_error_and_its_secrets_are_not_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("auth.json");
        assert!(in_file(&file, &name("h.example/x")).unwrap().is_none());
        fs::write(&file, "{").unwrap();
        assert!(in_file(&file, &name("h.example/x")).is_err());
        let secret = Secret::Password("hidden".into());
        let login = Credentials { user: "a".into(), secret, place: "b".into() };
        assert!(!format!("{login:?}").contains("hidden"));
    }
}
