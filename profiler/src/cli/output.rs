//! Where profiles are written, and the words about them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use profiler::collect::Recording;
use profiler::files::directory_of;
use profiler::journal::{Journal, JournalError};
use profiler::profile::{Lost, Run};
use profiler::session::{Outcome, Session, describe};

use super::terminal;

/// The arguments that say where profiles go.
#[derive(Debug, clap::Args)]
pub struct ProfileOutput {
    /// Where the profile goes: a file for one image, a directory for several.
    /// Without it each image's profile is written to NAME.profile.json here.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace profiles that exist.
    #[arg(long)]
    force: bool,
    /// How each profile written is told of on stderr; stdout is the command's.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Words or data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A line a profile.
    Text,
    /// An object a profile, each on a line of its own.
    Json,
}

/// How a profile is told of; none when quiet.
#[derive(Debug, Clone, Copy)]
pub struct Telling(Option<Format>);

impl ProfileOutput {
    /// How profiles are to be told of.
    pub fn telling(&self, quiet: bool) -> Telling {
        Telling((!quiet).then_some(self.format))
    }
}

/// Where `-o` points, checked before anything runs.
#[derive(Debug)]
pub enum Destination {
    /// One file, or a directory of that name if there are several images.
    Path(PathBuf, bool),
    /// Into this directory, one file an image.
    Directory(PathBuf, bool),
}

impl Destination {
    /// Looks at what is there.
    ///
    /// # Errors
    /// When the file exists and may not be replaced, or its directory cannot
    /// be written.
    pub fn check(args: &ProfileOutput) -> anyhow::Result<Self> {
        let force = args.force;
        let Some(path) = args.output.as_deref() else {
            return Ok(Self::Directory(".".into(), force));
        };
        if path.is_dir() {
            return Ok(Self::Directory(path.into(), force));
        }
        if path.exists() && !force {
            anyhow::bail!(
                "profile {} exists; choose another name with -o, or --force to replace it",
                path.display()
            );
        }
        let parent = directory_of(path);
        // Tried now: after an hour of tests is too late.
        tempfile::tempfile_in(parent).with_context(|| {
            format!("cannot write into {}; choose another place with -o", parent.display())
        })?;
        Ok(Self::Path(path.into(), force))
    }
}

/// The journal of a session, which is there as long as its profiles are not.
#[derive(Debug)]
pub struct Partial(PathBuf);

impl Partial {
    /// Begins one beside the profile that is to be, or in its directory.
    ///
    /// # Errors
    /// When one is there already, or it cannot be written.
    pub fn begin(
        destination: &Destination,
        session: &mut Session,
        run: Run,
    ) -> anyhow::Result<Self> {
        let journal = match destination {
            Destination::Path(path, force) => {
                let mut name = path.clone().into_os_string();
                name.push(".partial");
                Journal::create(Path::new(&name), *force)?
            }
            Destination::Directory(directory, _) => {
                // Process numbers are used again, and are not one's own where
                // several containers share the directory.
                let pid = std::process::id();
                let mut names = std::iter::once(format!("profiler-{pid}.partial"))
                    .chain((2..100).map(|number| format!("profiler-{pid}-{number}.partial")));
                loop {
                    let name = names.next().context("too many journals; remove *.partial")?;
                    match Journal::create(&directory.join(name), false) {
                        Err(JournalError::Exists(_) | JournalError::Busy(_)) => {}
                        journal => break journal?,
                    }
                }
            }
        };
        let partial = Self(journal.path().to_owned());
        if let Err(error) = session.keep_journal(journal, run) {
            partial.remove();
            return Err(error.into());
        }
        Ok(partial)
    }

    /// Removes it: there is nothing to recover.
    pub fn remove(self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            log::warn!("cannot remove journal {}: {error}; remove it", self.0.display());
        }
    }

    /// Removes it when all went well, else says where it is.
    ///
    /// # Errors
    /// That of `ended`, told what can be done.
    pub fn end<T>(self, ended: anyhow::Result<T>) -> anyhow::Result<T> {
        match ended {
            Ok(done) => {
                self.remove();
                Ok(done)
            }
            Err(error) => {
                let (error, path) = (super::one_line(&error), self.0.display());
                anyhow::bail!(
                    "{error}; what was recorded is in {path}, write its profile with `profiler recover {path} -o FILE`"
                )
            }
        }
    }
}

