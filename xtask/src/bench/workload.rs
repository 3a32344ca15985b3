//! The workloads, and the images that hold what they open.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use super::observer::Observer;
use crate::base;
use crate::shell::{self, command, scratch, workspace};

const IMAGE: &str = "profiler-bench/workload";

/// What is measured; the variants' order is the table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// One file is opened and closed, again and again.
    Open,
    /// Many files, each opened once.
    Distinct,
    /// A system call that has nothing to do with files.
    Getppid,
    /// The first start of Python in its container, with 300 imports: modules
    /// with content, copies of the standard library's own under other names,
    /// which import some 280 of the library's in their turn.
    PythonFirst,
    /// Ten starts of Python in a row, with the same imports each.
    Python,
    /// Ten starts of Python in a row, with 300 nearly empty modules: only
    /// lookups and opens, the worst case for an observer at system calls.
    Imports,
    /// `find | xargs cat` over 20,000 files.
    FindCat,
    /// Four processes open the same thousand files, again and again.
    Storm,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// A hundred thousand distinct files instead of a million.
    pub quick: bool,
}

impl Scale {
    fn distinct_files(self) -> u64 {
        if self.quick { 100_000 } else { 1_000_000 }
    }
}

impl Workload {
    /// Name in tables and on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Repetitions out of those asked for: fewer where one takes minutes.
    pub fn repetitions(self, asked: u32) -> u32 {
        if self == Self::Distinct { asked.min(3) } else { asked }
    }

    /// The image's name.
    pub fn image(self, scale: Scale) -> String {
        match self {
            Self::Distinct => format!("profiler-bench/distinct:{}", scale.distinct_files()),
            _ => IMAGE.to_owned(),
        }
    }

    /// Arguments of the workload program. A tracer that stops the process at
    /// every system call gets a fortieth of the turns: the time of one
    /// operation is what is compared.
    pub fn arguments(self, observer: Observer, scale: Scale) -> Vec<String> {
        let turns = |full: u64| {
            let share = if observer == Observer::Strace { 40 } else { 1 };
            (full / share).to_string()
        };
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        match self {
            Self::Open => words(&["open", "/bench/common/0000/000", &turns(200_000)]),
            Self::Distinct => {
                words(&["each", "/bench/distinct", &scale.distinct_files().to_string()])
            }
            Self::Getppid => words(&["getppid", &turns(2_000_000)]),
            Self::PythonFirst => words(&["command", "1", "1", "python3", "/bench/python/main.py"]),
            Self::Python => words(&["command", "10", "10", "python3", "/bench/python/main.py"]),
            Self::Imports => words(&["command", "10", "10", "python3", "/bench/imports/main.py"]),
            Self::FindCat => {
                let script = "find /bench/cat -type f -print0 | xargs -0 cat > /dev/null";
                words(&["command", "20000", "1", "sh", "-c", script])
            }
            // A fortieth is still more than the files there are, so all are opened.
            Self::Storm => words(&["storm", "/bench/common", "1000", &turns(60_000)]),
        }
    }

    /// What every path of the workload's own files begins with, and how many
    /// distinct ones it opens; none where it opens none.
    pub fn truth(self, scale: Scale) -> Option<(&'static str, u64)> {
        match self {
            Self::Open => Some(("/bench/common/", 1)),
            Self::Distinct => Some(("/bench/distinct/", scale.distinct_files())),
            Self::Getppid => None,
            Self::PythonFirst | Self::Python => Some(("/bench/python/many/__pycache__/m", 300)),
            Self::Imports => Some(("/bench/imports/many/__pycache__/m", 300)),
            Self::FindCat => Some(("/bench/cat/", 20_000)),
            Self::Storm => Some(("/bench/common/", 1000)),
        }
    }
}

/// Whether `rest`, what follows the prefix of [`Workload::truth`], names a
/// file: directories are opened too, by `find`.
pub fn names_file(prefix: &str, rest: &str) -> bool {
    prefix.ends_with("__pycache__/m") || rest.contains('/')
}

/// Builds the images that `workloads` need. They stay, so that the daemon's
/// cache serves the next run; a million files take it minutes.
///
/// # Errors
/// When rustc or Docker fails.
pub fn build_images(workloads: &[Workload], scale: Scale) -> Result<()> {
    let sources = workspace().join("xtask/bench");
    let context = scratch()?.join("bench");
    fs::create_dir_all(&context).with_context(|| format!("cannot create {}", context.display()))?;
    shell::run(
        command("rustc")
            .args(["--edition=2024", "-Copt-level=2", "-Cstrip=symbols"])
            .arg("-Ctarget-feature=+crt-static")
            .arg(sources.join("workload.rs"))
            .arg("-o")
            .arg(context.join("workload")),
    )?;
    let modules = sources.join("modules.py");
    fs::copy(&modules, context.join("modules.py"))
        .with_context(|| format!("cannot copy {} to {}", modules.display(), context.display()))?;
    let build = |dockerfile: &str, image: &str, arguments: &[String]| {
        build(&context, &sources.join(dockerfile), image, arguments)
    };
    build("Dockerfile", IMAGE, &[format!("BASE={}", base::NAME)])?;
    if workloads.contains(&Workload::Distinct) {
        let image = Workload::Distinct.image(scale);
        let files = scale.distinct_files();
        build("distinct.Dockerfile", &image, &[format!("BASE={IMAGE}"), format!("FILES={files}")])?;
    }
    Ok(())
}

/// Builds an image from a Dockerfile, with build arguments as NAME=VALUE.
///
/// # Errors
/// When Docker cannot build it.
pub fn build(context: &Path, dockerfile: &Path, image: &str, arguments: &[String]) -> Result<()> {
    let mut build = command("docker");
    build.args(["build", "--quiet", "--network", "host", "--tag", image, "--file"]).arg(dockerfile);
    for argument in arguments {
        build.args(["--build-arg", argument]);
    }
    // Its stdout is the image's ID, and this task's is for the result.
    shell::run(build.arg(context).stdout(Stdio::null()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tracers_storm_still_opens_every_file() {
        for quick in [false, true] {
            let words = Workload::Storm.arguments(Observer::Strace, Scale { quick });
            assert!(words.last().unwrap().parse::<u64>().unwrap() >= 1000);
        }
    }

    #[test]
    fn directories_are_not_counted_as_files() {
        assert!(names_file("/bench/cat/", "0001/002"));
        assert!(!names_file("/bench/cat/", "0001"));
        assert!(names_file("/bench/python/many/__pycache__/m", "001.cpython-311.pyc"));
    }
}
