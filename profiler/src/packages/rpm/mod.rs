//! RPM's package database.
//!
//! `rpmdb.sqlite` in `/var/lib/rpm` or `/usr/lib/sysimage/rpm` is read and
//! cut: whole headers go, those that stay are byte for byte what they were.
//! The older Berkeley DB (`Packages`) and SUSE's ndb (`Packages.db`) are kept
//! whole and not read, and nothing is claimed of their packages.

pub mod header;
mod sqlite;

use std::collections::BTreeSet;

use sqlite::{Database, DatabaseError};

use super::file::{self, Cut, DatabaseFile};
use super::{Inventory, Manager, Package, locate};
use crate::image::{ImageError, NodeId, NodeKind, Tree};
use crate::minimize::Plan;

const PLACES: [&str; 3] = ["/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm"];

/// Adds what RPM knows.
///
/// # Errors
/// When the image cannot be read.
pub fn read(tree: &Tree<'_>, inventory: &mut Inventory) -> Result<(), ImageError> {
    let mut seen = BTreeSet::new();
    // The databases of one directory may be reached by several names: each
    // name's links are kept.
    for place in PLACES {
        let walk = tree.walk(place.as_bytes(), true);
        let Some(directory) = walk.end.filter(|&end| tree.node(end).kind == NodeKind::Dir) else {
            continue;
        };
        let child = |name: &[u8]| {
            tree.child(directory, name).filter(|&id| tree.node(id).kind == NodeKind::File)
        };
        for name in ["Packages.db", "Packages"] {
            let Some(node) = child(name.as_bytes()) else { continue };
            let path = String::from_utf8_lossy(&tree.path(node)).into_owned();
            inventory.warnings.push(format!(
                "package database {path} is of a kind that is not read; it is kept whole, so \
                 scanners see every package of the source"
            ));
            inventory.databases.push(whole(node, &walk.links));
        }
        let Some(node) = child(b"rpmdb.sqlite") else { continue };
        let companions: Vec<NodeId> = [b"rpmdb.sqlite-wal", b"rpmdb.sqlite-shm"]
            .iter()
            .filter_map(|name| child(*name))
            .collect();
        if !seen.insert(node) {
            inventory.databases.push(whole(node, &walk.links));
            continue;
        }
        let cut = match headers(tree, inventory, node, &companions)? {
            Some(headers) => Cut::Sqlite(add(tree, inventory, headers), companions.clone()),
            None => Cut::Whole,
        };
        inventory.databases.push(DatabaseFile { node, links: walk.links.clone(), cut });
        inventory.databases.extend(companions.iter().map(|&id| whole(id, &walk.links)));
    }
    Ok(())
}

fn whole(node: NodeId, links: &[NodeId]) -> DatabaseFile {
    DatabaseFile { node, links: links.to_vec(), cut: Cut::Whole }
}

/// The headers of a database; none with a warning when it cannot be read.
fn headers(
    tree: &Tree<'_>,
    inventory: &mut Inventory,
    node: NodeId,
    companions: &[NodeId],
) -> Result<Option<Vec<(i64, header::Header)>>, ImageError> {
    let path = String::from_utf8_lossy(&tree.path(node)).into_owned();
    if file::content(tree, node, inventory)?.is_none() {
        return Ok(None);
    }
    let blobs = match open(tree, node, companions)?.and_then(|database| database.headers()) {
        Ok(blobs) => blobs,
        Err(error) => {
            inventory.warnings.push(format!(
                "package database {path} cannot be read: {error}; it is kept whole, and its \
                 packages are unknown"
            ));
            return Ok(None);
        }
    };
    let mut headers = Vec::new();
    for (number, blob) in blobs {
        match header::parse(&blob) {
            Some(header) => headers.push((number, header)),
            None => inventory.warnings.push(format!(
                "package database {path}: header {number} is damaged; its package is unknown"
            )),
        }
    }
    headers.sort_by(|(_, a), (_, b)| {
        (&a.name, &a.architecture, &a.version).cmp(&(&b.name, &b.architecture, &b.version))
    });
    Ok(Some(headers))
}

/// Opens a database of the image; the inner error is the database's own.
fn open(
    tree: &Tree<'_>,
    node: NodeId,
    companions: &[NodeId],
) -> Result<Result<Database, DatabaseError>, ImageError> {
    let log = companions.iter().find(|&&id| tree.node(id).name.ends_with(b"-wal"));
    let log = log.map(|&id| file::read(tree, id)).transpose()?;
    Ok(Database::open(&file::read(tree, node)?, log.as_deref()))
}

/// Adds packages, and returns which header is whose.
fn add(
    tree: &Tree<'_>,
    inventory: &mut Inventory,
    headers: Vec<(i64, header::Header)>,
) -> Vec<(i64, usize)> {
    let mut packages = Vec::new();
    for (number, header) in headers {
        let (mut files, mut about) = (BTreeSet::new(), Vec::new());
        for file in header.files.iter().filter(|file| !file.directory) {
            let Some(id) = locate(tree, &file.path) else { continue };
            if tree.node(id).kind == NodeKind::Dir {
                continue;
            }
            if file.about {
                about.push(id);
            } else {
                files.insert(id);
            }
        }
        let package = Package {
            manager: Manager::Rpm,
            // Keys that were imported look like packages, and are none.
            installed: header.name != "gpg-pubkey",
            name: header.name,
            version: header.version,
            epoch: header.epoch,
            architecture: header.architecture,
            source: header.source,
            license: header.license,
            files: Some(files),
        };
        packages.push((number, inventory.add(package, about)));
    }
    packages
}

/// Cuts a database; none when nothing goes. One that cannot be, or that would not become smaller,
/// stays whole with a warning.
///
/// # Errors
/// When the image cannot be read.
pub(super) fn trim(
    node: NodeId,
    packages: &[(i64, usize)],
    companions: &[NodeId],
    tree: &Tree<'_>,
    plan: &mut Plan,
    stays: &[bool],
) -> Result<Option<Vec<u8>>, ImageError> {
    let gone: Vec<i64> =
        packages.iter().filter(|(_, index)| !stays[*index]).map(|(number, _)| *number).collect();
    if gone.is_empty() {
        return Ok(None);
    }
    let why = match open(tree, node, companions)?.and_then(|database| database.without(&gone)) {
        Ok(bytes) if bytes.len() as u64 <= tree.node(node).size => return Ok(Some(bytes)),
        Ok(_) => "it would grow".to_owned(),
        Err(error) => error.to_string(),
    };
    let path = String::from_utf8_lossy(&tree.path(node)).into_owned();
    plan.warnings.push(format!(
        "package database {path} cannot be cut: {why}; scanners see {} packages of which nothing \
         is left",
        gone.len()
    ));
    Ok(None)
}
