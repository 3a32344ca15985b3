//! The whole job on a real image: profile nginx under an HTTP test, minimize
//! it, run the same test on the result.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::engine::Engine;
use crate::shell::{self, as_root, cargo, command, output, say, scratch, target, workspace};
use crate::{base, setup};

const SOURCE: &str = "profiler-demo/nginx:full";
const RESULT: &str = "profiler-demo/nginx:min";

/// The result may be a tenth of the source at most.
const SHARE: u64 = 10;

/// Runs the task.
pub fn run() -> Result<()> {
    setup::run_steps()?;
    shell::run(cargo().args(["build", "--package", "profiler"]))?;
    let profiler = target().join("debug/profiler");
    let _engine = Engine::start()?;
    base::ensure()?;
    let context = workspace().join("xtask/demo");
    shell::run(
        command("docker")
            .args(["build", "--quiet", "--network", "host", "--tag", SOURCE])
            .args(["--build-arg", &format!("BASE={}", base::NAME)])
            .arg(&context),
    )?;
    // Left from the run before; whether it was there does not matter.
    let _ = output(command("docker").args(["image", "rm", "--force", RESULT]));

    let directory = scratch()?.join("demo");
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let profile = directory.join("nginx.json");
    let _ = std::fs::remove_file(&profile);
    let test = context.join("http-test.sh");

    let plain = timed(|| shell::run(command(&test).arg(SOURCE)))?;
    let profiled = timed(|| {
        shell::run(
            as_root(&profiler).arg("run").arg("-o").arg(&profile).arg("--").arg(&test).arg(SOURCE),
        )
    })
    .context("the test failed on the full image")?;
    let minimized = timed(|| {
        shell::run(
            as_root(&profiler)
                .args(["minimize", SOURCE, "--output", &format!("docker-daemon:{RESULT}")])
                .arg("--profile")
                .arg(&profile)
                .arg("--report")
                .arg(fresh(&directory.join("report.json"))),
        )
    })?;
    shell::run(command(&test).arg(RESULT)).context("the test failed on the minimized image")?;
    table(plain, profiled, minimized)
}

fn table(plain: Duration, profiled: Duration, minimized: Duration) -> Result<()> {
    let (before, after) = (size(SOURCE)?, size(RESULT)?);
    let share = after as f64 * 100.0 / before as f64;
    println!();
    println!("| image | size | HTTP test |");
    println!("|---|---|---|");
    println!("| {SOURCE} | {:.1} MB | passed |", megabytes(before));
    println!("| {RESULT} | {:.1} MB ({share:.1} %) | passed |", megabytes(after));
    println!();
    println!("| step | time |");
    println!("|---|---|");
    println!("| the test alone | {:.2} s |", plain.as_secs_f64());
    println!("| the test under `profiler run` | {:.2} s |", profiled.as_secs_f64());
    println!("| `profiler minimize`, loading included | {:.2} s |", minimized.as_secs_f64());
    ensure!(
        after * SHARE < before,
        "the result is {share:.1} % of the source; {SHARE} % is the limit"
    );
    say("demo: the test passed on both images");
    Ok(())
}

fn timed(step: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    step()?;
    Ok(start.elapsed())
}

fn fresh(path: &Path) -> &Path {
    let _ = std::fs::remove_file(path);
    path
}

fn size(image: &str) -> Result<u64> {
    let size = output(command("docker").args(["image", "inspect", "--format={{.Size}}", image]))?;
    size.parse().with_context(|| format!("docker says that {image} has size {size:?}"))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
