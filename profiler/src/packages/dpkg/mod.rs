//! Debian's package database.
//!
//! ```text
//! /var/lib/dpkg/status              a stanza a package
//!               info/NAME.list      its paths (NAME:ARCH where several may be)
//!               info/NAME.md5sums   hashes of its regular files
//!               diversions, arch
//!               status.d/NAME       distroless images: a stanza a file,
//!               status.d/NAME.md5sums   and what the package has
//! ```
//!
//! Hashes are kept of regular files other than configuration, so of what
//! distroless images have, links and configuration files belong to nobody.

mod lists;
pub mod stanza;

use std::collections::BTreeMap;

use lists::Diversions;
use stanza::Stanza;

use super::file::{self, Cut, DatabaseFile};
use super::{Inventory, Manager, Package};
use crate::image::{ImageError, NodeId, NodeKind, Tree};

const STATUS: &str = "/var/lib/dpkg/status";
const STATUS_D: &str = "/var/lib/dpkg/status.d";
const INFO: &str = "/var/lib/dpkg/info";

/// Adds what dpkg knows.
///
/// # Errors
/// When the image cannot be read.
pub fn read(tree: &Tree<'_>, inventory: &mut Inventory) -> Result<(), ImageError> {
    let mut diversions = Diversions::default();
    for path in ["/var/lib/dpkg/diversions", "/var/lib/dpkg/arch"] {
        let Some((node, links)) = file::find(tree, path) else { continue };
        if path.ends_with("diversions")
            && let Some(bytes) = file::content(tree, node, inventory)?
        {
            diversions = Diversions::parse(&bytes);
        }
        // Nothing without a status: a base of another builder may have these.
        if file::find(tree, STATUS).is_some() {
            inventory.databases.push(DatabaseFile { node, links, cut: Cut::Whole });
        }
    }
    status(tree, inventory, &diversions)?;
    status_d(tree, inventory, &diversions)
}

/// The one file with everything, and `info`.
fn status(
    tree: &Tree<'_>,
    inventory: &mut Inventory,
    diversions: &Diversions,
) -> Result<(), ImageError> {
    let Some((node, links)) = file::find(tree, STATUS) else { return Ok(()) };
    let Some(bytes) = file::content(tree, node, inventory)? else {
        inventory.databases.push(DatabaseFile { node, links, cut: Cut::Whole });
        return Ok(());
    };
    let info = Info::index(tree);
    let mut stanzas = stanza::parse(&bytes);
    stanzas.retain(|stanza| stanza.field("package").is_some());
    let mut order: Vec<usize> = (0..stanzas.len()).collect();
    let key = |stanza: &Stanza| stanza.field("package").map(str::to_owned);
    let architecture = |stanza: &Stanza| stanza.field("architecture").map(str::to_owned);
    order.sort_by_cached_key(|&at| (key(&stanzas[at]), architecture(&stanzas[at]), at));
    let mut records = Vec::new();
    for at in order {
        let stanza = &stanzas[at];
        let package = package_of(stanza);
        let about = info.of(&package);
        let index = fill(tree, inventory, diversions, package, &about)?;
        records.push((stanza.range.clone(), index));
    }
    records.sort_by_key(|(range, _)| range.start);
    inventory.databases.push(DatabaseFile { node, links, cut: Cut::Records(records) });
    Ok(())
}

