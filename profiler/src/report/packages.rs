//! The report's part about packages: what is left of each, and whose each
//! path is.

use std::fmt;

use serde::Serialize;

use super::Report;
use crate::image::Tree;
use crate::minimize::Plan;
use crate::packages::{Inventory, Manager, Presence};

/// Packages of the source image, by what is left of them.
#[derive(Debug, Default, Serialize)]
pub struct PackageReport {
    /// How many keep no payload file.
    pub removed: usize,
    /// How many keep some.
    pub partial: usize,
    /// How many keep all that the source has.
    pub full: usize,
    /// How many have a database that does not say which files are theirs.
    pub unknown: usize,
    /// Each, in the order of manager, name and architecture.
    pub list: Vec<PackageState>,
}

/// What is left of a package.
#[derive(Debug, Serialize)]
pub struct PackageState {
    /// Its name.
    pub name: String,
    /// Its version, with the epoch.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// Whose database names it.
    pub manager: Manager,
    /// What is left.
    pub state: Presence,
    /// Payload files in the output.
    pub kept_files: usize,
    /// Payload files in the source.
    pub source_files: usize,
}

impl PackageReport {
    /// Counts an inventory under a plan.
    pub fn new(inventory: &Inventory, plan: &Plan) -> Self {
        let mut report = Self::default();
        for (index, package) in inventory.packages.iter().enumerate() {
            if !package.installed {
                continue;
            }
            let state = inventory.presence(index, plan);
            *match state {
                Presence::Removed => &mut report.removed,
                Presence::Partial => &mut report.partial,
                Presence::Full => &mut report.full,
                Presence::Unknown => &mut report.unknown,
            } += 1;
            let files = || package.files.iter().flatten();
            report.list.push(PackageState {
                name: package.name.clone(),
                version: package.full_version(),
                architecture: package.architecture.clone(),
                manager: package.manager,
                state,
                kept_files: files().filter(|id| plan.kept.contains_key(id)).count(),
                source_files: files().count(),
            });
        }
        report
    }

    /// How many packages the source has.
    pub fn total(&self) -> usize {
        self.list.len()
    }
}

impl fmt::Display for PackageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { removed, partial, full, unknown, .. } = self;
        write!(f, "{removed} removed, {partial} partly kept, {full} kept whole")?;
        if *unknown > 0 { write!(f, ", {unknown} unknown") } else { Ok(()) }
    }
}

impl Report {
    /// Adds what is known of packages: their states, and whose each path is.
    #[must_use]
    pub fn with_packages(mut self, inventory: &Inventory, tree: &Tree<'_>, plan: &Plan) -> Self {
        let labels = inventory.labels();
        let kept = self.kept.iter_mut().map(|entry| (&entry.path, &mut entry.package));
        let removed = self.removed.iter_mut().map(|entry| (&entry.path, &mut entry.package));
        for (path, owner) in kept.chain(removed) {
            let package = tree.lookup(path.as_bytes()).and_then(|id| inventory.owner(id));
            *owner = package.map(|index| labels[index].clone());
        }
        self.packages = Some(PackageReport::new(inventory, plan));
        self
    }
}
