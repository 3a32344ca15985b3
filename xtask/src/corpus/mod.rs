//! Real applications, each profiled with one test, minimized, and tested
//! again: with the same test, after a restart, and with a second test, which
//! does other things. `tests/corpus/README.md` says how to add one.

mod application;
mod missing;
mod table;
mod trial;

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::engine::Engine;
use crate::shell::{say, target};
use crate::{base, setup, test};

/// Those that `cargo xtask test` runs: their images are built in seconds.
pub const QUICK: [&str; 2] = ["nginx", "redis"];

/// Arguments of `cargo xtask corpus`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directories of tests/corpus; without any, all of them.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Take a release build of the profiler: slower to build, faster to run.
    #[arg(long)]
    release: bool,
    /// Build the images without Docker's cache.
    #[arg(long)]
    no_cache: bool,
    /// How the result is written to stdout.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Args {
    /// These applications, with the build that the tests use.
    pub fn of(names: &[&str]) -> Self {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Self { names, release: false, no_cache: false, format: Format::Table }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Runs the task.
///
/// # Errors
/// When an application cannot be built, profiled or minimized, when its
/// second test fails on the image as built, and when the first test or the
/// restart fails on the small one. The second test may fail there: the table
/// says so.
pub fn run(args: &Args) -> Result<()> {
    let applications = application::choose(&args.names)?;
    setup::run_steps()?;
    for one in &applications {
        let programs = one.programs()?;
        let programs: Vec<(&str, &str)> =
            programs.iter().map(|(program, package)| (&**program, &**package)).collect();
        setup::ensure_programs(&programs)?;
    }
    let (profile, options): (_, &[&str]) =
        if args.release { ("release", &["--release"]) } else { ("debug", &[]) };
    test::build_profiler(options)?;
    let profiler = target().join(profile).join("profiler");
    let _engine = Engine::start()?;
    base::ensure()?;

    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for one in &applications {
        match trial::run(one, &profiler, !args.no_cache) {
            Ok(row) => {
                failures.extend(row.failures());
                rows.push(row);
            }
            // The others may still be of interest.
            Err(error) => {
                say(format!("corpus: {}: {error:#}", one.name));
                failures.push(format!("{}: {error:#}", one.name));
            }
        }
    }
    match args.format {
        Format::Table => print!("{}", table::markdown(&rows)),
        Format::Json => println!("{:#}", table::json(&rows)),
    }
    ensure!(failures.is_empty(), "corpus: {}", failures.join("; "));
    say("corpus: every first test and every restart passed");
    Ok(())
}