/// A file a package.
fn status_d(
    tree: &Tree<'_>,
    inventory: &mut Inventory,
    diversions: &Diversions,
) -> Result<(), ImageError> {
    let walk = tree.walk(STATUS_D.as_bytes(), true);
    let Some(directory) = walk.end.filter(|&end| tree.node(end).kind == NodeKind::Dir) else {
        return Ok(());
    };
    for node in tree.children(directory) {
        let name = &tree.node(node).name;
        if tree.node(node).kind != NodeKind::File || name.ends_with(b".md5sums") {
            continue;
        }
        let Some(bytes) = file::content(tree, node, inventory)? else { continue };
        let stanzas = stanza::parse(&bytes);
        let Some(stanza) = stanzas.iter().find(|stanza| stanza.field("package").is_some()) else {
            continue;
        };
        let sums = tree.child(directory, &[name, b".md5sums".as_slice()].concat());
        let about = About { md5sums: sums, links: walk.links.clone(), ..About::default() };
        let index = fill(tree, inventory, diversions, package_of(stanza), &about)?;
        inventory.owners.insert(node, index);
        inventory.databases.push(DatabaseFile {
            node,
            links: walk.links.clone(),
            cut: Cut::With(index),
        });
    }
    Ok(())
}

/// The manager's files about one package.
#[derive(Debug, Default, Clone)]
struct About {
    list: Option<NodeId>,
    md5sums: Option<NodeId>,
    /// These and scripts, triggers, …
    all: Vec<NodeId>,
    /// Links on the way to them.
    links: Vec<NodeId>,
}

/// `info`, by package.
struct Info(BTreeMap<String, About>);

impl Info {
    fn index(tree: &Tree<'_>) -> Self {
        let mut packages: BTreeMap<String, About> = BTreeMap::new();
        let walk = tree.walk(INFO.as_bytes(), true);
        for node in walk.end.into_iter().flat_map(|directory| tree.children(directory)) {
            let name = String::from_utf8_lossy(&tree.node(node).name);
            let Some((package, kind)) = name.rsplit_once('.') else { continue };
            if tree.node(node).kind != NodeKind::File {
                continue;
            }
            let about = packages.entry(package.to_owned()).or_default();
            about.all.push(node);
            about.links.clone_from(&walk.links);
            match kind {
                "list" => about.list = Some(node),
                "md5sums" => about.md5sums = Some(node),
                _ => {}
            }
        }
        Self(packages)
    }

    fn of(&self, package: &Package) -> About {
        let qualified = self.0.get(&package.label());
        qualified.or_else(|| self.0.get(&package.name)).cloned().unwrap_or_default()
    }
}

/// Finds a package's files and adds it with them.
fn fill(
    tree: &Tree<'_>,
    inventory: &mut Inventory,
    diversions: &Diversions,
    mut package: Package,
    about: &About,
) -> Result<usize, ImageError> {
    let index = inventory.packages.len();
    let mut owned = about.all.clone();
    for (node, is_list) in [(about.list, true), (about.md5sums, false)] {
        let Some(node) = node else { continue };
        let Some(bytes) = file::content(tree, node, inventory)? else { continue };
        let look_up = if is_list { lists::list } else { lists::md5sums };
        let lines = look_up(tree, &bytes, &package.name, diversions);
        // The list has everything that the sums have.
        if package.files.is_none() {
            let found = lists::owned(tree, &bytes, &lines);
            owned.extend(found.about);
            inventory.merged.extend(found.merged);
            package.files = Some(found.files);
        }
        owned.push(node);
        let links = about.links.clone();
        inventory.databases.push(DatabaseFile { node, links, cut: Cut::Lines(index, lines) });
    }
    if package.files.is_none() && package.installed {
        inventory.warnings.push(format!(
            "package {} has no list of files; it stays in the package database",
            package.label()
        ));
    }
    Ok(inventory.add(package, owned))
}

fn package_of(stanza: &Stanza) -> Package {
    let field = |name: &str| stanza.field(name).unwrap_or_default().to_owned();
    // `status.d` has none: what is there is installed.
    let state = stanza.field("status").and_then(|status| status.split_whitespace().last());
    Package {
        manager: Manager::Dpkg,
        name: field("package"),
        version: field("version"),
        epoch: None,
        architecture: field("architecture"),
        source: stanza.field("source").map(str::to_owned),
        license: None,
        installed: state.is_none_or(|state| state == "installed"),
        files: None,
    }
}
