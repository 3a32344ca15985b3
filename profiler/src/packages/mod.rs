//! The distribution's packages in an image: which package owns which file,
//! and databases cut down to what is left, so that scanners of the small image
//! see what is there and nothing else.
//!
//! ```text
//! tree ─► Inventory::read ─► packages, owners of files
//!               │
//!      plan ─► apply ─► plan with trimmed databases, one Presence a package
//! ```
//!
//! A package is present when at least one of its payload files is kept: a
//! file, link or device of its list, not a directory and not its copyright or
//! licence file. What a database cannot tell is not claimed: such a package is
//! [`Presence::Unknown`] and stays listed.

mod apk;
mod apply;
pub mod distro;
mod dpkg;
mod file;
mod purl;
pub mod rpm;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use apk::parse as parse_apk;
pub use apply::{Metadata, apply};
pub use distro::Distro;
pub use dpkg::stanza::parse as parse_dpkg;
use file::Databases;
pub use purl::purl;

use crate::image::{ImageError, NodeId, NodeKind, Tree};
use crate::minimize::Plan;

/// Who installed a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manager {
    /// Debian and what descends from it.
    Dpkg,
    /// Alpine, Wolfi.
    Apk,
    /// Fedora, Red Hat, SUSE and others.
    Rpm,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Whose database names it.
    pub manager: Manager,
    /// Its name.
    pub name: String,
    /// Its version in the manager's own spelling; an RPM's epoch is apart.
    pub version: String,
    /// RPM's epoch, where there is one.
    pub epoch: Option<u32>,
    /// The architecture in the manager's own words.
    pub architecture: String,
    /// What it was built from, as far as that differs: a Debian source
    /// package (`glibc` or `glibc (2.36-9)`), an apk's origin, a source RPM.
    pub source: Option<String>,
    /// Licence as the database has it.
    pub license: Option<String>,
    /// False for what is only half there: removed with its configuration
    /// left, never unpacked.
    pub installed: bool,
    /// Payload files that are in the image; none when the database does not
    /// say.
    pub files: Option<BTreeSet<NodeId>>,
}

/// How much of a package is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// No payload file.
    Removed,
    /// Some.
    Partial,
    /// All that the source image has.
    Full,
    /// The database does not say which files it has.
    Unknown,
}

/// What is installed in an image.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Packages, in the order of manager, name and architecture.
    pub packages: Vec<Package>,
    /// What the distribution calls itself.
    pub distro: Distro,
    /// What could not be read.
    pub warnings: Vec<String>,
    /// Index of a file's package. Holds what is no payload too: copyright
    /// files, the manager's own files about the package.
    owners: BTreeMap<NodeId, usize>,
    /// Links that some package lists as a directory.
    merged: BTreeSet<NodeId>,
    databases: Databases,
}

impl Inventory {
    /// Reads every package database of an image.
    ///
    /// # Errors
    /// When the image cannot be read. A damaged database is a warning.
    pub fn read(tree: &Tree<'_>) -> Result<Self, ImageError> {
        let mut inventory = Self { distro: Distro::read(tree)?, ..Self::default() };
        dpkg::read(tree, &mut inventory)?;
        apk::read(tree, &mut inventory)?;
        rpm::read(tree, &mut inventory)?;
        inventory.forget_shared_directories(tree);
        inventory.warnings.sort();
        inventory.warnings.dedup();
        Ok(inventory)
    }

    /// Index of a file's package.
    pub fn owner(&self, id: NodeId) -> Option<usize> {
        self.owners.get(&id).copied()
    }

    /// Each package's name, with the architecture where there are several of
    /// one name.
    pub fn labels(&self) -> Vec<String> {
        let mut names: BTreeMap<(Manager, &str), usize> = BTreeMap::new();
        for package in self.packages.iter().filter(|package| package.installed) {
            *names.entry((package.manager, &package.name)).or_default() += 1;
        }
        let several = |package: &Package| {
            names.get(&(package.manager, package.name.as_str())).is_some_and(|&count| count > 1)
        };
        let label = |package: &Package| {
            if several(package) { package.label() } else { package.name.clone() }
        };
        self.packages.iter().map(label).collect()
    }

    /// What is left of a package, by its index.
    pub fn presence(&self, index: usize, plan: &Plan) -> Presence {
        let Some(files) = &self.packages[index].files else { return Presence::Unknown };
        match files.iter().filter(|id| plan.kept.contains_key(id)).count() {
            0 => Presence::Removed,
            kept if kept == files.len() => Presence::Full,
            _ => Presence::Partial,
        }
    }

    /// Adds a package with all the nodes it owns, payload or not.
    fn add(&mut self, package: Package, owned: impl IntoIterator<Item = NodeId>) -> usize {
        let index = self.packages.len();
        for id in owned.into_iter().chain(package.files.iter().flatten().copied()) {
            self.owners.entry(id).or_insert(index);
        }
        self.packages.push(package);
        index
    }

    /// A link that several packages list, or one with something in it, is a
    /// directory to all of them: what was `/lib` is a link on a merged `/usr`.
    /// Only directories are shared.
    fn forget_shared_directories(&mut self, tree: &Tree<'_>) {
        let mut names: BTreeMap<NodeId, BTreeSet<&str>> = BTreeMap::new();
        for package in &self.packages {
            for &id in package.files.iter().flatten() {
                if leads_to_directory(tree, id) {
                    names.entry(id).or_default().insert(&package.name);
                }
            }
        }
        let mut shared = self.merged.clone();
        shared.extend(names.into_iter().filter(|(_, names)| names.len() > 1).map(|(id, _)| id));
        for id in shared {
            self.owners.remove(&id);
            for package in &mut self.packages {
                if let Some(files) = &mut package.files {
                    files.remove(&id);
                }
            }
        }
    }
}

impl Package {
    /// Its name, with the architecture where several may be installed.
    pub fn label(&self) -> String {
        match self.architecture.as_str() {
            "" => self.name.clone(),
            architecture => format!("{}:{architecture}", self.name),
        }
    }

    /// Version as the manager compares it.
    pub fn full_version(&self) -> String {
        match self.epoch {
            Some(epoch) if epoch > 0 => format!("{epoch}:{}", self.version),
            _ => self.version.clone(),
        }
    }
}

/// The node that a package means by a path, absolute or not: links on the way
/// are followed, the last is not.
fn locate(tree: &Tree<'_>, path: &[u8]) -> Option<NodeId> {
    let mut absolute = b"/".to_vec();
    absolute.extend(path.iter().skip_while(|&&byte| byte == b'/'));
    while absolute.len() > 1 && absolute.ends_with(b"/") {
        absolute.pop();
    }
    tree.walk(&absolute, false).end
}

/// Whether it is a symlink to a directory.
fn leads_to_directory(tree: &Tree<'_>, id: NodeId) -> bool {
    let node = tree.node(id);
    matches!(node.kind, NodeKind::Symlink(_))
        && tree
            .walk_from(node.parent, &node.name, true)
            .end
            .is_some_and(|end| tree.node(end).kind == NodeKind::Dir)
}

/// Text of a database, where it is none with replacement characters.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
