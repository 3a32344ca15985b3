//! What cargo itself cannot do for profiler: one file a task.

mod base;
mod bench;
mod corpus;
mod demo;
mod engine;
mod fuzz;
mod python;
mod setup;
mod shell;
mod test;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks around building, showing and testing profiler.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what building and testing need; says what it did.
    Setup,
    /// Profile and minimize a real nginx image, and compare the sizes.
    Demo,
    /// Run every check: formatting, clippy, unit and integration tests.
    Test(test::Args),
    /// Profile, minimize and test real applications; a table of all.
    Corpus(corpus::Args),
    /// Measure what profiling costs, beside other observers.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run the fuzz targets, each for a while.
    Fuzz(fuzz::Args),
    /// Run the table of cases on other kernels, in emulated machines.
    Vm(vm::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Setup => setup::run(),
        Task::Demo => demo::run(),
        Task::Test(args) => test::run(&args),
        Task::Corpus(args) => corpus::run(&args),
        Task::Bench(bench) => bench::run(bench),
        Task::Fuzz(args) => fuzz::run_targets(&args),
        Task::Vm(args) => vm::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
