//! Profiles of one image folded into one.
//!
//! The fold is a union: associative, commutative and idempotent, so profiles
//! of many machines can be folded in any order, in groups, and twice, with
//! the same result. Each part of a profile has its own union:
//!
//! | part | union |
//! |---|---|
//! | runs | a set, ordered by start; what differs in anything is another run |
//! | marks | a set of names; one name in several runs is one test |
//! | paths, names, missing | by path or name |
//! | kinds, marks of an entry | a set |
//! | written | in one of the profiles |
//! | runtime | in all of them: it says that nothing but the runtime touched the file |
//! | first, comm, exe | of the earliest touch; of two at the same time the least |
//! | comm, exe of a name | the least, for it has no time |
//! | exes | the most that one profile saw, see below |
//! | reference, layers | the least that is known |
//!
//! Losses, blind spots and dropped names stay with the runs they happened in.
//!
//! `exes` counts executables without naming them. A sum would grow when a
//! profile is folded in twice; the most is a lower bound that does not.
//!
//! Profiles are taken in one at a time, and what is held is the union: memory
//! grows with the files of the image and the number of runs, not with the
//! number of profiles times their paths.

mod files;
mod join;
mod marks;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::{ImageId, LoadError, Profile, Run, VERSION};
pub use files::{MergeError, MergeOptions, Merged, merge_files};
use join::unite;
use marks::Names;

/// Why two profiles are not folded together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "profiles of different images: {first} and {second}; merge each image's profiles into an output of their own"
)]
pub struct DifferentImages {
    /// Reference, ID and platform of the profiles so far.
    pub first: String,
    /// Those of the profile that was refused.
    pub second: String,
}

/// The union of the profiles that were added so far.
#[derive(Debug, Default)]
pub struct Fold {
    /// All but the runs.
    all: Option<Profile>,
    /// With their starts, which order them.
    runs: BTreeSet<(String, Run)>,
    marks: Names,
}

impl Fold {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a profile.
    ///
    /// # Errors
    /// When it is of another image or platform than those before it; the
    /// union is then as it was.
    pub fn add(&mut self, mut profile: Profile) -> Result<(), DifferentImages> {
        let all = match &mut self.all {
            Some(all) => {
                all.image = join_images(&all.image, profile.image.clone())?;
                all
            }
            // Through the same union: a file need not be sorted.
            None => self.all.insert(Profile::new(profile.image.clone())),
        };
        self.marks.take(&mut profile);
        // Taken apart, so that a part added later is not forgotten here.
        // The version is this program's: a newer one is not read.
        let Profile { version: _, image: _, runs, marks: _, paths, names, missing } = profile;
        all.version = VERSION;
        self.runs.extend(runs.into_iter().map(|run| (run.started.clone(), run)));
        unite(&mut all.paths, paths);
        unite(&mut all.names, names);
        unite(&mut all.missing, missing);
        Ok(())
    }

    /// The union; none of no profiles.
    pub fn finish(self) -> Option<Profile> {
        let mut all = self.all?;
        all.runs = self.runs.into_iter().map(|(_, run)| run).collect();
        self.marks.finish(&mut all);
        Some(all)
    }
}

/// The union of profiles, none of no profiles.
///
/// # Errors
/// When they are of different images.
pub fn merge(
    profiles: impl IntoIterator<Item = Profile>,
) -> Result<Option<Profile>, DifferentImages> {
    let mut fold = Fold::new();
    for profile in profiles {
        fold.add(profile)?;
    }
    Ok(fold.finish())
}

/// The same image by ID and platform, or an error that names both. A platform
/// that a profile does not tell is taken for that of the other: the ID is
/// that of one platform's config.
fn join_images(first: &ImageId, second: ImageId) -> Result<ImageId, DifferentImages> {
    let known = |one: &str, other: &str| one == other || one.is_empty() || other.is_empty();
    if first.id != second.id
        || !known(&first.os, &second.os)
        || !known(&first.architecture, &second.architecture)
    {
        return Err(DifferentImages { first: describe(first), second: describe(&second) });
    }
    let ImageId { reference, id, diff_ids, os, architecture } = second;
    let mut image = first.clone();
    image.id = id;
    least_known(&mut image.reference, reference, String::is_empty);
    least_known(&mut image.diff_ids, diff_ids, Vec::is_empty);
    least_known(&mut image.os, os, String::is_empty);
    least_known(&mut image.architecture, architecture, String::is_empty);
    Ok(image)
}

/// The lesser of two, what is not known being more than anything.
fn least_known<T: Ord>(all: &mut T, other: T, unknown: impl Fn(&T) -> bool) {
    if (unknown(&other), &other) < (unknown(all), &*all) {
        *all = other;
    }
}

fn describe(image: &ImageId) -> String {
    let ImageId { reference, id, os, architecture, .. } = image;
    format!("{reference} ({id}, {os}/{architecture})")
}
