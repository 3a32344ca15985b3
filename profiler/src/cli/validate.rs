//! `profiler validate`: is an image whole and well-formed?

use std::process::ExitCode;

use profiler::image::{self, Reference};
use profiler::progress::Stage;

use super::CheckFailed;
use super::progress::Shown;
use super::terminal::printable;

/// Arguments of `profiler validate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image: docker-daemon:NAME (or just NAME), docker-archive:FILE,
    /// oci:DIR[:TAG], oci-archive:FILE[:TAG], containers-storage:NAME or
    /// docker://HOST/NAME[:TAG]. A layout or archive without a tag is checked
    /// whole, an index with all its platforms.
    image: Reference,
    /// How to print the findings.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A line a finding.
    Table,
    /// An array of objects.
    Json,
}

/// Runs the verb.
pub fn run(args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    let shown = Shown::start(quiet);
    shown.progress().begin(Stage::Checking, 0);
    let findings = image::validate(&args.image)?;
    drop(shown);
    match args.format {
        Format::Table => {
            for finding in &findings {
                println!("{}", printable(&finding.to_string()));
            }
        }
        Format::Json => {
            let array: Vec<_> = findings
                .iter()
                .map(|finding| {
                    let problem = finding.problem.to_string();
                    serde_json::json!({ "place": finding.place, "problem": problem })
                })
                .collect();
            println!("{}", serde_json::to_string_pretty(&array)?);
        }
    }
    match findings.len() {
        0 => Ok(ExitCode::SUCCESS),
        1 => Err(CheckFailed(format!("{} is not valid: 1 finding", args.image)).into()),
        more => Err(CheckFailed(format!("{} is not valid: {more} findings", args.image)).into()),
    }
}
