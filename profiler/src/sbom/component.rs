//! What a document lists.

use std::collections::BTreeSet;

use crate::minimize::Plan;
use crate::packages::{Inventory, Presence, purl};

/// A package of which something is in the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Component {
    /// Its package URL, of which no two components have the same.
    pub purl: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Licence as its own metadata has it.
    pub license: Option<String>,
    /// How much of it is there.
    pub presence: Presence,
    /// Payload files in this image.
    pub kept: usize,
    /// Payload files in the source image.
    pub of: usize,
}

impl Component {
    /// In words, what is there of it; none when it is whole.
    pub fn remark(&self) -> Option<String> {
        match self.presence {
            Presence::Partial => Some(format!(
                "partial: {} of the {} files that the source image has of this package",
                self.kept, self.of
            )),
            Presence::Unknown => {
                Some("unknown how much is there: its database does not list files".into())
            }
            Presence::Full | Presence::Removed => None,
        }
    }
}

/// The packages of which a plan keeps something, in the order of their URLs.
pub fn components(inventory: &Inventory, plan: &Plan) -> Vec<Component> {
    let present = inventory.packages.iter().enumerate().filter_map(|(index, package)| {
        let presence = inventory.presence(index, plan);
        if !package.installed || presence == Presence::Removed {
            return None;
        }
        let files = || package.files.iter().flatten();
        Some(Component {
            purl: purl(package, &inventory.distro)?,
            name: package.name.clone(),
            version: package.full_version(),
            license: package.license.clone(),
            presence,
            kept: files().filter(|id| plan.kept.contains_key(id)).count(),
            of: files().count(),
        })
    });
    let mut seen = BTreeSet::new();
    let sorted: BTreeSet<Component> = present.collect();
    sorted.into_iter().filter(|component| seen.insert(component.purl.clone())).collect()
}
