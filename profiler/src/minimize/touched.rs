//! From what was recorded to what is kept.

use super::keep::{Keeper, Rule};
use crate::profile::{BytePath, NameEntry, PathEntry, Profile};

/// Keeps everything that a profile's containers touched.
pub fn keep(keeper: &mut Keeper<'_>, profile: &Profile) {
    let mounts: Vec<&BytePath> = profile.runs.iter().flat_map(|run| &run.mounts).collect();
    for mount in &mounts {
        if keeper.tree.walk(mount.as_bytes(), true).end.is_some() {
            keeper.keep_walk(mount.as_bytes(), true, Rule::Mount, "mount point");
        }
    }
    for entry in &profile.paths {
        path(keeper, entry);
    }
    for entry in &profile.names {
        let mounted = |mount: &&BytePath| entry.name != **mount && entry.name.is_in(mount);
        if !mounts.iter().any(mounted) {
            name(keeper, entry);
        }
    }
    for entry in &profile.missing {
        // What was not there need not be; the links towards it must lead to
        // the same nowhere.
        for link in keeper.tree.walk(entry.name.as_bytes(), true).links {
            keeper.keep(link, Rule::Link, &entry.name.to_string_lossy());
        }
    }
}

/// A file by its place in the rootfs.
fn path(keeper: &mut Keeper<'_>, entry: &PathEntry) {
    match keeper.tree.lookup(entry.path.as_bytes()) {
        Some(id) => {
            let kinds: Vec<String> =
                entry.kinds.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
            let by = if entry.runtime { "container runtime" } else { entry.comm.as_str() };
            keeper.keep(id, Rule::Touched, &format!("{} by {by}", kinds.join(", ")));
        }
        // Made at run time: the directory it was made in is what it needs.
        None => {
            let reached = keeper.tree.walk(entry.path.as_bytes(), true).reached;
            keeper.keep(reached, Rule::Parent, &entry.path.to_string_lossy());
        }
    }
}

/// A name as it was spoken: every link on the way counts.
fn name(keeper: &mut Keeper<'_>, entry: &NameEntry) {
    let name = entry.name.as_bytes();
    for kind in entry.kinds.iter() {
        let detail = format!("{} by {}", format!("{kind:?}").to_lowercase(), entry.comm);
        keeper.keep_walk(name, kind.follows(), Rule::Touched, &detail);
    }
}
