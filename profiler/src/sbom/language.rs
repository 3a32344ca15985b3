//! Packages of languages, by the metadata that lies with them.
//!
//! Formats: Python's core metadata and `RECORD` ("Recording installed
//! projects"), npm's `package.json`.

use std::collections::BTreeSet;
use std::io::Read as _;

use packageurl::PackageUrl;
use serde_json::Value;

use super::Component;
use crate::image::{ImageError, NodeId, NodeKind, Tree};
use crate::minimize::Plan;
use crate::packages::Presence;

/// More than any metadata has.
const LIMIT: u64 = 16 << 20;

/// The packages of languages of which a plan keeps something. Metadata that
/// cannot be understood names none.
///
/// # Errors
/// When the image cannot be read.
pub fn components(tree: &Tree<'_>, plan: &Plan) -> Result<Vec<Component>, ImageError> {
    let mut found = Vec::new();
    for id in tree.all() {
        let node = tree.node(id);
        if node.kind != NodeKind::File {
            continue;
        }
        let package = match node.name.as_slice() {
            b"METADATA" if tree.node(node.parent).name.ends_with(b".dist-info") => {
                python(tree, id)?
            }
            b"package.json" if in_node_modules(tree, node.parent) => node_package(tree, id)?,
            _ => None,
        };
        let Some((purl, name, version, license, files)) = package else { continue };
        let kept = files.iter().flatten().filter(|id| plan.kept.contains_key(id)).count();
        let of = files.as_ref().map_or(0, BTreeSet::len);
        if kept == 0 && !plan.kept.contains_key(&id) {
            continue;
        }
        let presence = match (files, kept) {
            (None, _) => Presence::Unknown,
            (Some(_), kept) if kept == of => Presence::Full,
            _ => Presence::Partial,
        };
        found.push(Component { purl, name, version, license, presence, kept, of });
    }
    Ok(found)
}

/// URL, name, version, licence, and files where the metadata names them.
type Found = (String, String, String, Option<String>, Option<BTreeSet<NodeId>>);

/// A Python distribution by its `METADATA`.
fn python(tree: &Tree<'_>, metadata: NodeId) -> Result<Option<Found>, ImageError> {
    let text = read(tree, metadata)?;
    // Fields end at the first empty line.
    let field = |name: &str| {
        let lines = text.lines().take_while(|line| !line.is_empty());
        let mut fields = lines.filter_map(|line| line.split_once(':'));
        let value = fields.find(|(key, _)| key.eq_ignore_ascii_case(name));
        value.map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let (Some(name), Some(version)) = (field("Name"), field("Version")) else { return Ok(None) };
    // Names are compared without regard to case and separators (PEP 503).
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    let normal = words.collect::<Vec<_>>().join("-").to_lowercase();
    let Some(purl) = url("pypi", None, &normal, &version) else { return Ok(None) };
    let directory = tree.node(metadata).parent;
    let files = match tree.child(directory, b"RECORD") {
        Some(record) => Some(recorded(tree, directory, &read(tree, record)?)),
        None => None,
    };
    Ok(Some((purl, name, version, field("License"), files)))
}

/// Files of a `RECORD`, those about the distribution and what Python makes
/// itself left out.
fn recorded(tree: &Tree<'_>, metadata: NodeId, record: &str) -> BTreeSet<NodeId> {
    let site = tree.node(metadata).parent;
    let paths = record.lines().filter_map(|line| match line.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => line.split(',').next(),
    });
    let payload = paths.filter(|path| !path.is_empty() && !path.ends_with(".pyc"));
    payload
        .filter_map(|path| tree.walk_from(site, path.as_bytes(), false).end)
        .filter(|&id| tree.node(id).kind != NodeKind::Dir && tree.node(id).parent != metadata)
        .collect()
}

/// `node_modules/NAME`, `node_modules/@SCOPE/NAME`.
fn in_node_modules(tree: &Tree<'_>, package: NodeId) -> bool {
    let above = tree.node(package).parent;
    let scoped = tree.node(above).name.starts_with(b"@");
    let modules = if scoped { tree.node(above).parent } else { above };
    tree.node(modules).name == b"node_modules"
}

/// An npm package by its `package.json`.
fn node_package(tree: &Tree<'_>, manifest: NodeId) -> Result<Option<Found>, ImageError> {
    let value: Value = serde_json::from_str(&read(tree, manifest)?).unwrap_or_default();
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let (Some(name), Some(version)) = (text("name"), text("version")) else { return Ok(None) };
    let (scope, plain) = match name.split_once('/') {
        Some((scope, plain)) => (Some(scope), plain),
        None => (None, name.as_str()),
    };
    let Some(purl) = url("npm", scope, plain, &version) else { return Ok(None) };
    let mut files = BTreeSet::new();
    let mut pending = vec![tree.node(manifest).parent];
    while let Some(id) = pending.pop() {
        for child in tree.children(id) {
            match tree.node(child).kind {
                // Its dependencies are packages of their own.
                NodeKind::Dir if tree.node(child).name == b"node_modules" => {}
                NodeKind::Dir => pending.push(child),
                _ if child == manifest => {}
                _ => {
                    files.insert(child);
                }
            }
        }
    }
    Ok(Some((purl, name, version, text("license"), Some(files))))
}

fn url(kind: &str, namespace: Option<&str>, name: &str, version: &str) -> Option<String> {
    let mut url = PackageUrl::new(kind, name).ok()?;
    if let Some(namespace) = namespace {
        url.with_namespace(namespace).ok()?;
    }
    url.with_version(version).ok()?;
    Some(url.to_string())
}

fn read(tree: &Tree<'_>, id: NodeId) -> Result<String, ImageError> {
    let mut bytes = Vec::new();
    if let Some(reader) = tree.open(id)? {
        let shown = || String::from_utf8_lossy(&tree.path(id)).into_owned();
        reader
            .take(LIMIT)
            .read_to_end(&mut bytes)
            .map_err(|error| ImageError::io("read", shown())(error))?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
