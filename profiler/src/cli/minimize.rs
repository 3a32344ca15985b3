//! `profiler minimize`.

use std::process::ExitCode;

/// Arguments of `profiler minimize`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
pub fn run(_args: Args, _quiet: bool) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not there yet")
}
