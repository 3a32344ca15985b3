//! What profiling costs on real test suites: CPython's own regression tests,
//! module by module, in a container.
//!
//! Each module runs by `docker run` without a profiler and by `profiler run
//! -- docker run`, back to back, and which is first changes with every
//! repetition; ratios are taken within a pair. Two times are told apart: that
//! of the tests, by the container's clock, and that of the command, in which
//! the profiler's start and end are. The modules were chosen for what they do,
//! before anything was measured.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::findings::{self, Findings};
use super::process::{Usage, in_turns, measured, warn_of_load};
use super::table::quartiles;
use super::workload;
use crate::base;
use crate::engine::Engine;
use crate::shell::{command, say, scratch, target, workspace};

const IMAGE: &str = "profiler-bench/suite";

/// Modules of `test`, and what they mostly do. Left out are `test_sqlite3`,
/// which Debian's package has not, and `test_ssl`, most of whose 45 seconds are
/// waiting.
const MODULES: [(&str, &str); 15] = [
    ("test_json", "computes"),
    ("test_re", "computes"),
    ("test_email", "computes, reads test data"),
    ("test_zipfile", "file contents"),
    ("test_tarfile", "file contents"),
    ("test_os", "system calls on files"),
    ("test_shutil", "copies and removes trees"),
    ("test_glob", "lists directories"),
    ("test_pathlib", "names of files"),
    ("test_tempfile", "makes and removes files"),
    ("test_import", "imports"),
    ("test_importlib", "imports"),
    ("test_runpy", "imports"),
    ("test_compileall", "imports, starts processes"),
    ("test_subprocess", "starts processes"),
];

/// Runs a module's tests and says the clock's nanoseconds before and after.
const SCRIPT: &str = "date +%s%N; python3 -m test \"$0\" > /tmp/log 2>&1; status=$?; \
    date +%s%N; [ $status = 0 ] || cat /tmp/log >&2; exit $status";

/// Arguments of `cargo xtask bench suite`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Repetitions.
    #[arg(long, alias = "repeat", value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    reps: u32,
    /// Only this module (repeat for more).
    #[arg(long, value_name = "MODULE", value_parser = MODULES.map(|(name, _)| name))]
    only: Vec<String>,
    /// Hook tier that `profiler run` is told to use; without it, its choice.
    #[arg(long)]
    tier: Option<String>,
    /// Packages are installed and programs built: set when started by sudo.
    #[arg(long, hide = true)]
    prepared: bool,
}

/// Runs the task.
///
/// # Errors
/// When a package or the image cannot be had, or a module's tests fail.
pub fn run(args: &Args) -> Result<()> {
    if !super::prepare(args.prepared, &[])? {
        return Ok(());
    }
    let _engine = Engine::start()?;
    base::ensure()?;
    build_image()?;
    warn_of_load();
    let directory = tempfile::tempdir_in(scratch()?).context("cannot make a directory")?;
    let bench = Suite { directory, tier: args.tier.as_deref() };
    let mut rows = Vec::new();
    for (module, does) in MODULES {
        if args.only.is_empty() || args.only.iter().any(|only| only == module) {
            rows.push(bench.measure(module, does, args.reps)?);
        }
    }
    println!("{}, {} repetitions\n", super::machine()?, args.reps);
    print!("{}", table(&rows));
    Ok(())
}

fn build_image() -> Result<()> {
    let sources = workspace().join("xtask/bench");
    let dockerfile = sources.join("suite.Dockerfile");
    workload::build(&sources, &dockerfile, IMAGE, &[format!("BASE={}", base::NAME)])
}

struct Suite<'a> {
    /// Where what a run writes goes.
    directory: TempDir,
    tier: Option<&'a str>,
}

impl Suite<'_> {
    fn measure(&self, module: &'static str, does: &'static str, repetitions: u32) -> Result<Row> {
        // Not counted: it brings the files into the page cache, and shows that
        // the tests pass in a container at all.
        self.plain(module)?;
        let mut pairs = Vec::new();
        for repetition in 0..repetitions {
            let (plain, (profiled, findings)) =
                in_turns(repetition, || self.plain(module), || self.profiled(module))?;
            say(format!(
                "{module} {}/{repetitions}: tests {:.2} s, profiled {:.2} s",
                repetition + 1,
                plain.tests,
                profiled.tests
            ));
            pairs.push(Pair { plain, profiled, findings });
        }
        Ok(Row { module, does, pairs })
    }

    fn plain(&self, module: &str) -> Result<Times> {
        self.timed(command("docker").args(container(module)))
            .with_context(|| format!("{module} failed without a profiler"))
    }

    fn profiled(&self, module: &str) -> Result<(Times, Findings)> {
        let profile = self.path("profile.json");
        let mut run = command(target().join("release/profiler"));
        run.args(["run", "--quiet", "--image", IMAGE, "--force", "--output"]).arg(&profile);
        if let Some(tier) = self.tier {
            run.args(["--tier", tier]);
        }
        let times = self
            .timed(run.args(["--", "docker"]).args(container(module)))
            .with_context(|| format!("{module} failed under the profiler"))?;
        Ok((times, findings::all_of_profile(&profile)?))
    }

    fn timed(&self, run: &mut Command) -> Result<Times> {
        let (said, told) = (self.path("stdout"), self.path("stderr"));
        let usage = measured(run.stdout(create(&said)?).stderr(create(&told)?))
            .with_context(|| last_lines(&fs::read_to_string(&told).unwrap_or_default()))?;
        let clock = fs::read_to_string(&said).context("cannot read the container's clock")?;
        let tests = between(&clock)
            .with_context(|| format!("the container told no two times: {clock:?}"))?;
        Ok(Times { tests, usage })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// Docker's arguments.
fn container(module: &str) -> [&str; 9] {
    ["run", "--rm", "--network", "none", IMAGE, "sh", "-c", SCRIPT, module]
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot create {}", path.display()))
}

/// Where a failing test says why.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// Seconds between two lines of nanoseconds.
fn between(clock: &str) -> Option<f64> {
    let (start, end) = clock.trim().split_once('\n')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    Some(end.checked_sub(start)? as f64 / 1e9)
}

/// What one run took.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// Seconds that the tests took, by the container's clock.
    tests: f64,
    /// Of the whole command.
    usage: Usage,
}

