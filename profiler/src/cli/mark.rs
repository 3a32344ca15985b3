//! `profiler mark`: tells the run around it that a test begins or ends.

use std::path::PathBuf;
use std::process::ExitCode;

use profiler::mark::{ClientError, Name, Request, SOCKET, send};

/// Arguments of `profiler mark`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the test that begins; the one before it ends.
    #[arg(value_name = "NAME", required_unless_present = "end")]
    name: Option<Name>,
    /// End the test without beginning one.
    #[arg(long, conflicts_with = "name")]
    end: bool,
    /// Do nothing, and succeed, outside of a run.
    #[arg(long)]
    if_running: bool,
}

/// Runs the verb.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let request = match args.name {
        Some(name) => Request::Begin(name),
        None => Request::End,
    };
    let socket = std::env::var_os(SOCKET).filter(|socket| !socket.is_empty()).map(PathBuf::from);
    match socket {
        Some(socket) => match send(&socket, &request) {
            Err(ClientError::Ended(_)) if args.if_running => {}
            sent => sent?,
        },
        None if args.if_running => {}
        None => anyhow::bail!(
            "{SOCKET} is not set, so this is no run; call it from a command of `profiler run`, or with --if-running"
        ),
    }
    Ok(ExitCode::SUCCESS)
}
