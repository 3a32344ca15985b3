//! The steps for one application.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::application::Application;
use super::missing::Wants;
use crate::base;
use crate::shell::{self, as_root, command, output, say, scratch};

/// The authorities whom the host trusts, for package managers in a build.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// An image's size.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Bytes, as Docker counts them.
    pub bytes: u64,
    /// Files, links and devices.
    pub files: u64,
}

/// How a test on the small image ended.
#[derive(Debug)]
pub struct Outcome {
    /// How long it took.
    pub time: Duration,
    /// None when its exit status was 0.
    pub failure: Option<Failure>,
}

/// What is known of a failed test.
#[derive(Debug)]
pub struct Failure {
    /// Of what it expected, how much held, as it says in its last lines.
    pub held: Option<String>,
    /// What it would need.
    pub wants: Wants,
    /// Whether it passes on the image as built.
    pub passes_as_built: bool,
}

/// What came of one application.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// The image as built.
    pub source: Size,
    /// The image as minimized.
    pub result: Size,
    /// `docker build`; next to nothing when its cache has all.
    pub build: Duration,
    /// The first test under `profiler run`.
    pub profile: Duration,
    /// `profiler minimize`, loading into the daemon included.
    pub minimize: Duration,
    /// The test that was profiled, again.
    pub first: Outcome,
    /// The same, and again after a restart of its container.
    pub restart: Outcome,
    /// The other test.
    pub second: Outcome,
}

impl Row {
    /// What must not be.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (what, outcome) in [("first test", &self.first), ("restart", &self.restart)] {
            if outcome.failure.is_some() {
                failures.push(format!("{}: the {what} failed on the small image", self.name));
            }
        }
        if self.second.failure.as_ref().is_some_and(|failure| !failure.passes_as_built) {
            failures.push(format!("{}: the second test fails on the image as built", self.name));
        }
        failures
    }
}

/// Builds, profiles, minimizes and tests one application. `cached`: Docker may
/// build from its cache.
///
/// # Errors
/// When one of the first three fails; a failed test is part of the row.
pub fn run(application: &Application, profiler: &Path, cached: bool) -> Result<Row> {
    let directory = scratch()?.join("corpus").join(&application.name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let trial = Trial { application, profiler, cached, directory };
    let row = trial.run();
    // The tests remove their container; a killed one cannot.
    let _ = output(command("docker").args(["rm", "--force", "--volumes", &trial.container()]));
    row
}

/// One application's trial.
pub struct Trial<'a> {
    application: &'a Application,
    profiler: &'a Path,
    cached: bool,
    /// Build context, profiles, report, and what tests said.
    directory: PathBuf,
}

