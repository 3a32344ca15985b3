//! `profiler record`: watch containers that already run.

use std::process::ExitCode;
use std::time::Duration;

use profiler::collect::ContainerKey;
use profiler::container::{Registry, snapshot};
use profiler::profile::Run;
use profiler::session::{Filter, Session};

use super::output;
use super::run::Buffers;
use super::signals::Signals;

/// Arguments of `profiler record`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name or ID of a running container (repeat for more).
    #[arg(long, required = true, value_name = "NAME|ID", num_args = 1..)]
    container: Vec<String>,
    /// Stop after this time, e.g. 30s, 10m, 2h; without it, on Ctrl-C.
    #[arg(long, value_name = "D", value_parser = duration)]
    duration: Option<Duration>,
    #[command(flatten)]
    output: output::ProfileOutput,
    #[command(flatten)]
    buffers: Buffers,
}

/// A number of seconds, or a number with s, m or h.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text} is no duration, use e.g. 90s"))?;
    let seconds = match unit {
        "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        _ => return Err(format!("unit {unit} is unknown, use s, m or h")),
    };
    seconds.map(Duration::from_secs).ok_or_else(|| format!("{text} is too long"))
}

/// Runs the verb.
pub fn run(args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    super::block_on(watch(args, quiet))
}

async fn watch(args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    let destination = output::Destination::check(&args.output)?;
    let telling = args.output.telling(quiet);
    let registry = Registry::start().await?;
    let mut targets = Vec::new();
    for name in &args.container {
        let (engine, info) = registry.find(name).await?;
        targets.push((ContainerKey { engine, id: info.id.clone() }, info));
    }

    let mut signals = Signals::listen()?;
    let keys = targets.iter().map(|(key, _)| key.clone()).collect();
    let mut session = Session::start(registry, Filter::Only(keys), args.buffers.options()).await?;
    let partial = output::Partial::begin(&destination, &mut session, Run::default())?;
    // After attaching: what is opened between a snapshot before and the
    // attachment would be seen by neither.
    for (key, info) in &targets {
        session.add_snapshot(info, key, snapshot::of(info.pid.unwrap_or(0)));
    }
    if !quiet {
        eprintln!("profiler: recording {}", args.container.join(", "));
    }
    let end = async {
        match args.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let ended = async {
        let mut interrupted = false;
        loop {
            tokio::select! {
                () = &mut end => break,
                pumped = session.pump() => pumped?,
                // Without a duration this is how a recording ends.
                _ = signals.next() => { interrupted = args.duration.is_some(); break }
            }
        }
        for (key, info) in &targets {
            session.add_snapshot(info, key, snapshot::of(info.pid.unwrap_or(0)));
        }
        let outcome = session.finish(Run { interrupted, ..Run::default() }).await?;
        output::store(&outcome, &destination, telling)?;
        Ok(ExitCode::SUCCESS)
    };
    partial.end(ended.await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert!(duration("1d").is_err() && duration("x").is_err() && duration("").is_err());
    }
}
