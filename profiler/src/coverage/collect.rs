//! From profiles to a sample.

use std::collections::{BTreeMap, HashMap};

use super::{Coverage, Sample, Unit};
use crate::profile::{ImageId, Kind, OUTSIDE, PathEntry, Profile};

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
    tests: Tests,
    left_out: usize,
}

/// What each test touched, by name.
#[derive(Debug, Default)]
struct Tests {
    /// Each path's number.
    paths: HashMap<Vec<u8>, u32>,
    by_name: BTreeMap<String, Vec<u32>>,
    /// What nothing or not only tests touched.
    ground: Vec<u32>,
}

impl Tests {
    fn add<'a>(&mut self, profile: &Profile, counted: impl Iterator<Item = &'a PathEntry>) {
        let mut units: Vec<Vec<u32>> = vec![Vec::new(); profile.marks.len()];
        for entry in counted {
            let next = self.paths.len() as u32;
            let number = *self.paths.entry(entry.path.as_bytes().to_vec()).or_insert(next);
            let set = entry.mark_set();
            // The runtime touched it, and nothing else.
            if set.is_empty() {
                self.ground.push(number);
            }
            for place in set.places(units.len().max(1)) {
                match place {
                    OUTSIDE => self.ground.push(number),
                    place => units[place as usize].push(number),
                }
            }
        }
        for (name, unit) in profile.marks.iter().zip(units).skip(1) {
            self.by_name.entry(name.clone()).or_default().extend(unit);
        }
    }

    fn sample(&self) -> Sample {
        let mut by_number: Vec<&[u8]> = vec![&[]; self.paths.len()];
        for (path, &number) in &self.paths {
            by_number[number as usize] = path;
        }
        let of = |numbers: &[u32]| -> Vec<&[u8]> {
            numbers.iter().map(|&number| by_number[number as usize]).collect()
        };
        let mut sample = Sample::default();
        sample.add_ground(of(&self.ground));
        for (name, numbers) in &self.by_name {
            sample.add(name.clone(), of(numbers));
        }
        sample
    }
}

impl Collector {
    /// Adds a profile as one unit, and its tests. The format does not say which
    /// of several runs touched a path, so a merged profile is one unit too.
    /// What a profile without marks holds is common ground to the tests of
    /// others.
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
        let counted: Vec<&PathEntry> = profile.paths.iter().filter(|entry| counts(entry)).collect();
        self.sample.add(name.to_owned(), counted.iter().map(|entry| entry.path.as_bytes()));
        self.left_out += profile.paths.len() - counted.len();
        self.tests.add(profile, counted.into_iter());
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

    /// What the best unit is: tests, where there are marks.
    pub fn unit(&self) -> Unit {
        if self.tests.by_name.is_empty() { Unit::Run } else { Unit::Mark }
    }

    /// What the profiles say, by units of that kind.
    pub fn coverage(&self, by: Unit) -> Coverage {
        let coverage = match by {
            Unit::Run => self.sample.coverage(),
            Unit::Mark => self.tests.sample().coverage(),
        };
        Coverage { by, ..coverage }
    }
}

fn named(image: &ImageId) -> String {
    format!("{} ({})", image.reference, image.id)
}

/// Whether a path counts, as far as a profile alone can tell: what was written
/// or created may be a run's own file. Where the image is at hand, whether it
/// has the path is the better question.
pub fn in_profile(entry: &PathEntry) -> bool {
    !entry.written && !entry.kinds.contains(Kind::Modify)
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
        let coverage = collector.coverage(collector.unit());
        assert_eq!((coverage.by, coverage.paths, collector.left_out()), (Unit::Run, 1, 2));
    }

    #[test]
    fn a_test_is_one_unit_in_all_runs_and_what_lies_outside_is_none() {
        let marked = |container: &str, marks: &[&str], paths: &[(&str, &str)]| {
            let names: Vec<&str> = paths.iter().map(|(path, _)| *path).collect();
            let mut profile = profile("x", container, &names);
            profile.marks = marks.iter().map(|&mark| mark.into()).collect();
            for (entry, (_, set)) in profile.paths.iter_mut().zip(paths) {
                entry.marks = Some(set.parse().unwrap());
            }
            profile
        };
        let mut collector = Collector::default();
        let one = [("/a", "1"), ("/ab", "1-2"), ("/s", "0"), ("/sa", "0-1"), ("/t", "1")];
        collector.add("1", &marked("1", &["", "a", "b"], &one), in_profile).unwrap();
        let two = [("/b", "1"), ("/a", "1"), ("/c", "2")];
        collector.add("2", &marked("2", &["", "b", "c"], &two), in_profile).unwrap();
        let mut plain = profile("x", "3", &["/t", "/r"]);
        plain.paths[1].runtime = true;
        collector.add("3", &plain, in_profile).unwrap();
        assert_eq!(collector.unit(), Unit::Mark);
        let coverage = collector.coverage(Unit::Mark);
        let told = |name: &str| {
            let unit = coverage.runs.iter().find(|unit| unit.name == name).unwrap();
            (unit.paths, unit.new, unit.alone)
        };
        assert_eq!(coverage.runs.len(), 3);
        // /t is of a run without marks, too, so nothing hangs on a.
        assert_eq!(told("a"), (4, 2, 0));
        assert_eq!(told("b"), (3, 1, 1));
        assert_eq!(told("c"), (1, 1, 1));
        // /s, /sa, /t, /r.
        assert_eq!((coverage.paths, coverage.ground), (8, 4));
        assert_eq!((coverage.singletons, coverage.doubletons), (2, 2));
        assert_eq!(collector.coverage(Unit::Run).runs.len(), 3);
    }
}
