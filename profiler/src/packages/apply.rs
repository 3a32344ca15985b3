//! From a plan to one whose package databases tell the truth.

use std::collections::BTreeSet;

use super::file::{self, Cut, DatabaseFile};
use super::{Inventory, Presence, distro, rpm};
use crate::image::{ImageError, NodeId, Tree};
use crate::minimize::{Plan, Reason, Rule};

/// What becomes of package databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Metadata {
    /// They stay as they are: scanners see every package of the source.
    Keep,
    /// Cut to the packages that keep a file.
    #[default]
    Trim,
    /// They go, and scanners see nothing.
    Drop,
}

impl Metadata {
    /// As on the command line and in annotations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Trim => "trim",
            Self::Drop => "drop",
        }
    }
}

/// Puts package databases into a plan, trimmed to what the plan keeps, or
/// takes them out. What the user includes stays, and what the user excludes
/// stays away, whatever becomes of the rest.
///
/// # Errors
/// When the image cannot be read.
pub fn apply(
    inventory: &Inventory,
    tree: &Tree<'_>,
    plan: &mut Plan,
    metadata: Metadata,
) -> Result<(), ImageError> {
    plan.warnings.extend(inventory.warnings.iter().cloned());
    for path in distro::RELEASE_FILES {
        if let Some((node, links)) = file::find(tree, path) {
            keep(tree, plan, node, &links, "the distribution's name, for scanners");
        }
    }
    if metadata == Metadata::Drop {
        for database in &inventory.databases {
            remove(tree, plan, database.node, "package metadata is dropped");
        }
        if !inventory.databases.is_empty() {
            plan.warnings.push(
                "package metadata is dropped: scanners will find none of the distribution's \
                 packages, which does not mean that there are none"
                    .into(),
            );
        }
        return Ok(());
    }
    // The databases' own files are no payload, so their order is of no matter.
    let stays: Vec<bool> = (0..inventory.packages.len())
        .map(|index| inventory.presence(index, plan) != Presence::Removed)
        .collect();
    // A cut line may be about a database's own directory: all of them come
    // in before the first is cut.
    let mut left = Vec::new();
    for database in &inventory.databases {
        if metadata == Metadata::Trim
            && let Some(reason) = gone(database, &stays)
        {
            remove(tree, plan, database.node, reason);
            continue;
        }
        keep(tree, plan, database.node, &database.links, "package database");
        left.push(database);
    }
    if metadata == Metadata::Keep {
        return Ok(());
    }
    for database in left {
        if !plan.kept.contains_key(&database.node) {
            continue;
        }
        let Some(bytes) = trimmed(database, tree, plan, &stays)? else { continue };
        plan.edits.insert(database.node, bytes);
        if let Cut::Sqlite(_, companions) = &database.cut {
            for &companion in companions {
                remove(tree, plan, companion, "its changes are in the database");
            }
        }
    }
    Ok(())
}

/// Why a file is not needed at all.
fn gone(database: &DatabaseFile, stays: &[bool]) -> Option<&'static str> {
    match database.cut {
        Cut::With(index) | Cut::Lines(index, _) if !stays[index] => {
            Some("its package keeps no file")
        }
        _ => None,
    }
}

/// A file's content without what goes; none when nothing does.
fn trimmed(
    database: &DatabaseFile,
    tree: &Tree<'_>,
    plan: &mut Plan,
    stays: &[bool],
) -> Result<Option<Vec<u8>>, ImageError> {
    let mut going = Vec::new();
    let is_kept = |node: &Option<NodeId>| node.is_some_and(|id| plan.kept.contains_key(&id));
    // Ranges that go, in order.
    match &database.cut {
        Cut::Whole | Cut::With(_) => return Ok(None),
        Cut::Records(records) => {
            going.extend(
                records.iter().filter(|(_, index)| !stays[*index]).map(|(range, _)| range.clone()),
            );
        }
        Cut::Lines(_, lines) => going.extend(
            lines.iter().filter(|(_, node)| !is_kept(node)).map(|(range, _)| range.clone()),
        ),
        Cut::Nested(records) => {
            for record in records {
                if !stays[record.package] {
                    going.push(record.range.clone());
                    continue;
                }
                let entries = record.entries.iter().filter(|entry| !is_kept(&entry.node));
                going.extend(entries.map(|entry| entry.range.clone()));
            }
        }
        Cut::Sqlite(packages, companions) => {
            return rpm::trim(database.node, packages, companions, tree, plan, stays);
        }
    }
    let bytes = file::read(tree, database.node)?;
    let mut left = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for range in going {
        left.extend_from_slice(&bytes[at..range.start]);
        at = range.end;
    }
    left.extend_from_slice(&bytes[at..]);
    Ok((left.len() < bytes.len()).then_some(left))
}

/// Keeps a node, the links that lead there and the directories above, but for
/// what the user excludes.
fn keep(tree: &Tree<'_>, plan: &mut Plan, node: NodeId, links: &[NodeId], detail: &str) {
    if plan.excluded.contains(&node) {
        return;
    }
    let nodes: BTreeSet<NodeId> = links.iter().copied().chain([node]).collect();
    for id in nodes {
        let reason = || Reason { rule: Rule::Packages, detail: detail.into() };
        plan.kept.entry(id).or_insert_with(reason);
        let mut at = id;
        while at != tree.root() {
            at = tree.node(at).parent;
            let of = || String::from_utf8_lossy(&tree.path(id)).into_owned();
            plan.kept.entry(at).or_insert_with(|| Reason { rule: Rule::Parent, detail: of() });
        }
    }
}

/// Takes a node out; one that was recorded is listed with the cause.
fn remove(tree: &Tree<'_>, plan: &mut Plan, node: NodeId, why: &str) {
    match plan.kept.get(&node).map(|reason| reason.rule) {
        None | Some(Rule::Include) => return,
        Some(Rule::Touched) => {
            plan.unshipped.insert(tree.path(node), why.into());
        }
        Some(_) => {}
    }
    plan.kept.remove(&node);
}
