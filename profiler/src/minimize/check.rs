//! Profiles that must not make an image.

use super::thin::Seen;
use crate::image::SourceImage;
use crate::profile::Profile;

/// What a user allows by name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allow {
    /// A profile of another image.
    pub mismatch: bool,
    /// A profile that lost events or was interrupted.
    pub incomplete: bool,
    /// Runs whose command failed.
    pub failed: bool,
    /// A profile in which nothing ran, or a recording of nothing but a start-up.
    pub thin: bool,
}

/// Why the profiles are refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Profile and image do not belong together.
    #[error(
        "the profile is of image {profiled} ({profiled_id}), not of {image} ({image_id}); profile this image, or pass --allow-mismatch"
    )]
    Mismatch {
        /// Reference in the profile.
        profiled: String,
        /// Digest in the profile.
        profiled_id: String,
        /// Reference of the source.
        image: String,
        /// Its digest.
        image_id: String,
        /// What the two have in common; may be empty.
        note: &'static str,
    },
    /// Events are missing.
    #[error("the profile of {image} is incomplete: {why}; run again, or pass --allow-incomplete")]
    Incomplete {
        /// Reference in the profile.
        image: String,
        /// All causes.
        why: String,
    },
    /// The tests failed.
    #[error(
        "the profile of {image} comes from a command that failed with status {status}; fix the tests, or pass --allow-failed"
    )]
    Failed {
        /// Reference in the profile.
        image: String,
        /// Exit status of the first failed run.
        status: i32,
    },
    /// Nothing was executed, or nothing but a start-up was seen.
    #[error(
        "the profile of {image} is too thin: {containers} containers, {files} files, {why}; let the tests use the image, or, where it needs no more, pass --allow-thin"
    )]
    Thin {
        /// Reference in the profile.
        image: String,
        /// Containers seen.
        containers: usize,
        /// Files seen.
        files: usize,
        /// What is too little, see [`Seen::thin`].
        why: String,
    },
}

impl Refusal {
    /// Whether it is a check that did not hold, and not wrong input.
    pub fn is_check(&self) -> bool {
        !matches!(self, Self::Mismatch { .. })
    }
}

/// Refuses what would make a broken image.
///
/// # Errors
/// The first [`Refusal`] that is not allowed.
pub fn check(image: &SourceImage, profiles: &[Profile], allow: Allow) -> Result<(), Refusal> {
    for profile in profiles {
        let name = || profile.image.reference.clone();
        if !allow.mismatch && !matches(image, profile) {
            return Err(Refusal::Mismatch {
                profiled: name(),
                profiled_id: profile.image.id.clone(),
                image: image.reference.clone(),
                image_id: image.id.clone(),
                note: if same_layers(image, profile) {
                    ", though their layers are the same: a copy, or another config"
                } else {
                    ""
                },
            });
        }
        let incomplete = profile.incomplete();
        if !allow.incomplete && !incomplete.is_empty() {
            return Err(Refusal::Incomplete { image: name(), why: incomplete.join(", ") });
        }
        if !allow.failed
            && let Some(&(_, status)) = profile.failed_runs().first()
        {
            return Err(Refusal::Failed { image: name(), status });
        }
    }
    let mut seen = Seen::default();
    profiles.iter().for_each(|profile| seen.add(profile));
    if !allow.thin
        && let Some(why) = seen.thin()
    {
        let first = profiles.first();
        return Err(Refusal::Thin {
            image: first.map_or_else(|| image.reference.clone(), |p| p.image.reference.clone()),
            containers: seen.containers,
            files: seen.files,
            why,
        });
    }
    Ok(())
}

/// The same image by config digest, or by manifest digest, which some engines
/// use as ID.
fn matches(image: &SourceImage, profile: &Profile) -> bool {
    let id = &profile.image.id;
    *id == image.id || Some(id) == image.manifest_digest.as_ref()
}

/// Copying to another format rewrites the config and so changes the digest.
fn same_layers(image: &SourceImage, profile: &Profile) -> bool {
    !image.diff_ids.is_empty() && image.diff_ids == profile.image.diff_ids
}
