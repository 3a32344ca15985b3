//! Argument parsing, exit codes and everything that prints.
//!
//! Exit codes: 0 success; 1 a check did not hold; 2 wrong usage or unreadable
//! input. `profiler run` returns its command's status, and 125 when the
//! profiler itself failed.

mod command;
mod completions;
mod coverage;
mod diff;
mod doctor;
mod export;
mod gate;
mod man;
mod mark;
mod merge;
mod minimize;
mod output;
mod progress;
mod record;
mod recover;
mod run;
mod show;
mod signals;
mod stdout;
mod terminal;
mod trial;
mod validate;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// A check that did not hold: exit code 1 instead of 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CheckFailed(pub String);

/// Runtime file-access profiler and image minimizer for Linux containers.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    /// Say more on stderr (repeat for debug output).
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// Say nothing but errors on stderr.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check whether this machine can profile containers, and how.
    Doctor(doctor::Args),
    /// Run a command and profile every container that starts meanwhile.
    Run(run::Args),
    /// Profile containers that are already running.
    Record(record::Args),
    /// Write the profiles of a run that was killed, from its journal.
    Recover(recover::Args),
    /// Build an image that holds only what the profile needs.
    Minimize(Box<minimize::Args>),
    /// Run the tests on a small image and name what is missing there.
    Verify(verify::Args),
    /// Write a profile's allow-list for another image builder.
    Export(export::Args),
    /// Begin or end a named test of the run around this command.
    Mark(mark::Args),
    /// Fold profiles of one image into one.
    Merge(merge::Args),
    /// Compare two profiles.
    Diff(diff::Args),
    /// Show a profile, why a path is kept, or what was removed.
    Show(show::Args),
    /// Check that an image is whole and well-formed.
    Validate(validate::Args),
    /// Tell what containers of a minimized image look for in vain.
    ///
    /// Told is each failed lookup of what the original image has and the
    /// profiles do not keep, as it happens: a JSON object a line. Of a
    /// container's program only the first lookup of a name in each way is
    /// told. Runs until SIGINT or SIGTERM.
    Watch(Box<watch::Args>),
    /// Estimate whether the next run touches something unseen.
    Coverage(coverage::Args),
    /// Write a shell's completion script.
    Completions(completions::Args),
    /// Write manual pages.
    Man(man::Args),
}

/// Parses the arguments, runs the verb, prints an error on one line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => log::LevelFilter::Error,
        (_, 0) => log::LevelFilter::Warn,
        (_, 1) => log::LevelFilter::Info,
        _ => log::LevelFilter::Debug,
    };
    env_logger::Builder::new()
        .filter_level(level)
        // The loader tells every relocation at debug level.
        .filter_module("aya", level.min(log::LevelFilter::Info))
        .filter_module("aya_obj", level.min(log::LevelFilter::Info))
        .format(|out, record| {
            use std::io::Write as _;
            let text = record.args().to_string();
            let text = terminal::printable(&text);
            writeln!(out, "[{:<5} {}] {text}", record.level(), record.target())
        })
        .target(env_logger::Target::Pipe(Box::new(progress::Stderr)))
        .init();
    let (failure_code, result) = match cli.command {
        Command::Doctor(args) => (2, doctor::run(args)),
        Command::Run(args) => (125, run::run(args, cli.quiet)),
        Command::Record(args) => (2, record::run(args, cli.quiet)),
        Command::Recover(args) => (2, recover::run(args, cli.quiet)),
        Command::Minimize(args) => (2, minimize::run(*args, cli.quiet)),
        Command::Verify(args) => (2, verify::run(args, cli.quiet)),
        Command::Export(args) => (2, export::run(args, cli.quiet)),
        Command::Mark(args) => (2, mark::run(args)),
        Command::Merge(args) => (2, merge::run(args, cli.quiet)),
        Command::Diff(args) => (2, diff::run(args)),
        Command::Show(args) => (2, show::run(args)),
        Command::Validate(args) => (2, validate::run(args, cli.quiet)),
        Command::Watch(args) => (2, watch::run(*args, cli.quiet)),
        Command::Coverage(args) => (2, coverage::run(args, cli.quiet)),
        Command::Completions(args) => (2, completions::run(args, Cli::command())),
        Command::Man(args) => (2, man::run(args, Cli::command())),
    };
    result.unwrap_or_else(|error| {
        // One line: cause chains join with a colon, line breaks would split
        // the message in logs.
        let line = one_line(&error).replace('\n', " ");
        eprintln!("profiler: {}", terminal::printable(&line));
        if error.is::<CheckFailed>() { ExitCode::from(1) } else { ExitCode::from(failure_code) }
    })
}

/// Runs a verb that waits for the kernel and the engines.
fn block_on<T>(verb: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(verb)
}

/// An error with its causes; a cause that the message tells already is not
/// told again.
fn one_line(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
