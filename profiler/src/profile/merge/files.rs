//! Folding profile files, several at a time.
//!
//! Every thread takes the next file, reads it and folds it into a union of its
//! own; the unions are folded at the end. The fold is associative and
//! commutative, so the result does not depend on who took what. What is held is
//! a union and a profile a thread. While a thread works on a file, the kernel
//! fetches its next one from the disk.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::{DifferentImages, Fold, ImageId, LoadError, Profile, join_images};
use crate::parallel::{self, Task};
use crate::profile::file::Fetched;
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

/// The union of profile files. Each is opened once: it may be a pipe.
///
/// # Errors
/// When one cannot be read or is of another image: the first such in the order
/// given.
pub fn merge_files(paths: &[PathBuf], options: &MergeOptions<'_>) -> Result<Merged, MergeError> {
    // A few files are not worth a thread.
    let threads = parallel::threads(options.threads).get().min(paths.len() / 4).max(1);
    progress::begin(options.progress, Stage::Merging, paths.len() as u64);
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || part(paths, &next, &failed, options.progress);
    let tasks = (0..threads).map(|_| Box::new(work) as Task<'_, Part>).collect();
    let mut all = Part::default();
    for part in parallel::run(NonZeroUsize::new(threads), tasks) {
        all.images.extend(part.images);
        if let Some((index, error)) = part.unread
            && all.unread.as_ref().is_none_or(|&(first, _)| index < first)
        {
            all.unread = Some((index, error));
        }
        for (member, index) in part.unknown {
            let first = all.unknown.entry(member).or_insert(index);
            *first = index.min(*first);
        }
        all.apart = all.apart.or(part.apart);
        if let Some(profile) = part.fold.finish()
            && let Err(error) = all.fold.add(profile)
        {
            all.apart = Some(error);
        }
    }
    first_error(paths, &mut all.images, all.unread)?;
    // Then one of the files is, so this names it; but nothing may be left out
    // without an error.
    if let (Some(source), Some(path)) = (all.apart, paths.last()) {
        return Err(MergeError::Different { path: path.clone(), source });
    }
    let named = |(member, index): (String, usize)| (member, paths[index].clone());
    Ok(Merged { profile: all.fold.finish(), unknown: all.unknown.into_iter().map(named).collect() })
}

/// What one thread folded, until there was an error somewhere.
#[derive(Default)]
struct Part {
    fold: Fold,
    /// What the profiles say of their image, with the first file that says so.
    images: Vec<(usize, ImageId)>,
    /// By the first file that has each.
    unknown: BTreeMap<String, usize>,
    /// The file that could not be read.
    unread: Option<(usize, LoadError)>,
    /// That some were not of one image.
    apart: Option<DifferentImages>,
}

/// Files are taken in order, and one that was taken is read, unless one before
/// it is at fault: so when a thread meets an error, all files before are some
/// thread's, and known at the end.
fn part(
    paths: &[PathBuf],
    next: &AtomicUsize,
    failed: &AtomicBool,
    progress: Option<&Progress>,
) -> Part {
    let mut part = Part::default();
    let mut text = Vec::new();
    let take = || {
        if failed.load(Ordering::Relaxed) {
            return None;
        }
        let index = next.fetch_add(1, Ordering::Relaxed);
        paths.get(index).map(|path| (index, Fetched::begin(path)))
    };
    let mut ahead = take();
    while let Some((index, file)) = ahead {
        ahead = take();
        let loaded = file.load_into(&mut text, |member| {
            part.unknown.entry(member).or_insert(index);
        });
        let profile = match loaded {
            Ok(profile) => profile,
            Err(error) => {
                failed.store(true, Ordering::Relaxed);
                part.unread = Some((index, error));
                break;
            }
        };
        if !part.images.iter().any(|(_, image)| *image == profile.image) {
            part.images.push((index, profile.image.clone()));
        }
        // Which file is told is decided when all are known.
        if let Err(error) = part.fold.add(profile) {
            failed.store(true, Ordering::Relaxed);
            part.apart = Some(error);
            break;
        }
        if let Some(progress) = progress {
            progress.add(1);
        }
    }
    part
}

/// The error that whoever reads the files one after the other would meet.
fn first_error(
    paths: &[PathBuf],
    images: &mut [(usize, ImageId)],
    unread: Option<(usize, LoadError)>,
) -> Result<(), MergeError> {
    images.sort_by_key(|&(index, _)| index);
    let until = unread.as_ref().map_or(usize::MAX, |&(index, _)| index);
    let mut known: Option<ImageId> = None;
    for (index, image) in images.iter().filter(|&&(index, _)| index < until) {
        let joined = match &known {
            Some(known) => join_images(known, image.clone())
                .map_err(|source| MergeError::Different { path: paths[*index].clone(), source })?,
            None => image.clone(),
        };
        known = Some(joined);
    }
    unread.map_or(Ok(()), |(_, error)| Err(error.into()))
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
    fn images_that_differ_are_told_as_if_one_file_were_read_after_the_other() {
        let directory = tempfile::tempdir().unwrap();
        for seed in 0..40 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut paths = Vec::new();
            let mut fold = Fold::new();
            let mut known = Ok(());
            for index in 0..24 {
                let mut profile = Profile::new(ImageId::default());
                // Few differ, and what is not known agrees with all.
                profile.image.id = if rng.u8(..60) == 0 { "2".into() } else { "1".into() };
                profile.image.os = ["", "", "", "linux", "plan9"][rng.usize(..5)].into();
                if rng.u8(..6) > 0 && profile.image.os == "plan9" {
                    profile.image.os = "linux".into();
                }
                let path = directory.path().join(format!("{index}.json"));
                save(&profile, &path).unwrap();
                if known.is_ok() {
                    let different =
                        |source| MergeError::Different { path: path.clone(), source }.to_string();
                    known = fold.add(profile).map_err(different);
                }
                paths.push(path);
            }
            for threads in [1, 2, 5] {
                let merged = merge_files(&paths, &with(threads)).map(drop);
                assert_eq!(merged.map_err(|error| error.to_string()), known, "seed {seed}");
            }
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
