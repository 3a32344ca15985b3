//! What minimizing costs, beside merely copying the image.
//!
//! An image of about 1 GiB is built in Docker and copied to an `oci:` layout.
//! From the layout `profiler minimize` runs against `skopeo copy` to a second
//! layout, from Docker against `docker save`. The two of a pair run back to
//! back, and which is first changes with every repetition; ratios are taken
//! within a pair.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::process::{Usage, in_turns, measured, warn_of_load};
use super::table::quartiles;
use super::workload;
use crate::base;
use crate::engine::Engine;
use crate::shell::{self, command, output, say, scratch, target, workspace};

const IMAGE: &str = "profiler-bench/minimize";

/// Starts programs and reads data, as a small test would.
const WORKLOAD: &str = "nginx -t -q && python3 -c 'import json, ssl, sqlite3; \
    [open(f\"/srv/{n}\", \"rb\").read() for n in (\"text/1.json\", \"text/2.json\", \"media/7.bin\")]'";

/// Arguments of `cargo xtask bench minimize`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Repetitions.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    reps: u32,
    /// Only this source (repeat for more).
    #[arg(long, value_name = "SOURCE", value_enum)]
    only: Vec<Source>,
    /// Packages are installed and programs built: set when started by sudo.
    #[arg(long, hide = true)]
    prepared: bool,
}

/// Where the image is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Source {
    /// A layout, against `skopeo copy` of it.
    Oci,
    /// The Docker daemon, against `docker save`.
    Daemon,
}

/// Runs the task.
///
/// # Errors
/// When a package or the image cannot be had, or a run fails.
pub fn run(args: &Args) -> Result<()> {
    if !super::prepare(args.prepared, &[])? {
        return Ok(());
    }
    let _engine = Engine::start()?;
    base::ensure()?;
    let place = Place::prepare()?;
    warn_of_load();
    let mut rows = Vec::new();
    for source in [Source::Oci, Source::Daemon] {
        if args.only.is_empty() || args.only.contains(&source) {
            rows.push(place.measure(source, args.reps)?);
        }
    }
    println!("{}, image of {}\n", super::machine()?, place.size);
    print!("{}", table(&rows));
    Ok(())
}

/// The image in both forms, and its profile.
struct Place {
    directory: PathBuf,
    layout: PathBuf,
    profile: PathBuf,
    size: String,
}

impl Place {
    fn prepare() -> Result<Self> {
        let sources = workspace().join("xtask/bench");
        let dockerfile = sources.join("minimize.Dockerfile");
        workload::build(&sources, &dockerfile, IMAGE, &[format!("BASE={}", base::NAME)])?;
        let inspect = |what: &str| {
            output(command("docker").args(["image", "inspect", "--format", what, IMAGE]))
        };
        let (id, bytes) = (inspect("{{.Id}}")?, inspect("{{.Size}}")?);
        let bytes: u64 = bytes.parse().context("docker tells no size")?;
        let directory = scratch()?.join("bench-minimize");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        // Both cost a minute: kept for the next run with the same image.
        let short: String = id.trim_start_matches("sha256:").chars().take(12).collect();
        let layout = directory.join(format!("source-{short}"));
        if !layout.join("index.json").exists() {
            say("copying the image to a layout, once");
            shell::run(
                command("skopeo")
                    .args(["copy", "--quiet", &format!("docker-daemon:{IMAGE}:latest")])
                    .arg(reference("oci", &layout)),
            )?;
        }
        let profile = directory.join(format!("profile-{short}.json"));
        if !profile.exists() {
            let container = format!("profiler-bench-minimize-{}", std::process::id());
            shell::run(
                command(profiler())
                    .args(["run", "--image", IMAGE, "-o"])
                    .arg(&profile)
                    .args([
                        "--",
                        "docker",
                        "run",
                        "--rm",
                        "--network",
                        "none",
                        "--name",
                        &container,
                    ])
                    .args([IMAGE, "sh", "-c", WORKLOAD]),
            )?;
        }
        let size = format!("{:.0} MiB ({bytes} bytes)", bytes as f64 / f64::from(1 << 20));
        Ok(Self { directory, layout, profile, size })
    }

