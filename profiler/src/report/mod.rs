//! What a minimization did: for programs (JSON) and for people (a table).

mod packages;

use std::collections::BTreeSet;

use serde::Serialize;

pub use packages::{PackageReport, PackageState};

use crate::image::{NodeId, NodeKind, SourceImage, Tree, Written};
use crate::minimize::{Plan, Rule};
use crate::profile::BytePath;
use crate::verify::Round;

/// The report's format version.
pub const VERSION: u32 = 1;

/// Everything about one minimization.
#[derive(Debug, Serialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The image that was read.
    pub source: Side,
    /// The image that was written.
    pub output: Side,
    /// Kept paths in order, with reasons.
    pub kept: Vec<Kept>,
    /// Removed paths in order.
    pub removed: Vec<Removed>,
    /// Recorded paths that are not in the output.
    pub unshipped: Vec<Unshipped>,
    /// Packages, and what is left of them; see [`Report::with_packages`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<PackageReport>,
    /// Runs on small images that came before this one, and the one on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<Round>,
    /// What could not be resolved.
    pub warnings: Vec<String>,
}

/// One of the two images.
#[derive(Debug, Serialize)]
pub struct Side {
    /// Its reference.
    pub reference: String,
    /// Digest of its config.
    pub id: String,
    /// Digest of its manifest, where the transport has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Bytes of its files, hard links counted once.
    pub bytes: u64,
    /// How many files, links and devices, directories not counted.
    pub files: u64,
    /// How many layers.
    pub layers: usize,
}

/// A kept path.
#[derive(Debug, Serialize)]
pub struct Kept {
    /// Absolute path.
    pub path: BytePath,
    /// Bytes of content.
    pub size: u64,
    /// Which rule.
    pub rule: Rule,
    /// In words.
    pub detail: String,
    /// The package it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

/// A removed path.
#[derive(Debug, Serialize)]
pub struct Removed {
    /// Absolute path.
    pub path: BytePath,
    /// Bytes of content.
    pub size: u64,
    /// The package it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}

/// A recorded path that is not in the output.
#[derive(Debug, Serialize)]
pub struct Unshipped {
    /// Absolute path.
    pub path: BytePath,
    /// Why not.
    pub why: String,
}

impl Report {
    /// Puts the report together.
    pub fn new(
        image: &SourceImage,
        tree: &Tree<'_>,
        plan: &Plan,
        output: &str,
        written: &Written,
    ) -> Self {
        let all = tree.all();
        let (mut kept, mut removed) = (Vec::new(), Vec::new());
        let edited = |id: NodeId| plan.edits.get(&id).map(|bytes| bytes.len() as u64);
        let new_size = |id: NodeId| edited(id).unwrap_or_else(|| content(tree, id));
        for &id in &all {
            let (path, size) = (BytePath(tree.path(id)), content(tree, id));
            match plan.kept.get(&id) {
                Some(reason) => {
                    let detail = reason.detail.clone();
                    let size = new_size(id);
                    kept.push(Kept { path, size, rule: reason.rule, detail, package: None });
                }
                None => removed.push(Removed { path, size, package: None }),
            }
        }
        kept.sort_by(|a, b| a.path.cmp(&b.path));
        removed.sort_by(|a, b| a.path.cmp(&b.path));
        let side =
            |reference: &str, (id, digest): (&str, &Option<String>), nodes: &[NodeId]| Side {
                reference: reference.into(),
                id: id.into(),
                digest: digest.clone(),
                bytes: 0,
                files: nodes.iter().filter(|&&id| tree.node(id).kind != NodeKind::Dir).count()
                    as u64,
                layers: 0,
            };
        let left: Vec<NodeId> = plan.kept.keys().copied().collect();
        Self {
            version: VERSION,
            source: Side {
                bytes: total(tree, &all, |id| content(tree, id)),
                layers: image.layers.len(),
                ..side(&image.reference, (&image.id, &image.manifest_digest), &all)
            },
            output: Side {
                bytes: total(tree, &left, new_size),
                layers: written.layers,
                ..side(output, (&written.id, &written.manifest_digest), &left)
            },
            kept,
            removed,
            unshipped: plan
                .unshipped
                .iter()
                .map(|(path, why)| Unshipped { path: path.clone().into(), why: why.clone() })
                .collect(),
            packages: None,
            rounds: Vec::new(),
            warnings: plan.warnings.clone(),
        }
    }

    /// A table of a few lines.
    pub fn table(&self) -> String {
        let percent = if self.source.bytes == 0 {
            0.0
        } else {
            self.output.bytes as f64 * 100.0 / self.source.bytes as f64
        };
        let mut table =
            format!("{:<8} {:>12} {:>9} {:>7}  {}\n", "", "bytes", "files", "layers", "image");
        for (name, side) in [("source", &self.source), ("result", &self.output)] {
            table.push_str(&format!(
                "{name:<8} {:>12} {:>9} {:>7}  {}\n",
                side.bytes, side.files, side.layers, side.reference
            ));
        }
        table.push_str(&format!("{:<8} {:>11.1}% {:>9}\n", "kept", percent, self.output.files));
        table.push_str(&format!(
            "{:<8} {:>12} {:>9}\n",
            "removed",
            self.source.bytes - self.output.bytes,
            self.source.files - self.output.files
        ));
        if let Some(packages) = self.packages.as_ref().filter(|packages| packages.total() > 0) {
            table.push_str(&format!("{:<8} {packages}\n", "packages"));
        }
        table
    }
}

fn content(tree: &Tree<'_>, id: NodeId) -> u64 {
    let node = tree.node(id);
    if node.kind == NodeKind::File { node.size } else { 0 }
}

/// Bytes of files by `size`, each counted once however many names it has.
fn total(tree: &Tree<'_>, nodes: &[NodeId], size: impl Fn(NodeId) -> u64) -> u64 {
    let mut counted = BTreeSet::new();
    nodes
        .iter()
        .filter(|&&id| match tree.hard_links(id).first() {
            Some(&first) => counted.insert(first),
            None => true,
        })
        .map(|&id| size(id))
        .sum()
}
