//! The steps for one application.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::application::Application;
use super::missing;
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
    /// Whether its exit status was 0.
    pub passed: bool,
    /// How long it took.
    pub time: Duration,
    /// Of what it expected, how much held, as it says in its last lines.
    pub held: Option<String>,
    /// Names it looked for in vain that the image as built has.
    pub missing: Vec<String>,
    /// Whether it passes on the image as built; looked at only when it failed.
    pub passes_on_source: Option<bool>,
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
            if !outcome.passed {
                failures.push(format!("{}: the {what} failed on the small image", self.name));
            }
        }
        if self.second.passes_on_source == Some(false) {
            failures.push(format!("{}: the second test fails on the image as built", self.name));
        }
        failures
    }
}

/// Builds, profiles, minimizes and tests one application.
///
/// # Errors
/// When one of the first three fails; a failed test is part of the row.
pub fn run(application: &Application, profiler: &Path) -> Result<Row> {
    let directory = scratch()?.join("corpus").join(&application.name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let trial = Trial { application, profiler, directory };
    let row = trial.run();
    // The tests remove their container; a killed one cannot.
    let _ = output(command("docker").args(["rm", "--force", "--volumes", &trial.container()]));
    row
}

/// One application's trial.
pub struct Trial<'a> {
    application: &'a Application,
    profiler: &'a Path,
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
                .args(["build", "--quiet", "--network", "host", "--tag", image])
                .args(["--build-arg", &format!("BASE={}", base::NAME)])
                .arg(&context),
        )
    }

    /// Runs a test on the small image. When it fails, it is run once more
    /// under the profiler, to see what it looks for, and on the image as
    /// built, to see that it can pass.
    fn outcome(&self, name: &str, test: &str, restart: bool, report: &Value) -> Result<Outcome> {
        let (source, result) = (self.application.image("full"), self.application.image("min"));
        let log = self.directory.join(format!("{name}.log"));
        let mut plain = command(self.test(test));
        self.with_image(&mut plain, &result);
        if restart {
            plain.env("RESTART", "1");
        }
        let start = Instant::now();
        let passed = logged(&mut plain, &log)?;
        let time = start.elapsed();
        let who = format!("corpus: {}: {name} test on the small image", self.application.name);
        if passed {
            say(format!("{who}: passed ({:.1} s)", time.as_secs_f64()));
            let (held, missing) = (None, Vec::new());
            return Ok(Outcome { passed, time, held, missing, passes_on_source: None });
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        let held =
            said.lines().rev().find_map(|line| line.strip_prefix("held ")).map(str::to_owned);
        say(format!("{who}: failed; it said:\n{}", said.trim_end()));
        let profile = self.directory.join(format!("{name}.json"));
        let mut watched = self.watch(&result, &profile);
        self.with_image(watched.arg(self.test(test)), &result);
        let mut source_run = command(self.test(test));
        self.with_image(&mut source_run, &source);
        for one in [&mut watched, &mut source_run].into_iter().filter(|_| restart) {
            one.env("RESTART", "1");
        }
        logged(&mut watched, &self.directory.join(format!("{name}-watched.log")))?;
        let missing = match json(&profile) {
            Ok(profile) => missing::names(&profile, report),
            // It failed before its container ran: there is nothing to see.
            Err(_) => Vec::new(),
        };
        let on_source =
            logged(&mut source_run, &self.directory.join(format!("{name}-source.log")))?;
        Ok(Outcome { passed, time, held, missing, passes_on_source: Some(on_source) })
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