struct Pair {
    plain: Times,
    profiled: Times,
    findings: Findings,
}

/// One module, over all repetitions.
struct Row {
    module: &'static str,
    does: &'static str,
    pairs: Vec<Pair>,
}

impl Row {
    fn quartiles(&self, value: impl Fn(&Pair) -> f64) -> [f64; 3] {
        quartiles(&self.pairs.iter().map(value).collect::<Vec<_>>())
    }

    fn ratio(&self) -> [f64; 3] {
        self.quartiles(|pair| pair.profiled.tests / pair.plain.tests)
    }
}

fn table(rows: &[Row]) -> String {
    let mut text =
        "| module | what it does | tests | profiled | ratio (quartiles) | files | lost | CPU |\n\
         |---|---|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
    for row in rows {
        let [low, ratio, high] = row.ratio();
        let _ = writeln!(
            text,
            "| `{}` | {} | {:.2} s | {:.2} s | {ratio:.3} ({low:.3} to {high:.3}) | {} | {} | {:.2} s |",
            row.module,
            row.does,
            row.quartiles(|pair| pair.plain.tests)[1],
            row.quartiles(|pair| pair.profiled.tests)[1],
            row.pairs.iter().map(|pair| pair.findings.recorded).min().unwrap_or(0),
            row.pairs.iter().filter_map(|pair| pair.findings.lost).max().unwrap_or(0),
            row.quartiles(|pair| pair.profiled.usage.own_cpu)[1],
        );
    }
    let [low, median, high] = quartiles(&rows.iter().map(|row| row.ratio()[1]).collect::<Vec<_>>());
    let pairs: Vec<&Pair> = rows.iter().flat_map(|row| &row.pairs).collect();
    let of_pairs = |value: &dyn Fn(&Pair) -> f64| {
        quartiles(&pairs.iter().map(|&pair| value(pair)).collect::<Vec<_>>())
    };
    let each = of_pairs(&|pair| pair.profiled.tests / pair.plain.tests);
    // What the command takes beside the tests, once without and once with.
    let around = |times: &Times| times.usage.seconds - times.tests;
    let start = of_pairs(&|pair| around(&pair.profiled) - around(&pair.plain))[1];
    let sum = |value: &dyn Fn(&Row) -> f64| rows.iter().map(value).sum::<f64>();
    let plain = sum(&|row| row.quartiles(|pair| pair.plain.tests)[1]);
    let profiled = sum(&|row| row.quartiles(|pair| pair.profiled.tests)[1]);
    let _ = writeln!(
        text,
        "\nMedian of the modules' ratios {median:.3} (quartiles {low:.3} to {high:.3}); of all {} \
         pairs {:.3} ({:.3} to {:.3}). All modules together: {plain:.1} s, profiled {profiled:.1} s \
         ({:.3}). Start and end of the profiler add {start:.2} s to a command, however long it is. \
         Times are those of the tests, by the container's clock; times, ratios and CPU are medians, \
         ratios are taken within a pair. CPU is the profiler's own, user mode and kernel, without \
         its command's. Files are the fewest and lost the most of any repetition.",
        pairs.len(),
        each[1],
        each[0],
        each[2],
        profiled / plain,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containers_clock_tells_seconds() {
        assert_eq!(between("1000000000\n3500000000\n"), Some(2.5));
        assert_eq!(between("1000000000\n"), None);
        assert_eq!(between("5\n4\n"), None);
    }

    #[test]
    fn ratios_are_taken_within_pairs_and_the_start_is_told_apart() {
        let times = |tests, seconds| Times {
            tests,
            usage: Usage { seconds, cpu: 0.0, own_cpu: 0.1, peak_kib: 0 },
        };
        // The machine was five times as slow during the second pair.
        let pairs = [(1.0, 1.1), (5.0, 5.5), (1.0, 1.1)]
            .map(|(plain, profiled)| Pair {
                plain: times(plain, plain + 0.5),
                profiled: times(profiled, profiled + 0.75),
                findings: Findings { recorded: 7, lost: Some(2), causes: Vec::new() },
            })
            .into();
        let text = table(&[Row { module: "test_x", does: "waits", pairs }]);
        assert!(text.contains("1.100 (1.100 to 1.100) | 7 | 2 | 0.10 s"), "{text}");
        assert!(text.contains("add 0.25 s"), "{text}");
    }
}
