//! From profiles to a sample.

use std::collections::HashMap;

use super::{Coverage, Sample};
use crate::profile::{ImageId, Kind, PathEntry, Profile};

/// Why profiles make no sample.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoverageError {
    /// Two images have no paths in common, or have by accident.
    #[error(
        "{name} is a profile of {image}, {first} one of {first_image}; give profiles of one image"
    )]
    DifferentImages {
        /// The profile that does not fit.
        name: String,
        /// Its image, reference and digest.
        image: String,
        /// The first profile.
        first: String,
        /// Its image, reference and digest.
        first_image: String,
    },
    /// A run counted twice has nothing of its own, which makes the estimate
    /// too low.
    #[error(
        "{name} holds the run started {started} as {other} does; a run may count once: leave one of them out"
    )]
    SameRun {
        /// The second one.
        name: String,
        /// The first one.
        other: String,
        /// When the run started.
        started: String,
    },
}

/// Takes profiles one after the other and keeps of them what is counted.
#[derive(Debug, Default)]
pub struct Collector {
    first: Option<(String, ImageId)>,
    /// Profile by the containers of its runs.
    runs: HashMap<String, String>,
    sample: Sample,
    left_out: usize,
}

impl Collector {
    /// Adds a profile as one unit. The format does not say which of several
    /// runs touched a path, so a merged profile is one unit too.
    ///
    /// Paths that `counts` denies are left out: what a run itself made has
    /// another name each time and says nothing about the image.
    ///
    /// # Errors
    /// When it is of another image than those before (same layers pass: the
    /// files are the same), or holds a run that was there.
    pub fn add(
        &mut self,
        name: &str,
        profile: &Profile,
        counts: impl Fn(&PathEntry) -> bool,
    ) -> Result<(), CoverageError> {
        let image = &profile.image;
        let (first, first_image) =
            self.first.get_or_insert_with(|| (name.to_owned(), image.clone()));
        let same_layers = !image.diff_ids.is_empty() && image.diff_ids == first_image.diff_ids;
        if image.id != first_image.id && !same_layers {
            return Err(CoverageError::DifferentImages {
                name: name.to_owned(),
                image: named(image),
                first: first.clone(),
                first_image: named(first_image),
            });
        }
        for run in profile.runs.iter().filter(|run| !run.containers.is_empty()) {
            let containers: Vec<&str> = run.containers.iter().map(String::as_str).collect();
            let key = format!("{} {}", run.started, containers.join(" "));
            if let Some(other) = self.runs.insert(key, name.to_owned()) {
                return Err(CoverageError::SameRun {
                    name: name.to_owned(),
                    other,
                    started: run.started.clone(),
                });
            }
        }
        let counted = profile.paths.iter().filter(|entry| counts(entry));
        let mut number = 0;
        self.sample.add(
            name.to_owned(),
            counted.inspect(|_| number += 1).map(|entry| entry.path.as_bytes()),
        );
        self.left_out += profile.paths.len() - number;
        Ok(())
    }

    /// The image of the profiles; none before the first.
    pub fn image(&self) -> Option<&ImageId> {
        self.first.as_ref().map(|(_, image)| image)
    }

    /// Entries that were not counted.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// What the profiles say.
    pub fn coverage(&self) -> Coverage {
        self.sample.coverage()
    }
}

fn named(image: &ImageId) -> String {
    format!("{} ({})", image.reference, image.id)
}

/// Whether a path counts, as far as a profile alone can tell: what was written
/// or created may be a run's own file. Where the image is at hand, whether it
/// has the path is the better question.
pub fn in_profile(entry: &PathEntry) -> bool {
    !entry.written && !entry.kinds.contains(&Kind::Modify)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Run;

    fn profile(image: &str, container: &str, paths: &[&str]) -> Profile {
        let mut profile = Profile::new(ImageId { id: image.into(), ..ImageId::default() });
        profile.runs.push(Run { containers: [container.into()].into(), ..Run::default() });
        let entry = |&path: &&str| PathEntry { path: path.into(), ..PathEntry::default() };
        profile.paths = paths.iter().map(entry).collect();
        profile
    }

    #[test]
    fn profiles_of_different_images_are_refused_unless_their_layers_are_the_same() {
        let mut collector = Collector::default();
        collector.add("a.json", &profile("sha256:a", "1", &[]), in_profile).unwrap();
        let error = collector.add("b.json", &profile("sha256:b", "2", &[]), in_profile);
        let text = error.unwrap_err().to_string();
        for word in ["a.json", "b.json", "sha256:a", "sha256:b", "one image"] {
            assert!(text.contains(word), "{text}");
        }
        let layered = |id: &str, container: &str| {
            let mut profile = profile(id, container, &[]);
            profile.image.diff_ids = vec!["sha256:layer".into()];
            profile
        };
        let mut collector = Collector::default();
        collector.add("a.json", &layered("sha256:a", "1"), in_profile).unwrap();
        collector.add("b.json", &layered("sha256:b", "2"), in_profile).unwrap();
    }

    #[test]
    fn a_run_counts_once() {
        let mut collector = Collector::default();
        collector.add("a.json", &profile("x", "1", &["/a"]), in_profile).unwrap();
        let error = collector.add("copy.json", &profile("x", "1", &["/a"]), in_profile);
        assert!(matches!(error, Err(CoverageError::SameRun { .. })), "{error:?}");
    }

    #[test]
    fn what_a_run_wrote_or_made_does_not_count() {
        let mut written = profile("x", "1", &["/a", "/tmp/1", "/tmp/2"]);
        written.paths[1].written = true;
        written.paths[2].kinds.insert(Kind::Modify);
        let mut collector = Collector::default();
        collector.add("a.json", &written, in_profile).unwrap();
        assert_eq!((collector.coverage().paths, collector.left_out()), (1, 2));
    }
}
