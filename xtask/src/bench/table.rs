//! Samples to rows, rows to a table for people and to JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::measure::{Plan, Sample};
use super::observer::Observer;
use super::workload::Workload;

/// One workload under one observer, over all repetitions.
#[derive(Debug)]
pub struct Row {
    workload: Workload,
    observer: Observer,
    repetitions: usize,
    /// Median, nanoseconds an operation.
    nanoseconds: f64,
    /// Quartiles of the ratios to the baseline of the same repetition.
    ratio: [f64; 3],
    /// The fastest repetition's time by the baseline's fastest, of the same
    /// repetitions: what others on the machine add, they add to some
    /// repetitions and not to the fastest.
    best: f64,
    observed: Option<Observed>,
    /// Distinct files the workload opened; none where it opens none.
    truth: Option<u64>,
}

#[derive(Debug)]
struct Observed {
    /// The most of any repetition; none where the observer cannot tell.
    lost: Option<u64>,
    /// The fewest distinct files of any repetition.
    recorded: u64,
    /// Median, seconds.
    cpu: f64,
    /// The most of any repetition, KiB.
    peak_kib: u64,
    /// The most of any repetition, by cause; see [`Findings::causes`].
    ///
    /// [`Findings::causes`]: super::findings::Findings::causes
    causes: BTreeMap<String, u64>,
}

/// Makes the rows, in the plan's order.
pub fn rows(plan: &Plan, samples: &[Sample]) -> Vec<Row> {
    let mut rows = Vec::new();
    for &workload in &plan.workloads {
        for &observer in &plan.observers {
            let of = |observer| {
                samples
                    .iter()
                    .filter(move |one| one.workload == workload && one.observer == observer)
            };
            let mine: Vec<&Sample> = of(observer).collect();
            if mine.is_empty() {
                continue;
            }
            let pairs: Vec<(f64, f64)> = mine
                .iter()
                .filter_map(|one| {
                    let base = of(Observer::None).find(|base| base.repetition == one.repetition)?;
                    Some((one.nanoseconds, base.nanoseconds))
                })
                .collect();
            let ratios: Vec<f64> = pairs.iter().map(|(time, base)| time / base).collect();
            let times: Vec<f64> = mine.iter().map(|one| one.nanoseconds).collect();
            rows.push(Row {
                workload,
                observer,
                repetitions: mine.len(),
                nanoseconds: quartiles(&times)[1],
                ratio: quartiles(&ratios),
                best: best(&pairs),
                observed: observed(&mine),
                truth: workload.truth(plan.scale).map(|(_, files)| files),
            });
        }
    }
    rows
}

fn observed(samples: &[&Sample]) -> Option<Observed> {
    let observed: Vec<_> = samples.iter().filter_map(|one| one.observed.as_ref()).collect();
    let cpu: Vec<f64> = observed.iter().map(|(cost, _)| cost.cpu).collect();
    let lost: Option<Vec<u64>> = observed.iter().map(|(_, found)| found.lost).collect();
    let mut causes = BTreeMap::new();
    for (cause, count) in observed.iter().flat_map(|(_, found)| &found.causes) {
        let most: &mut u64 = causes.entry(cause.clone()).or_default();
        *most = (*most).max(*count);
    }
    Some(Observed {
        lost: lost?.into_iter().max(),
        recorded: observed.iter().map(|(_, found)| found.recorded).min()?,
        cpu: quartiles(&cpu)[1],
        peak_kib: observed.iter().map(|(cost, _)| cost.peak_kib).max()?,
        causes,
    })
}

/// The ratio of the least times; NaN for no pairs.
fn best(pairs: &[(f64, f64)]) -> f64 {
    // The minimum of NaN and a number is the number.
    let [time, base] =
        pairs.iter().fold([f64::NAN; 2], |[time, base], pair| [time.min(pair.0), base.min(pair.1)]);
    time / base
}

/// First quartile, median, third quartile, by linear interpolation; NaN for
/// no values.
pub fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|share| {
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        let place = share * last as f64;
        let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        low + (high - low) * place.fract()
    })
}

