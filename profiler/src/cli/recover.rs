//! `profiler recover`: the profiles of a session that was killed.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use profiler::container::Registry;
use profiler::journal::Replay;
use profiler::profile::LoadError;

use super::output;

/// Arguments of `profiler recover`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What a run or recording that was killed has left, e.g.
    /// profile.json.partial. It stays.
    #[arg(value_name = "JOURNAL")]
    journal: PathBuf,
    #[command(flatten)]
    output: output::ProfileOutput,
}

/// Runs the verb.
pub fn run(args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    let destination = output::Destination::check(&args.output)?;
    let path = &args.journal;
    let file = File::open(path).with_context(|| {
        format!("cannot read {}; name what a killed run has left, *.partial", path.display())
    })?;
    let mut replay = Replay::read(BufReader::new(file))
        .map_err(|source| LoadError::Journal { path: path.clone(), source })?;
    if replay.unresolved().next().is_some() {
        super::block_on(ask(&mut replay))?;
    }
    output::store(&replay.finish(), &destination, args.output.telling(quiet))?;
    Ok(ExitCode::SUCCESS)
}

/// Asks the engines for the images that they had not told before the end:
/// containers may run still.
async fn ask(replay: &mut Replay) -> anyhow::Result<()> {
    let registry = match Registry::start().await {
        Ok(registry) => registry,
        Err(error) => {
            log::warn!("{error}");
            return Ok(());
        }
    };
    let unresolved: Vec<_> = replay.unresolved().map(|(key, pid)| (key.clone(), pid)).collect();
    for (key, pid) in unresolved {
        if let Some(info) = registry.resolve(key.engine, &key.id, pid).await {
            replay.resolve(key, Some(info));
        }
    }
    registry.shutdown().await;
    Ok(())
}
