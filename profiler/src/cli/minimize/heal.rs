//! `--verify`: rounds of writing, running and adding, until the command
//! passes and misses nothing.

use profiler::image::{SourceImage, Store, Temporary, Transport, Tree, WriteOptions};
use profiler::minimize::{Plan, Policy};
use profiler::packages::Inventory;
use profiler::profile::Profile;
use profiler::verify::{Comparison, Findings, Healing, Round, Step};

use super::{Args, plan, subset};
use crate::cli::run::Buffers;
use crate::cli::trial::{How, Trials, Tried};
use crate::cli::{CheckFailed, progress, terminal, verify};

/// Arguments of the loop.
#[derive(Debug, clap::Args)]
pub struct HealArgs {
    /// Run COMMAND on the small image, add what it missed, and again, until
    /// it passes and misses nothing; only then is the output written. COMMAND
    /// finds the image's name in PROFILER_IMAGE.
    #[arg(long, requires = "command")]
    pub verify: bool,
    /// Let this name mean the small image while the command runs.
    #[arg(long = "as", value_name = "NAME", requires = "verify")]
    lend: Option<String>,
    /// Give up after so many rounds.
    #[arg(long, value_name = "N", default_value_t = 10, requires = "verify")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    max_rounds: u16,
    /// Where the command fails and nothing else explains it, keep all that is
    /// in the directories that were listed.
    #[arg(long, requires = "verify")]
    heal_listed: bool,
    #[command(flatten)]
    buffers: Buffers,
    /// The tests that --verify runs, with their arguments.
    #[arg(last = true, value_name = "COMMAND", requires = "verify")]
    command: Vec<String>,
}

/// What is to be written: the plan of the image that was verified.
pub struct Healed {
    pub plan: Plan,
    pub inventory: Inventory,
    pub rounds: Vec<Round>,
    /// ID of the image.
    pub id: String,
    /// Its name in the engine, until the output is written: that is quicker
    /// where the engine has the layers.
    pub temporary: Temporary,
}

/// Goes through the rounds.
///
/// # Errors
/// [`CheckFailed`] when they do not end well; no image stays then.
pub fn heal(
    args: &Args,
    source: &SourceImage,
    tree: &Tree<'_>,
    profiles: &[Profile],
    policy: &mut Policy,
    options: WriteOptions,
    quiet: bool,
) -> anyhow::Result<Healed> {
    let HealArgs { lend, max_rounds, heal_listed, buffers, command, .. } = &args.heal;
    let store = match args.output.transport {
        Transport::ContainersStorage => Store::Podman,
        _ => Store::Docker,
    };
    // Before anything has a name, so that a signal leaves none behind.
    let mut trials = Trials::new()?;
    let stem = format!("profiler-verify-{}", unique());
    let mut options = WriteOptions { force: true, ..options };
    let mut healing = Healing::new(*heal_listed);
    let mut number = 0;
    loop {
        number += 1;
        policy.wanted = healing.wanted().to_vec();
        let (plan, inventory) = plan(args, source, tree, profiles, policy)?;
        let temporary = Temporary::new(store, format!("{stem}:round-{number}"));
        let reference = store.reference(temporary.name());
        let subset = subset(&plan);
        let written = progress::write(source, tree, &subset, &reference, &mut options, quiet)?;
        let ids = [Some(written.id.clone()), store.id(temporary.name())?];
        let name = temporary.name().to_owned();
        let tried = Tried { store, name, ids: ids.into_iter().flatten().collect() };
        let (lend, watching) = (lend.as_deref(), buffers.options());
        let trial = trials.run(&tried, &How { command, lend, options: watching, quiet })?;
        if let Some(why) = trial.useless(&tried) {
            return Err(CheckFailed(format!("round {number}: {why}; no image was written")).into());
        }
        let comparison = Comparison::planned(tree, &plan, &inventory);
        let findings = verify::findings(&comparison, &trial)?;
        let step = healing.take(trial.ended.status, findings.clone());
        if !quiet {
            tell(&healing);
        }
        match step {
            Step::Green => {
                let (rounds, id) = (healing.rounds, written.id);
                return Ok(Healed { plan, inventory, rounds, id, temporary });
            }
            Step::Again if number < *max_rounds => {}
            step => {
                let verdict = trial.verdict(&findings).unwrap_or_default();
                return Err(given_up(step, &healing, &findings, &verdict, quiet));
            }
        }
    }
}

/// One line a round.
fn tell(healing: &Healing) {
    let Some(Round { number, status, misses, added }) = healing.rounds.last() else { return };
    let command = match status {
        0 => "command passed".to_owned(),
        status => format!("command failed ({status})"),
    };
    let mut line = format!("profiler: round {number}: {command}, {} missed", misses.len());
    const SHOWN: usize = 3;
    if !added.is_empty() {
        let paths: Vec<String> =
            added.iter().take(SHOWN).map(|added| added.path.to_string()).collect();
        let more = added.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        line = format!("{line}: added {}{more}", paths.join(", "));
    }
    eprintln!("{}", terminal::printable(&line));
}

/// Why there is no image, after what is still missing.
fn given_up(
    step: Step,
    healing: &Healing,
    findings: &Findings,
    verdict: &str,
    quiet: bool,
) -> anyhow::Error {
    let rounds = healing.rounds.len();
    let failed = healing.rounds.last().is_some_and(|round| round.status != 0);
    if !quiet {
        eprint!("{}", verify::table(findings, failed));
    }
    let why = match step {
        Step::Again => format!("after {rounds} rounds {verdict}; allow more with --max-rounds"),
        _ if findings.misses.is_empty() => format!(
            "round {rounds}: {verdict}, so nothing can be added; see whether it passes on the \
             original, or keep more with --include or --heal-listed"
        ),
        _ => format!(
            "round {rounds}: {verdict}, and nothing new can be added; see whether --exclude takes \
             it out"
        ),
    };
    CheckFailed(format!("{why}; no image was written")).into()
}

/// Tells this program's names from those of others that run at the same time.
fn unique() -> String {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("{}-{:x}", std::process::id(), time.map_or(0, |time| time.as_nanos()))
}
