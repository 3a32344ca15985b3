//! `profiler merge`: profiles of one image folded into one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use profiler::profile::merge::{MergeOptions, merge_files};
use profiler::profile::save;

use super::progress::Shown;
use super::stdout::write_json;
use super::terminal::printable;

/// Arguments of `profiler merge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Profiles of one image, in any order.
    #[arg(required = true, value_name = "PROFILE")]
    profile: Vec<PathBuf>,
    /// Where the merged profile goes; - is stdout.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace a file that exists.
    #[arg(long)]
    force: bool,
}

/// Runs the verb.
pub fn run(args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    let stdout = args.output.as_os_str() == "-";
    let output = args.output.display();
    if !stdout && !args.force && args.output.exists() {
        anyhow::bail!(
            "profile {output} exists; choose another name with -o, or --force to replace it"
        );
    }
    let shown = Shown::start(quiet);
    let options = MergeOptions { progress: Some(shown.progress()), ..MergeOptions::default() };
    let merged = merge_files(&args.profile, &options)?;
    drop(shown);
    for (member, path) in &merged.unknown {
        log::warn!(
            "{member} in {} and perhaps others is not known to this version and is left out; merge with the version that wrote it to keep it",
            path.display()
        );
    }
    let merged = merged.profile.context("no profile to merge; name one")?;
    if stdout {
        write_json(&merged)?;
    } else {
        save(&merged, &args.output)?;
    }
    if !quiet {
        eprintln!(
            "profiler: {}: {} profiles, {} runs, {} files -> {output}",
            printable(&merged.image.reference),
            args.profile.len(),
            merged.runs.len(),
            merged.paths.len(),
        );
    }
    Ok(ExitCode::SUCCESS)
}
