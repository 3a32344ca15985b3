//! What folding profiles costs, beside merely reading them.
//!
//! Profiles of one image are made, distinct files in the form in which the
//! profiler writes them; `profiler merge` folds them, and `cat` reads them to
//! nowhere. The two of a pair run back to back, and which is first changes with
//! every repetition; ratios are taken within a pair. Before a cold run the
//! kernel is told to forget the files. The union's size and the time of each
//! path's first touch are known beforehand, and compared.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::process::{Usage, in_turns, measured, warn_of_load};
use super::profiles::{Made, make};
use super::table::quartiles;
use crate::shell::{self, cargo, command, say, scratch, target};

/// Arguments of `cargo xtask bench merge`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Profiles; ten thousand take 24 GB of disk.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    profiles: u32,
    /// Paths in each, and as many names and missing ones.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(10..))]
    paths: u32,
    /// Repetitions.
    #[arg(long, alias = "repeat", value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    reps: u32,
}

/// Runs the task.
///
/// # Errors
/// When there is no room, a run fails, or the union is not what it must be.
pub fn run(args: &Args) -> Result<()> {
    // Nothing is observed here: no eBPF toolchain, no root.
    shell::run(cargo().args(["build", "--release", "--package", "profiler"]))?;
    let directory = tempfile::tempdir_in(scratch()?).context("cannot make a directory")?;
    let place = directory.path();
    let room = available(place)?;
    say(format!("making {} profiles of {} paths", args.profiles, args.paths));
    let made = make(place, args.profiles, args.paths, room)?;
    warn_of_load();
    let mut rows = vec![row(place, &made, Cache::Cold, args.reps)?];
    // What does not fit in is not warm, however often it was read.
    if made.bytes < memory_available()? / 2 {
        rows.push(row(place, &made, Cache::Warm, args.reps)?);
    }
    println!(
        "{}, {} profiles of {} paths, names and missing names each, {:.2} MB each\n",
        super::machine()?,
        args.profiles,
        args.paths,
        made.bytes as f64 / f64::from(args.profiles) / 1e6,
    );
    print!("{}", table(&rows, made.bytes));
    Ok(())
}

/// Whether the kernel has the files in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cache {
    Cold,
    Warm,
}

struct Row {
    cache: Cache,
    /// Ours and `cat`'s, of one repetition each.
    pairs: Vec<(Usage, Usage)>,
}

fn row(place: &Path, made: &Made, cache: Cache, repetitions: u32) -> Result<Row> {
    let output = place.join("merged");
    let merge = || {
        let mut run = command(target().join("release/profiler"));
        run.args(["merge", "--quiet", "--force", "--output"]).arg(&output).args(&made.files);
        prepare(cache, &made.files)?;
        let usage = measured(&mut run)?;
        check(&output, made)?;
        Ok::<_, anyhow::Error>(usage)
    };
    let read = || {
        prepare(cache, &made.files)?;
        measured(command("cat").args(&made.files).stdout(Stdio::null()))
    };
    if cache == Cache::Warm {
        read()?;
    }
    let mut pairs = Vec::new();
    for repetition in 0..repetitions {
        let (ours, theirs) = in_turns(repetition, merge, read)?;
        say(format!(
            "{cache:?} {}/{repetitions}: merge {:.2} s, cat {:.2} s",
            repetition + 1,
            ours.seconds,
            theirs.seconds
        ));
        pairs.push((ours, theirs));
    }
    Ok(Row { cache, pairs })
}

/// Makes the kernel forget the files before a cold run; posix_fadvise(2).
fn prepare(cache: Cache, files: &[PathBuf]) -> Result<()> {
    if cache == Cache::Warm {
        return Ok(());
    }
    for path in files {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        // SAFETY: a plain system call on an open descriptor.
        let done =
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        ensure!(done == 0, "the kernel does not forget {}", path.display());
    }
    Ok(())
}

/// Fails unless the union is what it must be.
fn check(output: &Path, made: &Made) -> Result<()> {
    let text = fs::read(output).context("cannot read the union")?;
    let union: Value = serde_json::from_slice(&text).context("the union is no profile")?;
    let list = |key: &str| union[key].as_array().map(Vec::as_slice).unwrap_or_default();
    for key in ["paths", "names", "missing"] {
        let (found, known) = (list(key).len(), made.union.len());
        ensure!(found == known, "the union has {found} {key} and not {known}");
    }
    let (found, known) = (list("runs").len(), made.files.len());
    ensure!(found == known, "the union has {found} runs and not {known}");
    for entry in list("paths") {
        let (path, first) = (entry["path"].as_str(), entry["first"].as_str());
        let known = path.and_then(|path| made.union.get(path)).map(String::as_str);
        ensure!(first.is_some() && first == known, "{path:?}: {first:?} and not {known:?}");
    }
    Ok(())
}

/// Bytes that may still be written to the file system of a directory.
fn available(directory: &Path) -> Result<u64> {
    let path = std::ffi::CString::new(directory.as_os_str().as_bytes())?;
    // SAFETY: all zeros is a valid `statvfs`.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path is NUL-terminated, and both outlive the call.
    let done = unsafe { libc::statvfs(path.as_ptr(), &raw mut stat) };
    ensure!(done == 0, "cannot ask for the room in {}", directory.display());
    Ok(stat.f_bavail * stat.f_frsize)
}

/// Bytes; proc_meminfo(5).
fn memory_available() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no MemAvailable")?;
    Ok(kib.parse::<u64>()? * 1024)
}

fn table(rows: &[Row], bytes: u64) -> String {
    let mut text =
        "| cache | profiler merge | speed | cat | ratio (quartiles) | CPU | peak memory |\n\
                    |---|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
    for row in rows {
        let of = |value: &dyn Fn(&(Usage, Usage)) -> f64| {
            quartiles(&row.pairs.iter().map(value).collect::<Vec<_>>())
        };
        let [low, ratio, high] = of(&|(ours, theirs)| ours.seconds / theirs.seconds);
        let seconds = of(&|pair| pair.0.seconds)[1];
        let peak = row.pairs.iter().map(|(ours, _)| ours.peak_kib).max().unwrap_or(0);
        text += &format!(
            "| {} | {seconds:.1} s | {:.0} MB/s | {:.1} s | {ratio:.2} ({low:.2} to {high:.2}) \
             | {:.1} s | {:.0} MiB |\n",
            if row.cache == Cache::Cold { "cold" } else { "warm" },
            bytes as f64 / seconds / 1e6,
            of(&|pair| pair.1.seconds)[1],
            of(&|pair| pair.0.cpu)[1],
            peak as f64 / 1024.0
        );
    }
    text + "\nTimes, ratios and CPU are medians, ratios of pairs; memory is the worst \
            repetition's. Every union was what it had to be.\n"
}
