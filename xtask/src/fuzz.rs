//! The fuzz targets, each for a while, by cargo-fuzz and libFuzzer.
//!
//! Seeds are committed in `fuzz/seeds`; what a run finds beside goes to
//! `fuzz/corpus`, an input that fails to `fuzz/artifacts`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::shell::{cargo, find, run, say, target, workspace};

/// Arguments of `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Targets; all without any.
    targets: Vec<String>,
    /// How long each runs.
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// How many processes share the work on a target.
    #[arg(long, default_value_t = 1)]
    jobs: u32,
}

/// Runs the task.
pub fn run_targets(args: &Args) -> Result<()> {
    let known = targets()?;
    for target in &args.targets {
        ensure!(known.contains(target), "no target {target}; there are {}", known.join(", "));
    }
    let chosen = if args.targets.is_empty() { &known } else { &args.targets };
    if find("cargo-fuzz").is_none() {
        say("cargo-fuzz: installing it");
        run(cargo().args(["install", "--locked", "cargo-fuzz"]))?;
    }
    let mut failed = Vec::new();
    for target in chosen {
        if let Err(error) = fuzz(target, args) {
            say(format!("{error:#}"));
            failed.push(target.as_str());
        }
    }
    ensure!(failed.is_empty(), "failed: {}; the inputs are in fuzz/artifacts", failed.join(", "));
    say(format!("fuzz: {} targets, {} s each, no failure", chosen.len(), args.seconds));
    Ok(())
}

/// One a file.
fn targets() -> Result<Vec<String>> {
    let directory = workspace().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).context("cannot read fuzz/fuzz_targets")? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn fuzz(name: &str, args: &Args) -> Result<()> {
    let corpus = workspace().join("fuzz/corpus").join(name);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let temporary = scratch_in_memory()?;
    let program = find("cargo-fuzz").context("cargo-fuzz is not where it should be")?;
    run(crate::shell::command(program)
        .args(["run", "--fuzz-dir", "fuzz", "--target-dir"])
        .arg(target().join("fuzz"))
        .args(["--jobs", &args.jobs.to_string(), name])
        // What is found goes to the first directory.
        .arg(&corpus)
        .arg(workspace().join("fuzz/seeds").join(name))
        .args(["--", &format!("-max_total_time={}", args.seconds)])
        // An input that needs seconds or gigabytes is a failure, too.
        .args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=65536"])
        // Destructors that threads at their end have yet to run are taken for
        // leaks.
        .arg("-detect_leaks=0")
        // The sanitizer's flags are for unstable compilers only; libFuzzer's
        // coverage works with this one all the same.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("TMPDIR", temporary.path()))
}

/// Inputs become files, thousands a second.
fn scratch_in_memory() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("profiler-fuzz-");
    let made = if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() };
    made.context("cannot create a temporary directory")
}
