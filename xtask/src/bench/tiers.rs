//! What each hook tier costs a loop, on the kernels of the matrix: in emulated
//! machines, since the kernel at hand may refuse a tier.
//!
//! Guests run one after the other, each with one container in which every
//! repetition runs the loops under each observer, in an order that rotates.
//!
//! An emulator's time says little of a processor's, and on a busy machine not
//! even much of itself. So by default the guests' clock counts instructions:
//! the work that a tier adds, without what waits and caches make of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::table::quartiles;
use crate::setup;
use crate::vm::TIERS;
use crate::vm::guests::{Guests, Task};
use crate::vm::kernels::Kernel;
use crate::vm::qemu::{Clock, Ended};
use crate::vm::results::{sections, tail, unfinished};

/// The loops of `cases time`, and how often each turns: an emulated processor
/// needs about half a second for either.
const LOOPS: [(&str, u32); 2] = [("getppid", 1_000_000), ("open", 30_000)];

/// The observer that is none.
const BASELINE: &str = "none";

/// Arguments of `cargo xtask bench tiers`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kernels of the matrix, such as 6.12; none means all.
    #[arg(value_name = "KERNEL", value_parser = Kernel::named)]
    kernels: Vec<Kernel>,
    /// Repetitions.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    reps: u32,
    /// What the guests' clock counts.
    #[arg(long, value_enum, default_value_t = Clock::Instructions)]
    clock: Clock,
    /// Stop a machine that takes longer than this.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    limit: u64,
}

/// Runs the task.
///
/// # Errors
/// When a part is missing, or a guest has not measured all it had to.
pub fn run(args: &Args) -> Result<()> {
    setup::run_steps()?;
    let loops = LOOPS.map(|(name, turns)| format!("{name}:{turns}")).join(" ");
    let task = Task {
        name: "tiers",
        script: "tiers.sh",
        settings: &[
            ("REPETITIONS", args.reps.to_string()),
            ("OBSERVERS", observers().collect::<Vec<_>>().join(" ")),
            ("LOOPS", loops),
        ],
    };
    let guests = Guests::prepare(&args.kernels, &task)?;
    let limit = Duration::from_secs(args.limit);
    let mut text = String::from(
        "| kernel | loop | observer | an operation | ratio (quartiles) |\n|---|---|---|---:|---:|\n",
    );
    let mut problems = Vec::new();
    for kernel in &guests.kernels {
        // Not all at once: they would take the processors from each other.
        let ended = guests.boot(kernel, args.clock, limit)?;
        let samples = Samples::read(&ended.results);
        samples.rows(kernel.kernel.name, &mut text);
        let wrong = wrong(&ended, &samples, args.reps);
        problems.extend(wrong.map(|problem| format!("kernel {}: {problem}", kernel.kernel.name)));
    }
    println!("\n{text}\n{}", note(args.reps, args.clock));
    ensure!(
        problems.is_empty(),
        "the table is not whole; the guests' logs are below {}\n{}",
        guests.logs().display(),
        problems.join("\n")
    );
    Ok(())
}

/// In the order of the first repetition and of the table.
fn observers() -> impl Iterator<Item = &'static str> {
    [BASELINE].into_iter().chain(TIERS)
}

fn note(repetitions: u32, clock: Clock) -> String {
    let clock = match clock {
        Clock::Wall => "The processor is emulated: only the ratios count.",
        Clock::Instructions => {
            "The processor is emulated, and its clock counts instructions, one a nanosecond: \
             ratios are of instructions, not of time."
        }
    };
    format!(
        "{repetitions} repetitions; medians. A ratio is that of two loops of the same repetition, \
         in the same container. {clock}"
    )
}