/// The table, with what must be known to read it.
pub fn markdown(machine: &str, rows: &[Row], samples: &[Sample]) -> String {
    let mut text = format!("{machine}\n\n");
    text += "| workload | observer | an operation | ratio (quartiles) | best | lost \
             | files recorded | CPU | peak memory |\n\
             |---|---|---:|---:|---:|---:|---:|---:|---:|\n";
    for row in rows {
        let mut cells = vec![row.workload.name(), row.observer.name(), time(row.nanoseconds)];
        let [low, median, high] = row.ratio;
        match &row.observed {
            None => cells.extend(["1", "1", "", "", "", ""].map(str::to_owned)),
            Some(seen) => {
                cells.push(format!("{median:.2} ({low:.2} to {high:.2})"));
                cells.push(format!("{:.2}", row.best));
                cells.push(seen.lost.map_or("?".into(), |lost| lost.to_string()));
                cells.push(
                    row.truth.map_or("-".into(), |truth| format!("{} of {truth}", seen.recorded)),
                );
                cells.push(format!("{:.2} s", seen.cpu));
                cells.push(format!("{:.1} MiB", seen.peak_kib as f64 / 1024.0));
            }
        }
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text += "\nTimes, ratios and CPU are medians; ratios are taken within a repetition. Best \
             is the fastest repetition's time by the baseline's fastest. Lost, files and \
             memory are the worst repetition's. CPU is the observer's own, user mode and \
             kernel, from the start of the workload to the observer's end.\n";
    if rows.iter().any(|row| row.observer == Observer::Fanotify) {
        text += "fanotify: a lost event is a queue overflow, however many events it cost. \
                 fatrace itself marks nothing on overlayfs (EOPNOTSUPP), so a program of the \
                 same shape stands for it.\n";
    }
    for row in rows {
        for (cause, count) in row.observed.iter().flat_map(|seen| &seen.causes) {
            let note = match cause.as_str() {
                "table_full" => " (touches reported again; none is lost by it)",
                "unattributed" => {
                    " (events of containers whose image was not found, on the whole machine)"
                }
                _ => "",
            };
            let _ =
                writeln!(text, "{}: profiler counted {cause} {count}{note}.", row.workload.name());
        }
    }
    let disturbed = samples.iter().filter(|one| !one.beside.is_empty()).count();
    if disturbed > 0 {
        let _ = writeln!(
            text,
            "Beside {disturbed} of {} runs another observer was on this machine: these figures \
             are not to be trusted.",
            samples.len()
        );
    }
    text
}

/// Rows and all samples.
pub fn json(machine: &str, rows: &[Row], samples: &[Sample]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "workload": row.workload.name(),
                "observer": row.observer.name(),
                "repetitions": row.repetitions,
                "nanoseconds": row.nanoseconds,
                "ratio": {
                    "q1": row.ratio[0],
                    "median": row.ratio[1],
                    "q3": row.ratio[2],
                    "best": row.best,
                },
                "truth": row.truth,
                "lost": row.observed.as_ref().and_then(|seen| seen.lost),
                "recorded": row.observed.as_ref().map(|seen| seen.recorded),
                "cpu_seconds": row.observed.as_ref().map(|seen| seen.cpu),
                "peak_kib": row.observed.as_ref().map(|seen| seen.peak_kib),
                "causes": row.observed.as_ref().map(|seen| &seen.causes),
            })
        })
        .collect();
    let samples: Vec<Value> = samples
        .iter()
        .map(|one| {
            json!({
                "workload": one.workload.name(),
                "observer": one.observer.name(),
                "repetition": one.repetition,
                "nanoseconds": one.nanoseconds,
                "other_observers": one.beside,
            })
        })
        .collect();
    json!({ "machine": machine, "rows": rows, "samples": samples })
}

/// Three digits, and the unit that fits.
fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n < 10_000.0 => format!("{n:.0} ns"),
        n if n < 10_000_000.0 => format!("{:.1} µs", n / 1e3),
        n => format!("{:.1} ms", n / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::workload::Scale;

    fn sample(observer: Observer, repetition: u32, nanoseconds: f64) -> Sample {
        Sample {
            workload: Workload::Open,
            observer,
            repetition,
            nanoseconds,
            observed: None,
            beside: Vec::new(),
        }
    }

    #[test]
    fn quartiles_lie_between_the_values() {
        assert_eq!(quartiles(&[4.0, 1.0, 3.0, 2.0, 5.0]), [2.0, 3.0, 4.0]);
        assert_eq!(quartiles(&[1.0, 2.0]), [1.25, 1.5, 1.75]);
        assert!(quartiles(&[])[1].is_nan());
    }

    #[test]
    fn a_slow_repetition_leaves_the_ratio_alone() {
        let plan = Plan {
            workloads: vec![Workload::Open],
            observers: vec![Observer::None, Observer::Strace],
            repetitions: 3,
            scale: Scale { quick: true },
            tier: None,
        };
        let mut samples = Vec::new();
        for (repetition, base) in [100.0, 500.0, 100.0].into_iter().enumerate() {
            samples.push(sample(Observer::None, repetition as u32, base));
            samples.push(sample(Observer::Strace, repetition as u32, base * 2.0));
        }
        let rows = rows(&plan, &samples);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].ratio, [2.0; 3]);
        assert_eq!(rows[1].nanoseconds, 200.0);
    }

    #[test]
    fn the_best_ratio_is_of_minima_within_the_paired_repetitions() {
        // No single repetition has the ratio 1.5.
        assert_eq!(best(&[(900.0, 100.0), (150.0, 300.0), (400.0, 200.0)]), 1.5);
        assert!(best(&[]).is_nan());
    }
}
