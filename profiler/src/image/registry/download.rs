//! Blobs on their way: what is named in a manifest is fetched as soon as the
//! manifest is there, several at a time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{Read as _, Write as _};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use ureq::http::StatusCode;

use super::super::ImageError;
use super::super::blob::{Blob, digest_text};
use super::client::Content;
use super::{Client, Manifest, blob_of};

/// Downloads at the same time.
const PARALLEL: usize = 4;

/// Gives blobs by the names they would have in an OCI layout.
pub struct Downloads<'a> {
    client: &'a Client,
    root: &'a Manifest,
    state: Mutex<State>,
    /// A download has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    /// Digests that are manifests.
    manifests: HashSet<String>,
    /// Layers whose download has not begun.
    waiting: VecDeque<String>,
    /// Layers asked for, and what came of it.
    layers: HashMap<String, Option<Result<Blob, ImageError>>>,
    stopped: bool,
}

impl<'a> Downloads<'a> {
    /// Nothing is fetched before it is asked for.
    pub fn new(client: &'a Client, root: &'a Manifest) -> Self {
        Self { client, root, state: Mutex::default(), ended: Condvar::new() }
    }

    /// The blob of a name: `index.json`, or `blobs/sha256/HEX`.
    ///
    /// # Errors
    /// When it cannot be had or has another digest.
    pub fn get<'s>(&'s self, scope: &'s Scope<'s, '_>, path: &str) -> Result<Blob, ImageError> {
        if path == "index.json" {
            let index = json!({"schemaVersion": 2, "manifests": [self.root.descriptor()]});
            return blob_of(index.to_string().as_bytes());
        }
        let digest = path.trim_start_matches("blobs/").replacen('/', ":", 1);
        if digest == self.root.digest {
            self.look_ahead(scope, &self.root.bytes);
            return blob_of(&self.root.bytes);
        }
        if self.lock().manifests.contains(&digest) {
            let manifest = self.client.manifest(&digest)?.ok_or_else(|| self.missing(&digest))?;
            self.look_ahead(scope, &manifest.bytes);
            return blob_of(&manifest.bytes);
        }
        if let Some(layer) = self.wait_for(&digest) {
            return layer;
        }
        blob(self.client, &digest, &|| false)?.ok_or_else(|| self.missing(&digest))
    }

    /// Begins no further downloads, and ends those under way.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.waiting.clear();
    }

    /// Notes an index's manifests, or begins to fetch a manifest's layers.
    fn look_ahead<'s>(&'s self, scope: &'s Scope<'s, '_>, manifest: &[u8]) {
        // What is wrong with it, the reader will say.
        let Ok(value) = serde_json::from_slice::<Value>(manifest) else { return };
        let digests = |key: &str| -> Vec<String> {
            let list = value.get(key).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(|of| Some(of.get("digest")?.as_str()?.to_owned())).collect()
        };
        let mut state = self.lock();
        state.manifests.extend(digests("manifests"));
        for layer in digests("layers") {
            if !state.layers.contains_key(&layer) {
                state.layers.insert(layer.clone(), None);
                state.waiting.push_back(layer);
            }
        }
        for _ in 0..PARALLEL.min(state.waiting.len()) {
            scope.spawn(|| self.work());
        }
    }

    /// Fetches layers until none is left.
    fn work(&self) {
        loop {
            let Some(digest) = self.lock().waiting.pop_front() else { return };
            let stopped = || self.lock().stopped;
            let result = blob(self.client, &digest, &stopped)
                .and_then(|blob| blob.ok_or_else(|| self.missing(&digest)));
            self.lock().layers.insert(digest, Some(result));
            self.ended.notify_all();
        }
    }

    /// A layer, when it is there; none if it is not one.
    fn wait_for(&self, digest: &str) -> Option<Result<Blob, ImageError>> {
        let mut state = self.lock();
        loop {
            match state.layers.get_mut(digest)? {
                Some(Ok(blob)) => return Some(Ok(blob.clone())),
                result @ Some(_) => {
                    let result = result.take();
                    // Whoever asks again is told that it failed.
                    state.layers.remove(digest);
                    return result;
                }
                None => {
                    state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn missing(&self, digest: &str) -> ImageError {
        ImageError::damaged(self.client.shown(), format!("the registry has no blob {digest}"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fetches a blob to an unnamed temporary file; none if there is none.
///
/// # Errors
/// When it cannot be had, or has another digest.
pub fn blob(
    client: &Client,
    digest: &str,
    stopped: &dyn Fn() -> bool,
) -> Result<Option<Blob>, ImageError> {
    match fetch(client, digest, stopped)? {
        Some((blob, found)) if found == digest => Ok(Some(blob)),
        Some((_, found)) => Err(ImageError::DigestMismatch {
            image: client.shown(),
            what: "a blob".into(),
            expected: digest.into(),
            found,
        }),
        None => Ok(None),
    }
}

/// Fetches a blob, whatever its digest turns out to be. One that breaks off
/// is fetched once more.
///
/// # Errors
/// When it cannot be had.
pub fn fetch(
    client: &Client,
    digest: &str,
    stopped: &dyn Fn() -> bool,
) -> Result<Option<(Blob, String)>, ImageError> {
    match fetch_once(client, digest, stopped) {
        Ok(Err(why)) => {
            log::info!("{digest}: trying again ({why})");
            fetch_once(client, digest, stopped)?.map_err(|why| client.unreachable(&why).into())
        }
        result => result?.map_err(|why| client.unreachable(&why).into()),
    }
}

/// The inner error is a connection that broke.
type Fetched = Result<Result<Option<(Blob, String)>, String>, ImageError>;

fn fetch_once(client: &Client, digest: &str, stopped: &dyn Fn() -> bool) -> Fetched {
    let failed = || ImageError::io("write a temporary file in", std::env::temp_dir());
    let target = client.path(&format!("blobs/{digest}"));
    let answer = client.send("GET", &target, &[], Content::None)?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(Ok(None)),
        _ => return Err(client.refused(answer, "give a blob").into()),
    }
    let mut reader = answer.into_body().into_reader();
    let mut file = tempfile::tempfile().map_err(failed())?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        if stopped() {
            return Ok(Err("no longer needed".into()));
        }
        let len = match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) => return Ok(Err(error.to_string())),
        };
        hash.update(&chunk[..len]);
        file.write_all(&chunk[..len]).map_err(failed())?;
    }
    let blob = Blob::whole(file).map_err(failed())?;
    Ok(Ok(Some((blob, digest_text(hash)))))
}
