//! The steps of a plan, in order.

use super::closure::{self, Environment};
use super::keep::{Keeper, Plan};
use super::{PlanError, Policy, group, touched};
use crate::image::{SourceImage, Tree};
use crate::profile::Profile;

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
    closure::system::keep(&mut keeper, &environment);
    closure::locale::keep(&mut keeper, &environment);
    closure::config::keep(&mut keeper, &environment);
    policy.include(&mut keeper)?;
    policy.heal(&mut keeper);
    for &group in &policy.options.groups {
        if !group::keep(&mut keeper, group) {
            keeper.plan.warnings.push(format!("the image has no files of the group {group}"));
        }
    }
    closure::close(&mut keeper, &environment, &policy.options)?;
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
