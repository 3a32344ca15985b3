//! `profiler run`: watch the containers a command starts.

use std::process::{ExitCode, ExitStatus};

use anyhow::Context as _;
use profiler::capture::{Options, Tier};
use profiler::container::Registry;
use profiler::mark::{Pending, SOCKET, Server};
use profiler::profile::Run;
use profiler::session::{Filter, Session};
use tokio::process::{Child, Command};

use super::output;
use super::signals::Signals;

/// Arguments of `profiler run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Watch containers of this image only (reference or ID; repeat for more).
    #[arg(long, value_name = "REF")]
    image: Vec<String>,
    #[command(flatten)]
    output: output::ProfileOutput,
    #[command(flatten)]
    buffers: Buffers,
    /// The command to run, with its arguments.
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// How the kernel side watches, and how much it keeps.
#[derive(Debug, clap::Args)]
pub struct Buffers {
    /// Ring buffer size in KiB, rounded up to a power of two.
    #[arg(long, value_name = "KIB", default_value_t = 8192)]
    ring_size: u32,
    /// Names told apart in the kernel before touches are reported again.
    #[arg(long, value_name = "N", default_value_t = 1 << 19)]
    table_entries: u32,
    /// Hook tier, fexit or tracepoint; without it, the best that works.
    #[arg(long, value_name = "TIER")]
    tier: Option<Tier>,
}

impl Buffers {
    /// As the library takes them.
    pub fn options(&self) -> Options {
        let page = 4096;
        let bytes = self.ring_size.clamp(1, 1 << 20).saturating_mul(1024);
        Options {
            ring_bytes: bytes.max(page).checked_next_power_of_two().unwrap_or(1 << 30),
            table_entries: self.table_entries.max(1),
            tier: self.tier,
        }
    }
}

/// Runs the verb.
pub fn run(args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    super::block_on(watch(args, quiet))
}

async fn watch(args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    let destination = output::Destination::check(&args.output)?;
    let telling = args.output.telling(quiet);
    // Before the command starts, so that a signal in between is not lost.
    let mut signals = Signals::catch()?;
    let filter = Filter::Started { images: args.image };
    let registry = Registry::start().await?;
    let mut session = Session::start(registry, filter, args.buffers.options()).await?;

    let mut marks = Server::start()
        .map_err(|error| {
            log::warn!("tests cannot be marked: no socket for it in {}: {error}; free some room there, or set TMPDIR", std::env::temp_dir().display());
        })
        .ok();
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    match &marks {
        Some(server) => command.env(SOCKET, server.path()),
        // That of another run around this one.
        None => command.env_remove(SOCKET),
    };
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}; check the command after --", args.command[0]))?;
    let mut interrupted = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            pumped = session.pump() => pumped?,
            mark = next_mark(&mut marks) => mark.settle(|name| session.mark(name)),
            signal = signals.next() => {
                interrupted = true;
                forward(&child, signal);
            }
        }
    };
    drop(marks);
    let code = exit_status(status);
    let outcome = session
        .finish(Run {
            command: args.command,
            exit_status: (!interrupted).then_some(code),
            interrupted,
            ..Run::default()
        })
        .await?;
    output::store(&outcome, &destination, telling)?;
    Ok(ExitCode::from(code as u8))
}

/// Waits for what a test suite says, if it can.
async fn next_mark(marks: &mut Option<Server>) -> Pending {
    match marks {
        Some(server) => server.next().await,
        None => std::future::pending().await,
    }
}

/// Passes a signal on, unless the terminal already did: it signals the whole
/// foreground process group, and a second Ctrl-C makes many programs give up
/// their clean-up.
fn forward(child: &Child, signal: i32) {
    // SAFETY: plain system calls on descriptor 0 and process numbers; the
    // child has not been waited for, so its number is still its own.
    unsafe {
        let from_terminal = [libc::SIGINT, libc::SIGQUIT].contains(&signal)
            && libc::isatty(0) == 1
            && libc::tcgetpgrp(0) == libc::getpgrp();
        if let Some(pid) = child.id()
            && !from_terminal
        {
            libc::kill(pid as i32, signal);
        }
    }
}

/// The status as a shell tells it: 128 and the signal's number for a killed
/// command.
fn exit_status(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
