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

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    setup::run_steps()?;
    if args.filter.is_none() {
        check()?;
        shell::run(cargo().arg("test").args(MEMBERS).args(["--lib", "--bins"]))?;
        shell::run(cargo().arg("test").args(MEMBERS).arg("--doc"))?;
    }
    build_profiler(&[])?;
    let cases = vm::build_programs()?;
    let _engine = Engine::start()?;
    base::ensure()?;
    let mut tests = cargo();
    tests
        .args(["test", "--no-fail-fast"])
        .args(MEMBERS)
        .args(["--test", "*", "--"])
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

/// All that the host can compile: the eBPF crate's binary is made for another
/// target. Always all at once, even where one is asked for: which features a
/// dependency has follows from the packages chosen, and with other features it
/// is compiled once more.
const MEMBERS: [&str; 3] = ["--workspace", "--exclude", "profiler-ebpf"];

/// Builds the profiler in the form that the tests compile.
///
/// # Errors
/// When the build fails.
pub fn build_profiler(options: &[&str]) -> Result<()> {
    shell::run(cargo().arg("build").args(MEMBERS).args(["--bin", "profiler"]).args(options))
}

fn check() -> Result<()> {
    shell::run(cargo().args(["fmt", "--all", "--check"]))?;
    shell::run(cargo().arg("clippy").args(MEMBERS).args([
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
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
