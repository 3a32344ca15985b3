//! What profiling costs, beside what other observers of file access cost.
//!
//! Every repetition runs each workload without an observer and with each of
//! them, back to back and in an order that rotates, in a fresh container of
//! the same image. Ratios are taken within a repetition, so that a machine
//! that is slow for a while is slow for both sides of a ratio.

mod container;
mod findings;
mod measure;
mod merge;
mod minimize;
mod observer;
mod process;
mod profiles;
mod suite;
mod table;
mod tiers;
mod workload;

use std::env;

use anyhow::{Context as _, Result, ensure};
use clap::{Subcommand, ValueEnum};

use crate::engine::Engine;
use crate::shell::{self, as_root, cargo, command, is_root, output, say};
use crate::{base, setup};
use observer::Observer;
use workload::Workload;

/// What there is to measure.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Slowdown, losses, recorded files, CPU and memory of file-access observers.
    Capture(Args),
    /// Time and memory of minimizing, beside copying the image.
    Minimize(minimize::Args),
    /// Time and memory of folding profiles, beside reading them.
    Merge(merge::Args),
    /// Slowdown of real test suites: CPython's own, module by module.
    Suite(suite::Args),
    /// Slowdown by each hook tier, in emulated machines with other kernels.
    Tiers(tiers::Args),
}

/// Arguments of `cargo xtask bench capture`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Repetitions; the workload of many distinct files gets three at most.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    reps: u32,
    /// A hundred thousand distinct files instead of a million.
    #[arg(long)]
    quick: bool,
    /// Only this workload (repeat for more).
    #[arg(long, value_name = "WORKLOAD", value_enum)]
    only: Vec<Workload>,
    /// Only this observer beside the baseline (repeat for more).
    #[arg(long, value_name = "OBSERVER", value_enum)]
    observer: Vec<Observer>,
    /// Hook tier that `profiler run` is told to use; without it, its choice.
    #[arg(long)]
    tier: Option<String>,
    /// How the result is written to stdout.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Packages are installed and programs built: set when started by sudo.
    #[arg(long, hide = true)]
    prepared: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Runs the task.
///
/// # Errors
/// When a package, an image or an observer cannot be had, or a workload fails.
pub fn run(bench: Bench) -> Result<()> {
    let args = match bench {
        Bench::Capture(args) => args,
        Bench::Minimize(args) => return minimize::run(&args),
        Bench::Merge(args) => return merge::run(&args),
        Bench::Suite(args) => return suite::run(&args),
        Bench::Tiers(args) => return tiers::run(&args),
    };
    if !prepare(args.prepared, &observer::PROGRAMS)? {
        return Ok(());
    }
    capture(&args)
}

/// Installs what is missing, builds the profiler, and makes sure that this is
/// root: false when a task started by sudo has done it all.
fn prepare(prepared: bool, programs: &[(&str, &str)]) -> Result<bool> {
    if !prepared {
        setup::run_steps()?;
        setup::ensure_programs(programs)?;
        shell::run(cargo().args(["build", "--release", "--package", "profiler"]))?;
    }
    if is_root() {
        return Ok(true);
    }
    ensure!(!prepared, "still not root under sudo");
    let itself = env::current_exe().context("cannot find this program's own path")?;
    let arguments = env::args_os().skip(1);
    shell::run(as_root(itself).args(arguments).arg("--prepared"))?;
    Ok(false)
}

fn capture(args: &Args) -> Result<()> {
    let _engine = Engine::start()?;
    base::ensure()?;
    let others = process::other_observers(&[]);
    if !others.is_empty() {
        say(format!(
            "warning: other observers run on this machine ({}); they slow the baseline too, so \
             ratios come out too small",
            others.join(", ")
        ));
    }
    let workloads: Vec<Workload> =
        if args.only.is_empty() { Workload::value_variants().to_vec() } else { args.only.clone() };
    let observers: Vec<Observer> = Observer::value_variants()
        .iter()
        .copied()
        .filter(|one| {
            *one == Observer::None || args.observer.is_empty() || args.observer.contains(one)
        })
        .collect();
    let plan = measure::Plan {
        workloads,
        observers,
        repetitions: args.reps,
        scale: workload::Scale { quick: args.quick },
        tier: args.tier.clone(),
    };
    let (samples, failures) = measure::run(&plan)?;
    let rows = table::rows(&plan, &samples);
    let machine = machine()?;
    match args.format {
        Format::Table => print!("{}", table::markdown(&machine, &rows, &samples)),
        Format::Json => println!("{:#}", table::json(&machine, &rows, &samples)),
    }
    ensure!(failures.is_empty(), "runs left out of the table: {}", failures.join("; "));
    Ok(())
}

/// Kernel and processors, in words.
fn machine() -> Result<String> {
    let kernel = output(command("uname").arg("-sr"))?;
    let processors = std::thread::available_parallelism()?;
    Ok(format!("{kernel}, {processors} processors"))
}
