//! `profiler run`: watch the containers a command starts.

use std::process::ExitCode;

use profiler::capture::{Options, Tier};
use profiler::container::Registry;
use profiler::profile::Run;
use profiler::session::{Filter, Session};
use tokio::process::Command;

use super::command::{self, Ended};
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
    let mut signals = Signals::listen()?;
    let filter = Filter::Started { images: args.image };
    let registry = Registry::start().await?;
    let mut session = Session::start(registry, filter, args.buffers.options()).await?;

    let run = Run { command: args.command, ..Run::default() };
    let partial = output::Partial::begin(&destination, &mut session, run.clone())?;
    let mut command = Command::new(&run.command[0]);
    command.args(&run.command[1..]);
    // Should this process be killed, the command goes on without it.
    let child = match command::start(command) {
        Ok(child) => child,
        Err(error) => {
            partial.remove();
            return Err(error);
        }
    };
    let ended = async {
        let Ended { status, interrupted } =
            command::follow(&mut session, child, &mut signals).await?;
        let exit_status = (!interrupted).then_some(status);
        let outcome = session.finish(Run { exit_status, interrupted, ..run }).await?;
        output::store(&outcome, &destination, telling)?;
        Ok(ExitCode::from(status as u8))
    };
    partial.end(ended.await)
}
