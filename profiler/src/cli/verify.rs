//! `profiler verify`: run the tests on the small image, and name what is
//! missing there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use profiler::image::{OpenOptions, Reference, SourceImage, Tree};
use profiler::minimize;
use profiler::packages::Inventory;
use profiler::profile::Lost;
use profiler::verify::{Comparison, Findings, Miss, Note, Why};
use serde::Serialize;

use super::minimize::save;
use super::run::Buffers;
use super::trial::{How, Trial, Trials, Tried};
use super::{CheckFailed, progress, terminal};

/// Arguments of `profiler verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The small image, in Docker (NAME) or Podman (containers-storage:NAME).
    image: Reference,
    /// The image it was made from, in any of the forms that minimize takes.
    #[arg(long, value_name = "IMAGE")]
    original: Reference,
    /// Let this name mean the small image while the command runs, for tests
    /// that have it built in; the command finds the image's own name in
    /// PROFILER_IMAGE.
    #[arg(long = "as", value_name = "NAME")]
    lend: Option<String>,
    /// Write all that was found, as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// How what is missing is printed.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    #[command(flatten)]
    buffers: Buffers,
    /// The tests, with their arguments.
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Document<'a> {
    version: u32,
    image: Side<'a>,
    original: Side<'a>,
    command: &'a [String],
    /// Exit status of the command.
    status: i32,
    /// The command passed and nothing was missed.
    passed: bool,
    containers: usize,
    lost: Lost,
    #[serde(flatten)]
    findings: &'a Findings,
}

#[derive(Debug, Serialize)]
struct Side<'a> {
    reference: String,
    id: &'a str,
}

/// Runs the verb.
pub fn run(args: Args, quiet: bool) -> anyhow::Result<ExitCode> {
    let likely = minimize::likely(&[]);
    let options = OpenOptions { likely: Some(&likely), ..OpenOptions::default() };
    let small = progress::open(&args.image, &options, quiet)?;
    let tried = Tried::new(&args.image, &small)?;
    let original = progress::open(&args.original, &options, quiet)?;
    let (tree, small_tree) = (Tree::build(&original.layers)?, Tree::build(&small.layers)?);
    let inventory = Inventory::read(&tree)?;
    let comparison = Comparison::new(&tree, &small_tree, &inventory);

    let how = How {
        command: &args.command,
        lend: args.lend.as_deref(),
        options: args.buffers.options(),
        quiet,
    };
    let trial = Trials::new()?.run(&tried, &how)?;
    let findings = findings(&comparison, &trial)?;
    tell(&args, (&original, &small), &trial, &findings)?;
    match trial.useless(&tried).or_else(|| trial.verdict(&findings)) {
        Some(why) => Err(CheckFailed(why).into()),
        None => {
            if !quiet {
                eprintln!("profiler: the command passed, and nothing is missing in {}", tried.name);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What a trial tells; nothing when nothing ran.
pub fn findings(comparison: &Comparison<'_>, trial: &Trial) -> anyhow::Result<Findings> {
    let Some(profile) = &trial.profile else { return Ok(Findings::default()) };
    let mut findings = comparison.of(profile);
    comparison.add_imports(profile, &mut findings)?;
    Ok(findings)
}

fn tell(
    args: &Args,
    (original, small): (&SourceImage, &SourceImage),
    trial: &Trial,
    findings: &Findings,
) -> anyhow::Result<()> {
    let run = trial.profile.as_ref().and_then(|profile| profile.runs.first());
    let document = Document {
        version: 1,
        image: Side { reference: args.image.to_string(), id: &small.id },
        original: Side { reference: args.original.to_string(), id: &original.id },
        command: &args.command,
        status: trial.ended.status,
        passed: run.is_some() && !trial.ended.interrupted && trial.verdict(findings).is_none(),
        containers: run.map_or(0, |run| run.containers.len()),
        lost: run.map(|run| run.lost).unwrap_or_default(),
        findings,
    };
    if let Some(path) = &args.report {
        save(&document, path)?;
    }
    match args.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&document)?),
        Format::Table => print!("{}", table(findings, trial.ended.status != 0)),
    }
    Ok(())
}

/// A line for each file that was missed; what may explain a failure, where
/// there was one.
pub fn table(findings: &Findings, failed: bool) -> String {
    let mut table = String::new();
    if !findings.misses.is_empty() {
        let _ = writeln!(table, "{:>9}  {:<20} {:<16} missing", "bytes", "package", "process");
    }
    // A library that is looked for in several places is one thing missing.
    let mut told = BTreeSet::new();
    for Miss { name, files, comm, tests, .. } in &findings.misses {
        for gone in files.iter().filter(|gone| told.insert(&gone.path)) {
            let mut line = format!(
                "{:>9}  {:<20} {:<16} {}",
                gone.bytes,
                gone.package.as_deref().unwrap_or("-"),
                comm,
                gone.path
            );
            if gone.path != *name {
                let _ = write!(line, " (as {name})");
            }
            if !tests.is_empty() {
                let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
                let _ = write!(line, " in {}", tests.join(", "));
            }
            let _ = writeln!(table, "{}", terminal::printable(&line));
        }
    }
    if !failed {
        return table;
    }
    let mut by_packages = 0;
    for note in &findings.notes {
        match note.why {
            Why::ImportedByPackage => by_packages += 1,
            Why::Listed if note.gone.len() == 1 => {
                line(&mut table, note, &format!("1 entry, {}", note.gone[0].path));
            }
            Why::Listed => line(&mut table, note, &format!("{} entries", note.gone.len())),
            _ => {
                for gone in &note.gone {
                    let package = gone.package.as_deref().unwrap_or("no package");
                    line(&mut table, note, &format!("{} of {package}", gone.path));
                }
            }
        }
    }
    if by_packages > 0 {
        let _ = writeln!(
            table,
            "perhaps: {by_packages} Python modules that modules of packages import, see --report"
        );
    }
    table
}

fn line(table: &mut String, note: &Note, what: &str) {
    let line = format!("perhaps: {what}, {note}");
    let _ = writeln!(table, "{}", terminal::printable(&line));
}