/// Writes the profiles and says where.
///
/// # Errors
/// When a file cannot be written; those before it stay.
pub fn store(outcome: &Outcome, destination: &Destination, telling: Telling) -> anyhow::Result<()> {
    for key in &outcome.unattributed {
        log::warn!(
            "cannot tell the image of {}; its touches are counted as unattributed",
            describe(key)
        );
    }
    if outcome.profiles.is_empty() {
        if telling.0.is_some() {
            eprintln!(
                "profiler: no container of a watched image ran; nothing to write (see `profiler doctor`)"
            );
        }
        return Ok(());
    }
    let (directory, force) = match destination {
        Destination::Path(path, _) if outcome.profiles.len() == 1 => {
            outcome.profiles[0].save(path)?;
            tell(&outcome.profiles[0], path, telling)?;
            return Ok(());
        }
        Destination::Path(path, force) => {
            if path.is_file() {
                // Forced over a file, but several images need a directory.
                std::fs::remove_file(path)
                    .with_context(|| format!("cannot replace {}", path.display()))?;
            }
            std::fs::create_dir(path).with_context(|| {
                format!("cannot create directory {} for several profiles", path.display())
            })?;
            (path, *force)
        }
        Destination::Directory(path, force) => (path, *force),
    };
    let mut taken = BTreeSet::new();
    for profile in &outcome.profiles {
        let mut name = file_name(&profile.image().reference);
        if !taken.insert(name.clone()) {
            // Two images under one tag: built again during the run.
            let id = profile.image().id.trim_start_matches("sha256:");
            name = format!("{name}-{}", &id[..id.len().min(12)]);
            taken.insert(name.clone());
        }
        let path = directory.join(format!("{name}.profile.json"));
        if path.exists() && !force {
            anyhow::bail!(
                "profile {} exists; choose another place with -o, or --force to replace it",
                path.display()
            );
        }
        profile.save(&path)?;
        tell(profile, &path, telling)?;
    }
    Ok(())
}

/// What is told of a profile.
#[derive(Debug, serde::Serialize)]
struct Summary<'a> {
    profile: String,
    image: &'a str,
    image_id: &'a str,
    files: usize,
    containers: usize,
    tier: &'a str,
    lost: &'a Lost,
    incomplete: Vec<String>,
}

/// One line a profile.
fn tell(profile: &Recording, path: &Path, telling: Telling) -> anyhow::Result<()> {
    let Some(format) = telling.0 else { return Ok(()) };
    let run = profile.run();
    let summary = Summary {
        profile: path.display().to_string(),
        image: &profile.image().reference,
        image_id: &profile.image().id,
        files: profile.paths(),
        containers: run.containers.len(),
        tier: &run.tier,
        lost: &run.lost,
        incomplete: profile.incomplete(),
    };
    if format == Format::Json {
        eprintln!("{}", serde_json::to_string(&summary)?);
        return Ok(());
    }
    let line = format!(
        "profiler: {}: {} files in {} container{}, {} -> {}",
        summary.image,
        summary.files,
        summary.containers,
        if summary.containers == 1 { "" } else { "s" },
        losses(&run.lost),
        summary.profile
    );
    eprintln!("{}", terminal::printable(&line));
    for reason in summary.incomplete {
        log::warn!("profile {} is incomplete: {reason}", path.display());
    }
    Ok(())
}

/// How many events were lost, and by which causes.
pub fn losses(lost: &Lost) -> String {
    let causes: Vec<String> = lost
        .by_cause()
        .into_iter()
        .filter(|&(_, count)| count > 0)
        .map(|(cause, count)| format!("{cause} {count}"))
        .collect();
    match causes.as_slice() {
        [] => "0 events lost".to_owned(),
        causes => format!("{} events lost ({})", lost.total(), causes.join(", ")),
    }
}

/// A file name from an image reference.
fn file_name(reference: &str) -> String {
    let name: String = reference
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "image".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_by_cause() {
        let lost = Lost { ring_full: 2, unattributed: 1, ..Lost::default() };
        assert_eq!(losses(&lost), "3 events lost (ring_full 2, unattributed 1)");
        assert_eq!(losses(&Lost::default()), "0 events lost");
    }

    #[test]
    fn references_become_file_names() {
        assert_eq!(file_name("a/b:1.2"), "a_b_1.2");
        assert_eq!(file_name("../x"), "_x");
        assert_eq!(file_name(""), "image");
    }
}
