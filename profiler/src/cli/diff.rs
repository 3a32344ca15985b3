//! `profiler diff`: what one profile holds and another does not.
//!
//! Exit codes as those of diff(1): 0 no difference, 1 differences, 2 trouble.

use std::path::PathBuf;
use std::process::ExitCode;

use profiler::profile;
use profiler::profile::diff::{Changes, Diff, Ways};

use super::show::kinds;
use super::terminal::printable;

/// Arguments of `profiler diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The old profile.
    old: PathBuf,
    /// The new one.
    new: PathBuf,
    /// How to print the differences.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A line a difference.
    Table,
    /// One object.
    Json,
}

/// Runs the verb.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let diff = Diff::of(&profile::load(&args.old)?, &profile::load(&args.new)?);
    match args.format {
        Format::Table => {
            table("path", &diff.paths);
            table("name", &diff.names);
            table("missing", &diff.missing);
        }
        Format::Json => println!("{}", serde_json::to_string_pretty(&diff)?),
    }
    Ok(if diff.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// `-` is only in the old profile, `+` only in the new one, `~` in both.
fn table(what: &str, changes: &Changes) {
    for (sign, touches) in [('-', &changes.removed), ('+', &changes.added)] {
        for touch in touches {
            let path = touch.path.to_string_lossy();
            println!("{sign} {what:<8} {}  {}", printable(&path), ways(&touch.ways));
        }
    }
    for change in &changes.changed {
        let path = change.path.to_string_lossy();
        let (old, new) = (ways(&change.old), ways(&change.new));
        println!("~ {what:<8} {}  {old} -> {new}", printable(&path));
    }
}

fn ways(ways: &Ways) -> String {
    let flag = |is: bool, name| if is { name } else { "" };
    let (written, runtime) = (flag(ways.written, ",written"), flag(ways.runtime, ",runtime"));
    format!("{}{written}{runtime}", kinds(&ways.kinds))
}
