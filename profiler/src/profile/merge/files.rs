//! Folding profile files, several at a time.
//!
//! Every thread takes the next file, reads it and folds it into a union of its
//! own; the unions are folded at the end. The fold is associative and
//! commutative, so the result does not depend on who took what. What is held is
//! a union and a profile a thread.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{DifferentImages, Fold, LoadError, Profile};
use crate::parallel::{self, Task};
use crate::profile::file::load_into;
use crate::progress::{self, Progress, Stage};

/// How files are merged.
#[derive(Debug, Clone, Copy, Default)]
pub struct MergeOptions<'a> {
    /// Threads at work; none: one a processor. The result does not depend on
    /// it.
    pub threads: Option<NonZeroUsize>,
    /// Where the files done are counted.
    pub progress: Option<&'a Progress>,
}

/// Why files were not merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// One cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// One is of another image than those before it.
    #[error("cannot merge {path}: {source}", path = .path.display())]
    Different {
        /// The file.
        path: PathBuf,
        /// The images.
        source: DifferentImages,
    },
}

/// What was folded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// The union; none of no files.
    pub profile: Option<Profile>,
    /// Members that this version does not know and that are not in the union,
    /// with the first file that has each.
    pub unknown: BTreeMap<String, PathBuf>,
}

/// The union of profile files.
///
/// # Errors
/// When one cannot be read or is of another image: the first such in the order
/// given.
pub fn merge_files(paths: &[PathBuf], options: &MergeOptions<'_>) -> Result<Merged, MergeError> {
    let threads = parallel::threads(options.threads).get();
    // A few files are not worth a thread.
    match fold(paths, threads.min(paths.len() / 4).max(1), options.progress) {
        Ok(merged) => Ok(merged),
        // Which file is named must not depend on who was faster.
        Err(_) if threads > 1 => fold(paths, 1, options.progress),
        Err(error) => Err(error),
    }
}

fn fold(
    paths: &[PathBuf],
    threads: usize,
    progress: Option<&Progress>,
) -> Result<Merged, MergeError> {
    progress::begin(progress, Stage::Merging, paths.len() as u64);
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let part = part(paths, &next, &failed, progress);
        failed.fetch_or(part.is_err(), Ordering::Relaxed);
        part
    };
    let tasks = (0..threads).map(|_| Box::new(work) as Task<'_, Result<Part, _>>).collect();
    let mut parts = parallel::run(NonZeroUsize::new(threads), tasks).into_iter();
    let Some(mut all) = parts.next().transpose()? else { return Ok(Merged::default()) };
    for part in parts {
        let part = part?;
        for (member, index) in part.unknown {
            let first = all.unknown.entry(member).or_insert(index);
            *first = index.min(*first);
        }
        // Of which file, is found out by the one that calls this.
        if let Some(profile) = part.fold.finish() {
            let path = paths[part.last].clone();
            all.fold.add(profile).map_err(|source| MergeError::Different { path, source })?;
        }
    }
    let named = |(member, index): (String, usize)| (member, paths[index].clone());
    Ok(Merged { profile: all.fold.finish(), unknown: all.unknown.into_iter().map(named).collect() })
}

/// What one thread folded.
#[derive(Default)]
struct Part {
    fold: Fold,
    /// By the first file that has each.
    unknown: BTreeMap<String, usize>,
    /// The last file.
    last: usize,
}

fn part(
    paths: &[PathBuf],
    next: &AtomicUsize,
    failed: &AtomicBool,
    progress: Option<&Progress>,
) -> Result<Part, MergeError> {
    let mut part = Part::default();
    let mut text = Vec::new();
    while !failed.load(Ordering::Relaxed) {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(path) = paths.get(index) else { break };
        let profile = load_into(&mut text, path, |member| {
            part.unknown.entry(member).or_insert(index);
        })?;
        let different = |source| MergeError::Different { path: path.clone(), source };
        part.fold.add(profile).map_err(different)?;
        part.last = index;
        if let Some(progress) = progress {
            progress.add(1);
        }
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::merge;
    use super::super::tests::profile;
    use super::*;
    use crate::profile::{load, save};

    fn files(directory: &Path, count: u64) -> Vec<PathBuf> {
        let save = |seed| {
            let path = directory.join(format!("{seed}.json"));
            save(&profile(&mut fastrand::Rng::with_seed(seed)), &path).unwrap();
            path
        };
        (0..count).map(save).collect()
    }

    fn with(threads: usize) -> MergeOptions<'static> {
        MergeOptions { threads: NonZeroUsize::new(threads), ..MergeOptions::default() }
    }

    #[test]
    fn the_union_does_not_depend_on_the_number_of_threads() {
        let directory = tempfile::tempdir().unwrap();
        let mut paths = files(directory.path(), 40);
        let known = merge(paths.iter().map(|path| load(path).unwrap())).unwrap();
        let text = serde_json::to_vec(&known).unwrap();
        for threads in [1, 2, 3, 7, 100] {
            let progress = Progress::default();
            let options = MergeOptions { progress: Some(&progress), ..with(threads) };
            let merged = merge_files(&paths, &options).unwrap();
            assert_eq!(serde_json::to_vec(&merged.profile).unwrap(), text, "{threads} threads");
            assert_eq!((progress.look().done, progress.look().total), (40, 40));
            paths.rotate_left(13);
        }
        assert_eq!(merge_files(&[], &with(3)).unwrap(), Merged::default());
    }

    #[test]
    fn the_first_file_that_is_wrong_is_named_whoever_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let paths = files(directory.path(), 40);
        fs::write(&paths[35], "{").unwrap();
        fs::write(&paths[21], "{").unwrap();
        let named = |threads| merge_files(&paths, &with(threads)).unwrap_err().to_string();
        for threads in [1, 2, 5] {
            assert!(named(threads).contains("21.json is damaged"), "{}", named(threads));
        }
        let text = fs::read_to_string(&paths[30]).unwrap();
        fs::write(&paths[9], text.replace("sha256:1", "sha256:9")).unwrap();
        for threads in [1, 2, 5] {
            let error = named(threads);
            assert!(error.contains("9.json: profiles of different images"), "{error}");
            assert_eq!(error, named(1));
        }
    }

    #[test]
    fn unknown_members_are_told_with_the_first_file_that_has_them() {
        let directory = tempfile::tempdir().unwrap();
        let paths = files(directory.path(), 40);
        for index in [38, 17, 29] {
            let text = fs::read_to_string(&paths[index]).unwrap();
            let later = text.replacen("\"runs\"", "\"later\": {\"a\": [1]},\n  \"runs\"", 1);
            fs::write(&paths[index], later).unwrap();
        }
        for threads in [1, 2, 5] {
            let merged = merge_files(&paths, &with(threads)).unwrap();
            assert_eq!(merged.unknown, [("later".to_owned(), paths[17].clone())].into());
        }
    }
}
