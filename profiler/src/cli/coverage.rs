//! `profiler coverage`: what the runs or tests so far say about the next one.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use profiler::coverage::{Collector, Coverage, Unit, in_profile};
use profiler::files::write_whole;
use profiler::image::{OpenOptions, Platform, Reference, SourceImage, Tree};
use profiler::minimize::{self, Allow};
use profiler::profile::{self, ImageId, PathEntry, Profile};

use super::gate::{Gates, Looked};
use super::minimize::refuse;
use super::progress;
use super::terminal::printable;

/// Arguments of `profiler coverage`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Profiles of one image, one a run, in the order of the runs.
    #[arg(required = true, value_name = "PROFILE")]
    profile: Vec<PathBuf>,
    /// Count the paths that this image has. Without it those count that no
    /// run wrote or made.
    #[arg(long, value_name = "REF")]
    image: Option<Reference>,
    /// What is counted: profiles, or the tests that `profiler mark` named;
    /// without it, tests where there are any.
    #[arg(long, value_enum, value_name = "UNIT")]
    by: Option<By>,
    /// How to print.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Where it goes; - is stdout.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    gates: Gates,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum By {
    /// A profile is a unit.
    Run,
    /// A test is a unit.
    Mark,
}

/// What is printed as JSON.
#[derive(Debug, serde::Serialize)]
struct Document<'a> {
    version: u32,
    image: &'a ImageId,
    /// Entries of profiles that were not counted.
    left_out: usize,
    #[serde(flatten)]
    coverage: &'a Coverage,
}

/// Runs the verb.
pub fn run(args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    let first = profile::load(&args.profile[0])?;
    let source = args.image.as_ref().map(|reference| open(reference, &first, quiet)).transpose()?;
    let tree = source.as_ref().map(|source| Tree::build(&source.layers)).transpose()?;
    let counts = |entry: &PathEntry| match &tree {
        Some(tree) => tree.lookup(entry.path.as_bytes()).is_some(),
        None => in_profile(entry),
    };
    let mut collector = Collector::default();
    let mut looked = Looked::default();
    let mut merged = Vec::new();
    // One after the other: of each only what is counted stays in memory.
    for path in &args.profile {
        let profile = profile::load(path)?;
        let name = path.display().to_string();
        if let Some(source) = &source {
            // Only whether it is of this image is asked here.
            let allow = Allow { mismatch: false, incomplete: true, failed: true, thin: true };
            minimize::check(source, std::slice::from_ref(&profile), allow).map_err(refuse)?;
        }
        if profile.runs.len() > 1 {
            merged.push((name.clone(), profile.runs.len()));
        }
        collector.add(&name, &profile, counts)?;
        looked.add(&name, &profile);
    }
    let unit = match args.by {
        Some(By::Run) => Unit::Run,
        Some(By::Mark) if collector.unit() != Unit::Mark => anyhow::bail!(
            "no profile has marks; name the tests with `profiler mark`, or leave --by out"
        ),
        Some(By::Mark) => Unit::Mark,
        None => collector.unit(),
    };
    if unit == Unit::Run {
        for (name, runs) in merged {
            log::warn!("{name} holds {runs} runs, which count as one");
        }
    }
    let coverage = collector.coverage(unit);
    let text = match args.format {
        Format::Table => table(&coverage, collector.left_out()),
        Format::Json => {
            let document = Document {
                version: 1,
                image: collector.image().unwrap_or(&first.image),
                left_out: collector.left_out(),
                coverage: &coverage,
            };
            serde_json::to_string_pretty(&document)? + "\n"
        }
    };
    if args.output.as_os_str() == "-" {
        std::io::stdout().write_all(text.as_bytes()).context("cannot write to stdout")?;
    } else {
        write_whole(&args.output, |writer| writer.write_all(text.as_bytes())).with_context(
            || format!("cannot write {}; choose another place with -o", args.output.display()),
        )?;
    }
    args.gates.hold(&looked, &coverage)?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the image for its index; no content is read.
fn open(reference: &Reference, profile: &Profile, quiet: bool) -> anyhow::Result<SourceImage> {
    let platform: Option<Platform> =
        format!("{}/{}", profile.image.os, profile.image.architecture).parse().ok();
    let unread = |_: &[u8], _: u64| false;
    let options = OpenOptions {
        platform: platform.as_ref(),
        likely: Some(&unread),
        ..OpenOptions::default()
    };
    Ok(progress::open(reference, &options, quiet)?)
}

/// Checks `--fail-on` before an image is made.
pub fn gate(gates: &Gates, profiles: &[Profile], tree: &Tree<'_>) -> anyhow::Result<()> {
    let (mut collector, mut looked) = (Collector::default(), Looked::default());
    for profile in profiles {
        let started = profile.runs.first().map_or("", |run| run.started.as_str());
        let name = format!("the profile of the run started {started}");
        if gates.want_coverage() {
            let there = |entry: &PathEntry| tree.lookup(entry.path.as_bytes()).is_some();
            collector.add(&name, profile, there)?;
        }
        looked.add(&name, profile);
    }
    Ok(gates.hold(&looked, &collector.coverage(collector.unit()))?)
}

/// The curve, and what follows from it in words.
fn table(coverage: &Coverage, left_out: usize) -> String {
    let mut text = String::new();
    let noun = coverage.by.noun();
    let ground = (coverage.by == Unit::Mark).then_some("(outside of marks)");
    let names: Vec<_> = coverage.runs.iter().map(|run| printable(&run.name)).collect();
    let widths = names.iter().map(|name| name.chars().count());
    let width = widths.chain(ground.map(str::len)).max().unwrap_or(0).max(noun.len());
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{noun:width$} {:>8} {:>8} {:>8} {:>8}", "paths", "new", "all", "alone");
    if let Some(ground) = ground {
        let _ = writeln!(text, "{ground:width$} {0:>8} {0:>8} {0:>8} {1:>8}", coverage.ground, "-");
    }
    for (run, name) in coverage.runs.iter().zip(&names) {
        let _ = writeln!(
            text,
            "{name:width$} {:>8} {:>8} {:>8} {:>8}",
            run.paths, run.new, run.cumulative, run.alone
        );
    }
    let _ = writeln!(
        text,
        "\npaths touched by one {noun} alone {}, by two {noun}s {}, by any {}; not counted {left_out}",
        coverage.singletons, coverage.doubletons, coverage.paths
    );
    match &coverage.estimate {
        None => {
            let _ =
                writeln!(text, "one {noun} tells nothing about the next one: profile at least two");
        }
        Some(estimate) => {
            let percent = |share: f64| share * 100.0;
            let _ = writeln!(
                text,
                "chance that the next {noun} touches something unseen: {:.1} % (95 % interval: {:.1} % to {:.1} %)\n\
                 new paths that it brings, on average: {:.2}\n\
                 touches that fall on paths seen: {:.2} %",
                percent(estimate.unseen),
                percent(estimate.interval.low),
                percent(estimate.interval.high),
                estimate.expected_new,
                percent(estimate.sample_coverage)
            );
        }
    }
    text
}