impl Trial<'_> {
    fn run(&self) -> Result<Row> {
        let (source, result) = (self.application.image("full"), self.application.image("min"));
        let build = timed(|| self.build(&source))?;
        // Left from the run before; whether it was there does not matter.
        let _ = output(command("docker").args(["image", "rm", "--force", &result]));
        let profile = self.directory.join("profile.json");
        let profiling = timed(|| {
            let mut watch = self.watch(&source, &profile);
            step(self.with_image(watch.arg(self.test("test")), &source))
        })
        .context("the first test failed on the image as built")?;
        let report = self.directory.join("report.json");
        let minimize = timed(|| {
            step(
                as_root(self.profiler)
                    .args(["minimize", &source])
                    .args(["--output", &format!("docker-daemon:{result}")])
                    .arg("--profile")
                    .arg(&profile)
                    .arg("--report")
                    .arg(&report),
            )
        })?;
        let report = json(&report)?;
        Ok(Row {
            name: self.application.name.clone(),
            source: size(&source, &report["source"])?,
            result: size(&result, &report["output"])?,
            build,
            profile: profiling,
            minimize,
            first: self.outcome("first", "test", false, &report)?,
            restart: self.outcome("restart", "test", true, &report)?,
            second: self.outcome("second", "second", false, &report)?,
        })
    }

    /// Builds the image as it is before. The context is a copy, because the
    /// host's authorities go in beside the application's own files.
    fn build(&self, image: &str) -> Result<()> {
        let context = self.directory.join("context");
        step(command("cp").arg("--archive").arg(&self.application.directory).arg(&context))?;
        fs::copy(AUTHORITIES, context.join("ca.crt"))
            .with_context(|| format!("cannot copy {AUTHORITIES}"))?;
        step(
            command("docker")
                .args(["build", "--quiet", "--force-rm", "--network", "host", "--tag", image])
                .args((!self.cached).then_some("--no-cache"))
                .args(["--build-arg", &format!("BASE={}", base::NAME)])
                .arg(&context),
        )
    }

    /// Runs a test on the small image.
    fn outcome(&self, name: &str, test: &str, restart: bool, report: &Value) -> Result<Outcome> {
        let log = self.directory.join(format!("{name}.log"));
        let mut plain = command(self.test(test));
        let image = self.application.image("min");
        let start = Instant::now();
        let passed = logged(restarting(self.with_image(&mut plain, &image), restart), &log)?;
        let time = start.elapsed();
        let who = format!("corpus: {}: {name} test on the small image", self.application.name);
        if passed {
            say(format!("{who}: passed ({:.1} s)", time.as_secs_f64()));
            return Ok(Outcome { time, failure: None });
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        say(format!("{who}: failed; it said:\n{}", said.trim_end()));
        let held = said.lines().rev().find_map(|line| line.strip_prefix("held "));
        let (small, _) = self.watched(name, test, restart, "min")?;
        let (built, passes_as_built) = self.watched(name, test, restart, "full")?;
        Ok(Outcome {
            time,
            failure: Some(Failure {
                held: held.map(str::to_owned),
                wants: Wants::of(&small, &built, report),
                passes_as_built,
            }),
        })
    }

    /// Runs a failed test again under the profiler. Returns the profile and
    /// whether the test passed. Without a container there is no profile, and
    /// nothing to learn from it.
    fn watched(&self, name: &str, test: &str, restart: bool, tag: &str) -> Result<(Value, bool)> {
        let image = self.application.image(tag);
        let profile = self.directory.join(format!("{name}-{tag}.json"));
        let log = self.directory.join(format!("{name}-{tag}.log"));
        let mut watch = self.watch(&image, &profile);
        self.with_image(watch.arg(self.test(test)), &image);
        let passed = logged(restarting(&mut watch, restart), &log)?;
        Ok((json(&profile).unwrap_or_default(), passed))
    }

    /// `profiler run` for one image, up to the command.
    fn watch(&self, image: &str, profile: &Path) -> Command {
        let mut watch = as_root(self.profiler);
        watch.args(["run", "--image", image, "-o"]).arg(profile).arg("--");
        watch
    }

    fn test(&self, name: &str) -> PathBuf {
        self.application.directory.join(name)
    }

    fn container(&self) -> String {
        format!("profiler-corpus-{}-{}", self.application.name, std::process::id())
    }

    /// Tells a test its image, and the name for its container.
    fn with_image<'c>(&self, command: &'c mut Command, image: &str) -> &'c mut Command {
        command.env("IMAGE", image).env("NAME", self.container())
    }
}

/// Asks a test for a restart.
fn restarting(test: &mut Command, restart: bool) -> &mut Command {
    if restart { test.env("RESTART", "1") } else { test }
}

/// Shows and runs a command; stdout is the table's.
fn step(command: &mut Command) -> Result<()> {
    shell::run(command.stdout(std::io::stderr()))
}

/// Runs a command whose words go into a file; says whether it succeeded.
fn logged(command: &mut Command, log: &Path) -> Result<bool> {
    let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    command.stdout(file.try_clone()?).stderr(file);
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    Ok(status.success())
}

fn timed(step: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    step()?;
    Ok(start.elapsed())
}

fn json(path: &Path) -> Result<Value> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    serde_json::from_reader(std::io::BufReader::new(file))
        .with_context(|| format!("{} is no JSON", path.display()))
}

fn size(image: &str, side: &Value) -> Result<Size> {
    let bytes = output(command("docker").args(["image", "inspect", "--format={{.Size}}", image]))?;
    let bytes =
        bytes.parse().with_context(|| format!("docker says that {image} has size {bytes:?}"))?;
    let files = side["files"].as_u64();
    ensure!(files.is_some(), "the report does not say how many files {image} has");
    Ok(Size { bytes, files: files.unwrap_or_default() })
}
