//! What a document lists.

use std::collections::BTreeSet;

use super::language;
use crate::image::{ImageError, Tree};
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

/// The packages of which a plan keeps something, of the distribution and of
/// languages, in the order of their URLs.
///
/// # Errors
/// When the image cannot be read.
pub fn components(
    inventory: &Inventory,
    tree: &Tree<'_>,
    plan: &Plan,
) -> Result<Vec<Component>, ImageError> {
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
    let mut sorted: BTreeSet<Component> = present.collect();
    sorted.extend(language::components(tree, plan)?);
    // The same package may lie in several places: one of them stands for all.
    let mut seen = BTreeSet::new();
    Ok(sorted.into_iter().filter(|component| seen.insert(component.purl.clone())).collect())
}
