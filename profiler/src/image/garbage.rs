//! Blobs of a layout that no image needs any more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::archive::JSON_MAX;
use super::blob::Blob;
use super::index::is_image;

/// Documents name documents; so many deep.
const DEPTH_MAX: usize = 5;

/// Removes the blobs that only these descriptors led to, once an index is
/// written that has others. What else lies in the layout is somebody else's
/// and stays. A blob that cannot be removed stays too: it does no harm.
pub fn sweep(root: &Path, gone: &[Value], index: &Value) {
    let left = index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default();
    let left = reachable(root, &left);
    for digest in reachable(root, gone).difference(&left) {
        if let Some(hex) = digest.strip_prefix("sha256:")
            && hex.len() == 64
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            let _ = fs::remove_file(root.join("blobs/sha256").join(hex));
        }
    }
}

/// Whether a descriptor is of something attached to one of the images that
/// are gone, and to none that is left.
pub fn is_about(root: &Path, descriptor: &Value, gone: &[Value], left: &[Value]) -> bool {
    if is_image(descriptor) {
        return false;
    }
    let digest_of = |value: &Value| value.get("digest").and_then(Value::as_str).map(str::to_owned);
    let subject = digest_of(descriptor)
        .and_then(|digest| read(root, &digest))
        .and_then(|document| digest_of(document.get("subject")?));
    let among = |all: &[Value]| all.iter().any(|one| digest_of(one) == subject);
    subject.is_some() && among(gone) && !among(left)
}

/// The digests that descriptors and the documents behind them name.
fn reachable(root: &Path, descriptors: &[Value]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut pending: Vec<(Value, usize)> =
        descriptors.iter().map(|descriptor| (descriptor.clone(), 0)).collect();
    while let Some((descriptor, depth)) = pending.pop() {
        let Some(digest) = descriptor.get("digest").and_then(Value::as_str) else { continue };
        if !all.insert(digest.to_owned()) || depth == DEPTH_MAX {
            continue;
        }
        let document = descriptor.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        // Layers and configs name no blobs, and layers are no JSON.
        if !document.is_empty() && !document.contains("manifest") && !document.contains("index") {
            continue;
        }
        let Some(document) = read(root, digest) else { continue };
        let lists = ["manifests", "layers"].iter().filter_map(|key| document.get(key));
        let listed = lists.filter_map(Value::as_array).flatten();
        let alone = ["config", "subject"].iter().filter_map(|key| document.get(key));
        pending.extend(listed.chain(alone).map(|descriptor| (descriptor.clone(), depth + 1)));
    }
    all
}

fn read(root: &Path, digest: &str) -> Option<Value> {
    let path = root.join("blobs").join(digest.replace(':', "/"));
    let blob = Blob::whole(fs::File::open(path).ok()?).ok()?;
    serde_json::from_slice(&blob.read_all(JSON_MAX).ok()?).ok()
}
