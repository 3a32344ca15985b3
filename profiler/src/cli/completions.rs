//! `profiler completions`: what a shell needs to complete arguments.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap_complete::Shell;

/// Arguments of `profiler completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell; its script goes to stdout.
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the verb.
pub fn run(args: Args, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "profiler", &mut script);
    std::io::stdout().write_all(&script).context("cannot write to stdout")?;
    Ok(ExitCode::SUCCESS)
}