    fn measure(&self, source: Source, repetitions: u32) -> Result<Row> {
        // Not counted: they bring the source into the page cache.
        self.once(source, true)?;
        self.once(source, false)?;
        let mut pairs = Vec::new();
        for repetition in 0..repetitions {
            let (ours, theirs) =
                in_turns(repetition, || self.once(source, true), || self.once(source, false))?;
            say(format!(
                "{source:?} {}/{repetitions}: {:.2} s, {:.2} s",
                repetition + 1,
                ours.seconds,
                theirs.seconds
            ));
            pairs.push((ours, theirs));
        }
        Ok(Row { source, pairs })
    }

    /// Runs one program of a pair; what it wrote is removed.
    fn once(&self, source: Source, ours: bool) -> Result<Usage> {
        let result = self.directory.join("result");
        remove(&result)?;
        let mut run = match (source, ours) {
            (Source::Oci, true) => {
                let mut run = self.minimize(reference("oci", &self.layout));
                // skopeo wrote a config of its own: it is another image.
                run.arg(reference("oci", &result)).arg("--allow-mismatch");
                run
            }
            (Source::Daemon, true) => {
                let mut run = self.minimize(format!("docker-daemon:{IMAGE}"));
                run.arg(format!("docker-archive:{}", result.display()));
                run
            }
            (Source::Oci, false) => {
                let mut run = command("skopeo");
                run.args(["copy", "--quiet"]);
                run.arg(reference("oci", &self.layout)).arg(reference("oci", &result));
                run
            }
            (Source::Daemon, false) => {
                let mut run = command("docker");
                run.args(["save", "--output"]).arg(&result).arg(IMAGE);
                run
            }
        };
        // What the run before wrote is not this one's to bring to the disk.
        shell::succeeds(&mut command("sync"));
        let usage = measured(run.stdout(Stdio::null()))?;
        remove(&result)?;
        Ok(usage)
    }

    fn minimize(&self, image: String) -> Command {
        let mut run = command(profiler());
        run.args(["minimize", &image, "--profile"]).arg(&self.profile).arg("--output");
        run
    }
}

fn profiler() -> PathBuf {
    target().join("release/profiler")
}

fn reference(transport: &str, directory: &Path) -> String {
    format!("{transport}:{}:bench", directory.display())
}

fn remove(path: &Path) -> Result<()> {
    let done = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match done {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// All pairs of one source.
struct Row {
    source: Source,
    /// Ours and theirs, of one repetition each.
    pairs: Vec<(Usage, Usage)>,
}

fn table(rows: &[Row]) -> String {
    let mut text =
        "| from | profiler minimize | beside | ratio (quartiles) | CPU | peak memory |\n\
                    |---|---:|---|---:|---:|---:|\n"
            .to_owned();
    for row in rows {
        let median = |value: &dyn Fn(&(Usage, Usage)) -> f64| {
            quartiles(&row.pairs.iter().map(value).collect::<Vec<_>>())
        };
        let (ours, theirs) = (median(&|p| p.0.seconds)[1], median(&|p| p.1.seconds)[1]);
        let [low, ratio, high] = median(&|(ours, theirs)| ours.seconds / theirs.seconds);
        let cpu = (median(&|p| p.0.cpu)[1], median(&|p| p.1.cpu)[1]);
        let peak = row.pairs.iter().map(|(ours, _)| ours.peak_kib).max().unwrap_or(0);
        let (from, other) = match row.source {
            Source::Oci => ("oci:", format!("skopeo copy, {theirs:.2} s")),
            Source::Daemon => ("docker-daemon:", format!("docker save, {theirs:.2} s")),
        };
        // Most of what `docker save` takes is the daemon's.
        let cpu = match row.source {
            Source::Oci => format!("{:.2} s, {:.2} s", cpu.0, cpu.1),
            Source::Daemon => format!("{:.2} s", cpu.0),
        };
        text += &format!(
            "| {from} | {ours:.2} s | {other} | {ratio:.2} ({low:.2} to {high:.2}) | {cpu} \
             | {:.1} MiB |\n",
            peak as f64 / 1024.0
        );
    }
    text + "\nTimes and ratios are medians, ratios of pairs; memory is the worst repetition's.\n"
}
