//! `profiler diff`: what one profile holds and another does not.
//!
//! Exit codes as those of diff(1): 0 no difference, 1 differences, 2 trouble.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use profiler::profile;
use profiler::profile::diff::{Changes, Diff, Ways};

use super::show::kinds;
use super::stdout::{write, write_json};
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
        Format::Table => write(|out| {
            table(out, "path", &diff.paths)?;
            table(out, "name", &diff.names)?;
            table(out, "missing", &diff.missing)
        })?,
        Format::Json => write_json(&diff)?,
    }
    Ok(if diff.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// `-` is only in the old profile, `+` only in the new one, `~` in both.
fn table(out: &mut dyn Write, what: &str, changes: &Changes) -> io::Result<()> {
    for (sign, touches) in [('-', &changes.removed), ('+', &changes.added)] {
        for touch in touches {
            let path = touch.path.to_string_lossy();
            writeln!(out, "{sign} {what:<8} {}  {}", printable(&path), ways(&touch.ways))?;
        }
    }
    for change in &changes.changed {
        let path = change.path.to_string_lossy();
        let (old, new) = (ways(&change.old), ways(&change.new));
        writeln!(out, "~ {what:<8} {}  {old} -> {new}", printable(&path))?;
    }
    Ok(())
}

fn ways(ways: &Ways) -> String {
    let flag = |is: bool, name| if is { name } else { "" };
    let (written, runtime) = (flag(ways.written, ",written"), flag(ways.runtime, ",runtime"));
    format!("{}{written}{runtime}", kinds(ways.kinds))
}
