//! A command run against an image of an engine, watched.

use std::time::Duration;

use anyhow::bail;
use profiler::capture::Options;
use profiler::container::Registry;
use profiler::image::{Lent, Reference, SourceImage, Store};
use profiler::profile::{Profile, Run};
use profiler::session::{Filter, Session};
use profiler::verify::Findings;
use tokio::process::Command;
use tokio::runtime::Runtime;

use super::command::{self, Ended};
use super::output::losses;
use super::signals::Signals;
use super::terminal;

/// What names the image for the command.
const VARIABLE: &str = "PROFILER_IMAGE";

/// The image that is tried.
#[derive(Debug)]
pub struct Tried {
    /// The engine that has it.
    pub store: Store,
    /// Its name there.
    pub name: String,
    /// The IDs that the engine may know it by.
    pub ids: Vec<String>,
}

impl Tried {
    /// An image that was opened.
    ///
    /// # Errors
    /// When no engine can run it from where it is.
    pub fn new(reference: &Reference, image: &SourceImage) -> anyhow::Result<Self> {
        let Some(store) = Store::of(reference) else {
            bail!(
                "{reference} is in no engine that could run it; load it first and name it as \
                 docker-daemon:NAME or containers-storage:NAME"
            );
        };
        let ids = [image.id.clone()].into_iter().chain(image.manifest_digest.clone());
        Ok(Self { store, name: reference.name.clone(), ids: ids.collect() })
    }
}

/// How a command is run against an image.
#[derive(Debug)]
pub struct How<'a> {
    /// The command and its arguments.
    pub command: &'a [String],
    /// A name that means the image while the command runs.
    pub lend: Option<&'a str>,
    /// How the kernel side watches.
    pub options: Options,
    /// Say nothing.
    pub quiet: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Trial {
    /// How the command ended.
    pub ended: Ended,
    /// What the image's containers did; none when none ran.
    pub profile: Option<Profile>,
    /// Containers of which the image could not be found out.
    pub unattributed: usize,
}

/// Runs commands; from the first on, signals no longer end this program by
/// themselves.
#[derive(Debug)]
pub struct Trials {
    runtime: Runtime,
    signals: Signals,
}

impl Trials {
    /// Listens for signals.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = runtime.block_on(async { Signals::listen() })?;
        Ok(Self { runtime, signals })
    }

    /// Runs a command to its end. A name that was lent is given back, however
    /// that end came.
    ///
    /// # Errors
    /// When the engine, the kernel or the command cannot be used.
    pub fn run(&mut self, image: &Tried, how: &How<'_>) -> anyhow::Result<Trial> {
        let lend = |name| Lent::lend(image.store, &image.ids[0], name);
        let lent = how.lend.map(lend).transpose()?;
        if let (Some(lent), Some(name), false) = (&lent, how.lend, how.quiet) {
            let undoing = lent.undoing();
            let line = format!(
                "profiler: {name} means {} while the command runs; should this be killed, undo it: {undoing}",
                image.name
            );
            eprintln!("{}", terminal::printable(&line));
        }
        let trial = self.runtime.block_on(watch(image, how, &mut self.signals));
        let restored = lent.map(Lent::restore).transpose();
        let trial = trial?;
        restored?;
        Ok(trial)
    }
}

async fn watch(image: &Tried, how: &How<'_>, signals: &mut Signals) -> anyhow::Result<Trial> {
    // By name and not by ID: of a container that was gone too early to be
    // looked up the name alone may be known, and another's is no loss then.
    let images = [image.name.as_str()].into_iter().chain(how.lend);
    let images = images.map(str::to_owned).collect();
    let registry = Registry::start().await?;
    let mut session = Session::start(registry, Filter::Started { images }, how.options).await?;
    let mut command = Command::new(&how.command[0]);
    command.args(&how.command[1..]).env(VARIABLE, &image.name);
    // One that came while an image was written.
    let ended = match tokio::time::timeout(Duration::ZERO, signals.next()).await {
        Ok(signal) => Ended { status: 128 + signal, interrupted: true },
        Err(_) => command::run(&mut session, command, signals).await?,
    };
    let run = Run {
        command: how.command.to_vec(),
        exit_status: (!ended.interrupted).then_some(ended.status),
        interrupted: ended.interrupted,
        ..Run::default()
    };
    let outcome = session.finish(run).await?;
    let own = outcome.profiles.iter().find(|one| image.ids.contains(&one.image().id));
    let profile = own.map(|recording| recording.to_profile());
    Ok(Trial { ended, profile, unattributed: outcome.unattributed.len() })
}

impl Trial {
    /// Why it tells nothing about the image; none when it does.
    pub fn useless(&self, image: &Tried) -> Option<String> {
        let name = &image.name;
        if self.ended.interrupted {
            return Some("interrupted before the command's end".into());
        }
        let Some(profile) = &self.profile else {
            let failed = match self.ended.status {
                0 => String::new(),
                status => format!(" and failed with status {status}"),
            };
            return Some(match self.unattributed {
                0 => format!(
                    "the command did not start {name}{failed}; let it use ${VARIABLE}, or lend it a name with --as NAME"
                ),
                count => format!(
                    "the command did not start {name}{failed}, or it is among {count} containers whose image could not be found out; run again"
                ),
            });
        };
        let lost = profile.runs.iter().map(|run| &run.lost).find(|lost| lost.total() > 0);
        lost.map(|lost| {
            format!(
                "what the containers of {name} did is not known in full, {}; run again, with a larger --ring-size where ring_full is told",
                losses(lost)
            )
        })
    }

    /// Why the image is not as good as the original; none when it is.
    pub fn verdict(&self, findings: &Findings) -> Option<String> {
        let missed = match findings.misses.as_slice() {
            [] => None,
            [one] => Some(format!("1 name is missing: {}", one.name)),
            [first, ..] => {
                Some(format!("{} names are missing, {} first", findings.misses.len(), first.name))
            }
        };
        match (self.ended.status, missed) {
            (0, None) => None,
            (0, Some(missed)) => Some(format!("the command passed, but {missed}")),
            (status, None) => {
                Some(format!("the command failed with status {status}, and no lookup was missed"))
            }
            (status, Some(missed)) => {
                Some(format!("the command failed with status {status}, and {missed}"))
            }
        }
    }
}
