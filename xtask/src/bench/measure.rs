//! The order of the runs, and one run.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::container::Gated;
use super::findings::Findings;
use super::observer::{self, Cost, Observer, Running, Target};
use super::process;
use super::workload::{self, Scale, Workload};
use crate::shell::say;

/// For what starting a container and attaching set in motion to end.
const CALM: Duration = Duration::from_millis(200);

/// What is to be run.
#[derive(Debug)]
pub struct Plan {
    /// In the table's order.
    pub workloads: Vec<Workload>,
    /// In the table's order; [`Observer::None`] is among them.
    pub observers: Vec<Observer>,
    /// Repetitions asked for.
    pub repetitions: u32,
    /// How much of everything.
    pub scale: Scale,
    /// Hook tier for `profiler run`.
    pub tier: Option<String>,
}

/// One run of one workload under one observer.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The workload.
    pub workload: Workload,
    /// The observer.
    pub observer: Observer,
    /// Counted from 0; samples of one repetition belong together.
    pub repetition: u32,
    /// Nanoseconds an operation.
    pub nanoseconds: f64,
    /// What the observer used and found; none for the baseline.
    pub observed: Option<(Cost, Findings)>,
    /// Observers that others ran on the machine at the same time.
    pub beside: Vec<String>,
}

/// Runs everything. What fails is left out and told by the second list: a
/// single run that fails must not cost an hour's samples.
///
/// # Errors
/// When an image cannot be built, or a workload fails without an observer
/// before anything is measured.
pub fn run(plan: &Plan) -> Result<(Vec<Sample>, Vec<String>)> {
    observer::build()?;
    workload::build_images(&plan.workloads, plan.scale)?;
    let (mut samples, mut failures) = (Vec::new(), Vec::new());
    for &workload in &plan.workloads {
        // Not counted: it brings the image's files into the page cache.
        sample(plan, workload, Observer::None, 0)
            .with_context(|| format!("workload {} failed unobserved", workload.name()))?;
        let repetitions = workload.repetitions(plan.repetitions);
        for repetition in 0..repetitions {
            for observer in rotated(&plan.observers, repetition) {
                let (turn, who) = (repetition + 1, observer.name());
                let what = format!("{} {turn}/{repetitions} {who}", workload.name());
                match sample(plan, workload, observer, repetition) {
                    Ok(sample) => {
                        say(format!("{what}: {:.0} ns", sample.nanoseconds));
                        samples.push(sample);
                    }
                    Err(error) => {
                        say(format!("{what}: {error:#}"));
                        failures.push(format!("{what}: {error:#}"));
                    }
                }
            }
        }
    }
    Ok((samples, failures))
}

/// Who runs directly before and after whom changes with every repetition.
fn rotated(observers: &[Observer], repetition: u32) -> Vec<Observer> {
    let mut order = observers.to_vec();
    let length = order.len().max(1);
    order.rotate_left(repetition as usize % length);
    order
}

fn sample(plan: &Plan, workload: Workload, observer: Observer, repetition: u32) -> Result<Sample> {
    let image = workload.image(plan.scale);
    let mut at = Target {
        image: &image,
        pid: 0,
        tier: plan.tier.as_deref(),
        prefix: workload.truth(plan.scale).map(|(prefix, _)| prefix),
    };
    let early = if observer.comes_first() { Running::start(observer, at)? } else { None };
    let mut container = Gated::start(&image, &workload.arguments(observer, plan.scale))?;
    at.pid = container.pid();
    let mut running = if observer.comes_first() { early } else { Running::start(observer, at)? };
    let own: Vec<u32> = running.iter().map(Running::pid).collect();
    sleep(CALM);
    let mut beside = process::other_observers(&own);
    if let Some(running) = &mut running {
        running.begin()?;
    }
    let nanoseconds = container.work()?;
    beside.extend(process::other_observers(&own));
    beside.sort();
    beside.dedup();
    let observed = running.map(|running| running.finish(at)).transpose()?;
    Ok(Sample { workload, observer, repetition, nanoseconds, observed, beside })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_observer_runs_once_a_repetition_and_the_first_changes() {
        let observers = [Observer::None, Observer::Profiler, Observer::Strace];
        let firsts: Vec<Observer> = (0..4).map(|turn| rotated(&observers, turn)[0]).collect();
        assert_eq!(firsts, [Observer::None, Observer::Profiler, Observer::Strace, Observer::None]);
        assert_eq!(rotated(&observers, 2).len(), 3);
    }
}