/// What is not as it must be.
fn wrong(ended: &Ended, samples: &Samples, repetitions: u32) -> Option<String> {
    let mut problems: Vec<String> = unfinished(&ended.results).into_iter().collect();
    for (name, section) in sections(&ended.results) {
        if section.status.is_some_and(|status| status != 0) {
            problems.push(format!("step `{name}` failed:\n{}", tail(section.text)));
        }
    }
    if ended.timed_out {
        problems.push("stopped after the limit (--limit)".to_owned());
    }
    for (name, _) in LOOPS {
        for observer in observers() {
            let count = samples.of(name, observer).map_or(0, BTreeMap::len);
            if count != repetitions as usize {
                problems.push(format!("{name} under {observer}: {count} of {repetitions} runs"));
            }
        }
    }
    if !problems.is_empty() {
        problems.push(ended.last_words());
    }
    (!problems.is_empty()).then(|| problems.join("\n"))
}

/// Nanoseconds an operation, as one guest measured them: by loop and observer,
/// then by repetition.
#[derive(Debug, Default)]
struct Samples(BTreeMap<(String, String), BTreeMap<u32, f64>>);

impl Samples {
    /// Reads the lines `REPETITION OBSERVER LOOP NANOSECONDS` among the results.
    fn read(results: &str) -> Self {
        let mut samples = Self::default();
        for line in results.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [repetition, observer, name, nanoseconds] = words[..] else { continue };
            let (Ok(repetition), Ok(nanoseconds)) = (repetition.parse(), nanoseconds.parse())
            else {
                continue;
            };
            let key = (name.to_owned(), observer.to_owned());
            samples.0.entry(key).or_default().insert(repetition, nanoseconds);
        }
        samples
    }

    fn of(&self, name: &str, observer: &str) -> Option<&BTreeMap<u32, f64>> {
        self.0.get(&(name.to_owned(), observer.to_owned()))
    }

    /// Quartiles of the times, and of the ratios to the baseline; none where
    /// nothing was measured.
    fn quartiles(&self, name: &str, observer: &str) -> Option<([f64; 3], [f64; 3])> {
        let mine = self.of(name, observer)?;
        let base = self.of(name, BASELINE)?;
        let times: Vec<f64> = mine.values().copied().collect();
        let ratios: Vec<f64> =
            mine.iter().filter_map(|(turn, time)| Some(time / base.get(turn)?)).collect();
        Some((quartiles(&times), quartiles(&ratios)))
    }

    fn rows(&self, kernel: &str, text: &mut String) {
        for (name, _) in LOOPS {
            for observer in observers() {
                let Some((time, ratio)) = self.quartiles(name, observer) else { continue };
                let ratio = match observer {
                    BASELINE => "1".to_owned(),
                    _ => format!("{:.3} ({:.3} to {:.3})", ratio[1], ratio[0], ratio[2]),
                };
                let _ = writeln!(
                    text,
                    "| {kernel} | {name} | {observer} | {:.0} ns | {ratio} |",
                    time[1]
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = "@@ begin measure\n- none getppid 9000.0\n\
        0 none getppid 100.0\nprofiler: no container -> /tmp/profile.json\n0 fexit getppid 110.0\n\
        1 fexit getppid 600.0\n1 none getppid 500.0\n2 fexit getppid 100.0\n2 none getppid 100.0\n\
        waiting\n@@ end measure 0 12.5\n@@ done\n";

    #[test]
    fn ratios_are_taken_within_a_repetition() {
        let (time, ratio) = Samples::read(RESULTS).quartiles("getppid", "fexit").unwrap();
        assert_eq!(time[1], 110.0);
        assert!((ratio[1] - 1.1).abs() < 1e-9, "{ratio:?}");
        let mut text = String::new();
        Samples::read(RESULTS).rows("6.1", &mut text);
        assert_eq!(
            text,
            "| 6.1 | getppid | none | 100 ns | 1 |\n\
             | 6.1 | getppid | fexit | 110 ns | 1.100 (1.050 to 1.150) |\n"
        );
    }

    #[test]
    fn what_was_not_measured_is_told() {
        let ended = Ended {
            results: RESULTS.replace("@@ done\n", ""),
            console: "/absent".into(),
            timed_out: true,
            took: Duration::ZERO,
        };
        let told = wrong(&ended, &Samples::read(&ended.results), 3).unwrap();
        for part in ["did not come to its end", "--limit", "open under fexit: 0 of 3 runs"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("getppid under fexit"), "{told}");
    }
}
