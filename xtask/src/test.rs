//! Every check there is: formatting, clippy, unit tests, the integration tests
//! against real engines, and the cases on other kernels.

use anyhow::Result;

use crate::engine::Engine;
use crate::shell::{self, cargo, is_root, say, target};
use crate::{base, corpus, python, setup, vm};

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run only the integration tests whose names hold this.
    filter: Option<String>,
}

/// The name by which cargo knows the tests' crate.
const TESTS: &str = "integration-tests";

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    setup::run_steps()?;
    if args.filter.is_none() {
        check()?;
        shell::run(cargo().args(["test", "--workspace", "--exclude", TESTS]).args(EBPF))?;
    }
    shell::run(cargo().args(["build", "--package", "profiler"]))?;
    let cases = vm::build_programs()?;
    let _engine = Engine::start()?;
    base::ensure()?;
    let mut tests = cargo();
    tests
        .args(["test", "--no-fail-fast", "--package", TESTS, "--"])
        // Each test watches the whole machine, so one at a time.
        .arg("--test-threads=1")
        .args(&args.filter)
        .env("PROFILER_BIN", target().join("debug/profiler"))
        .env("PROFILER_CASES_BIN", cases)
        .env("PROFILER_TEST_BASE", base::NAME)
        .env("PROFILER_TEST_PYTHON", python::ensure()?);
    if !is_root() {
        // Profiling needs root: cargo starts the test programs through this.
        tests.env(format!("CARGO_TARGET_{}_RUNNER", host()), shell::sudo().join(" "));
    }
    shell::run(&mut tests)?;
    if args.filter.is_none() {
        corpus::run(&corpus::Args::of(&corpus::QUICK))?;
        vm::run_steps(&vm::Args::default())?;
    }
    say("test: every check passed");
    Ok(())
}

/// The eBPF crate's binary is made for another target; its library, the
/// shared types, is what the host can compile.
const EBPF: [&str; 2] = ["--exclude", "profiler-ebpf"];

fn check() -> Result<()> {
    shell::run(cargo().args(["fmt", "--all", "--check"]))?;
    shell::run(
        cargo()
            .args(["clippy", "--workspace", "--all-targets"])
            .args(EBPF)
            .args(["--", "--deny", "warnings"]),
    )?;
    shell::run(
        cargo()
            .args(["clippy", "--package", "profiler-ebpf", "--lib", "--no-default-features"])
            .args(["--", "--deny", "warnings"]),
    )
}

/// The host's target triple as cargo's environment variables spell it.
fn host() -> String {
    format!("{}_unknown_linux_gnu", std::env::consts::ARCH).to_uppercase()
}
