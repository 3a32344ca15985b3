//! `profiler doctor`.

use std::process::ExitCode;

/// Arguments of `profiler doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
pub fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
