//! The steps of a plan, in order.

use super::closure::{self, Environment};
use super::keep::{Keeper, Plan, Rule};
use super::{PlanError, Policy, group, touched};
use crate::image::{SourceImage, Tree};
use crate::profile::Profile;

/// Files that a container runtime or libc looks at before any program of the
/// image runs, and the distribution's name, without which a scanner is blind.
const SYSTEM: [&str; 6] = [
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/usr/lib/os-release",
    "/etc/debian_version",
];

/// Places where runtimes mount something or programs make files. An empty
/// directory costs nothing, a missing one breaks a container.
const PLACES: [&str; 13] = [
    "/proc",
    "/sys",
    "/dev",
    "/tmp",
    "/var/tmp",
    "/run",
    "/var/run",
    "/run/lock",
    "/var/lock",
    "/var/log",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
];

/// Says what is kept of an image, and why.
///
/// # Errors
/// When an include or exclude pattern fits nothing, or the image cannot be
/// read.
pub fn plan(
    image: &SourceImage,
    tree: &Tree<'_>,
    profiles: &[Profile],
    policy: &Policy,
) -> Result<Plan, PlanError> {
    let environment = Environment::of(image);
    let mut keeper = Keeper::new(tree);
    for profile in profiles {
        touched::keep(&mut keeper, profile);
    }
    for path in SYSTEM {
        if tree.walk(path.as_bytes(), true).end.is_some() {
            keeper.keep_walk(path.as_bytes(), true, Rule::System, "users, groups, distribution");
        }
    }
    for path in PLACES {
        if tree.walk(path.as_bytes(), true).end.is_some() {
            keeper.keep_walk(path.as_bytes(), true, Rule::Mount, "run-time directory or file");
        }
    }
    closure::config::keep(&mut keeper, &environment);
    policy.include(&mut keeper)?;
    for &group in &policy.options.groups {
        if !group::keep(&mut keeper, group) {
            keeper.plan.warnings.push(format!("the image has no files of the group {group}"));
        }
    }
    closure::close(&mut keeper, &environment)?;
    policy.exclude(&mut keeper)?;

    let mut plan = keeper.plan;
    for entry in profiles.iter().flat_map(|profile| &profile.paths) {
        let why = match tree.lookup(entry.path.as_bytes()) {
            Some(id) if plan.kept.contains_key(&id) => continue,
            Some(_) => "excluded by the policy",
            None => "not in the image: made at run time, or mounted",
        };
        plan.unshipped.insert(entry.path.0.clone(), why.into());
    }
    Ok(plan)
}
