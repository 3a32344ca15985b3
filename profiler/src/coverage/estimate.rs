//! From counts to estimates.

use std::collections::BTreeSet;

use serde::Serialize;

use super::interval::{self, Counts, Interval};

/// What a sample says, for each unit and in all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// What the units are.
    pub by: Unit,
    /// The units in the order given: the curve of what each added.
    pub runs: Vec<UnitCoverage>,
    /// Distinct paths.
    pub paths: usize,
    /// Of these, the common ground: those that are there whatever the units
    /// do.
    pub ground: usize,
    /// Touches: paths of all units, those that several touched as often.
    pub incidences: usize,
    /// Paths that one unit touched.
    pub singletons: usize,
    /// Paths that two units touched.
    pub doubletons: usize,
    /// What is to be expected; none where there are not two units.
    pub estimate: Option<Estimate>,
}

/// What a sampling unit is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A profile.
    #[default]
    Run,
    /// A test by its name, in whichever runs.
    Mark,
}

impl Unit {
    /// What one is called in a sentence.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Mark => "test",
        }
    }
}

/// A unit's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitCoverage {
    /// What the unit was called when it was added.
    pub name: String,
    /// Paths it touched.
    pub paths: usize,
    /// Of these, those that no unit before it had touched.
    pub new: usize,
    /// Distinct paths of this unit and all before it.
    pub cumulative: usize,
    /// Paths that it alone holds up: no other unit touched them.
    pub alone: usize,
}

/// What is to be expected of the next unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Chance that it touches a path that is not among those seen, 0 to 1.
    pub unseen: f64,
    /// Where that chance lies, 95 times of a hundred.
    pub interval: Interval,
    /// Paths not seen that it touches, on average.
    pub expected_new: f64,
    /// Share of touches that fall on paths seen, 0 to 1.
    pub sample_coverage: f64,
}

/// What the estimates are made from.
#[derive(Debug, Default)]
pub struct Tally {
    /// Singletons by unit.
    pub alone: Vec<usize>,
    /// Number of doubletons.
    pub doubletons: usize,
    /// Pairs of units that share a doubleton.
    pub pairs: BTreeSet<(usize, usize)>,
    /// All touches.
    pub incidences: usize,
    /// Paths of the common ground.
    pub ground: usize,
}

/// Puts the figures together; `units` are name, paths, new ones.
pub fn coverage<'a>(
    units: impl Iterator<Item = (&'a str, usize, usize)>,
    tally: &Tally,
) -> Coverage {
    let mut cumulative = tally.ground;
    let runs: Vec<UnitCoverage> = units
        .zip(&tally.alone)
        .map(|((name, paths, new), &alone)| {
            cumulative += new;
            UnitCoverage { name: name.to_owned(), paths, new, cumulative, alone }
        })
        .collect();
    Coverage {
        by: Unit::default(),
        runs,
        paths: cumulative,
        ground: tally.ground,
        incidences: tally.incidences,
        singletons: tally.alone.iter().sum(),
        doubletons: tally.doubletons,
        estimate: (tally.alone.len() > 1).then(|| estimate(tally)),
    }
}

fn estimate(tally: &Tally) -> Estimate {
    let units = tally.alone.len();
    let surprising = tally.alone.iter().filter(|&&alone| alone > 0).count();
    let close = tally
        .pairs
        .iter()
        .filter(|&&(one, other)| tally.alone[one] == 0 && tally.alone[other] == 0)
        .count();
    let singletons = tally.alone.iter().sum::<usize>() as f64;
    let expected_new = singletons / units as f64 * damping(tally, singletons);
    let sample_coverage = match tally.incidences {
        0 => 1.0,
        touches => 1.0 - expected_new * units as f64 / touches as f64,
    };
    Estimate {
        unseen: surprising as f64 / units as f64,
        interval: interval::of(Counts { units, surprising, pairs: tally.pairs.len(), close }),
        expected_new,
        sample_coverage,
    }
}

/// `A` of the module's table: singletons tell of the sample without its last
/// unit, and with it there is a little less to be found.
fn damping(tally: &Tally, singletons: f64) -> f64 {
    let others = tally.alone.len() as f64 - 1.0;
    let (pull, rest) = match tally.doubletons {
        0 => (others * (singletons - 1.0).max(0.0), 2.0),
        doubletons => (others * singletons, 2.0 * doubletons as f64),
    };
    pull / (pull + rest)
}

#[cfg(test)]
mod tests {
    use super::super::Sample;

    fn sample(units: &[&str]) -> Sample {
        let mut sample = Sample::default();
        for (index, unit) in units.iter().enumerate() {
            sample.add(format!("r{index}"), unit.split(' ').map(str::as_bytes));
        }
        sample
    }

    #[track_caller]
    fn close(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-9, "{one} is not {other}");
    }

    #[test]
    fn figures_are_those_reckoned_by_hand() {
        // a in 4, b in 3, c and d in 2, e and f in 1 run (the last one).
        let coverage = sample(&["a b c", "a b d", "a b c d", "a e f"]).coverage();
        let curve: Vec<_> = coverage.runs.iter().map(|r| (r.paths, r.new, r.cumulative)).collect();
        assert_eq!(curve, [(3, 3, 3), (3, 1, 4), (4, 0, 4), (3, 2, 6)]);
        let alone: Vec<_> = coverage.runs.iter().map(|run| run.alone).collect();
        assert_eq!(alone, [0, 0, 0, 2]);
        assert_eq!((coverage.paths, coverage.incidences), (6, 13));
        assert_eq!((coverage.singletons, coverage.doubletons), (2, 2));
        let estimate = coverage.estimate.unwrap();
        // One of four runs brought something; it brought two paths.
        close(estimate.unseen, 0.25);
        // A = 3 * 2 / (3 * 2 + 2 * 2) = 0.6.
        close(estimate.expected_new, 2.0 / 4.0 * 0.6);
        close(estimate.sample_coverage, 1.0 - 2.0 / 13.0 * 0.6);
    }

    #[test]
    fn without_doubletons_the_other_form_is_taken() {
        // a in 3; b, c, d in 1: A = 2 * 2 / (2 * 2 + 2) = 2/3.
        let estimate = sample(&["a b", "a c d", "a"]).coverage().estimate.unwrap();
        close(estimate.unseen, 2.0 / 3.0);
        close(estimate.expected_new, 3.0 / 3.0 * 2.0 / 3.0);
        close(estimate.sample_coverage, 1.0 - 3.0 / 6.0 * 2.0 / 3.0);
    }

    #[test]
    fn what_is_common_ground_is_no_surprise() {
        let mut sample = Sample::default();
        sample.add_ground(["s", "a", "s"].map(str::as_bytes));
        for (name, paths) in [("1", "a b"), ("2", "a c d"), ("3", "b")] {
            sample.add(name.into(), paths.split(' ').map(str::as_bytes));
        }
        let coverage = sample.coverage();
        assert_eq!((coverage.paths, coverage.ground, coverage.incidences), (5, 2, 6));
        let curve: Vec<_> = coverage.runs.iter().map(|r| (r.new, r.cumulative, r.alone)).collect();
        assert_eq!(curve, [(1, 3, 0), (2, 5, 2), (0, 5, 0)]);
        // b is of two; a and s are of none, whoever touched them.
        assert_eq!((coverage.singletons, coverage.doubletons), (2, 1));
        // Leave a test out: only the second one's absence would be felt.
        close(coverage.estimate.unwrap().unseen, 1.0 / 3.0);
    }

    #[test]
    fn equal_runs_promise_nothing_new_but_not_for_sure() {
        let estimate = sample(&["a b", "b a", "a b"]).coverage().estimate.unwrap();
        close(estimate.unseen, 0.0);
        close(estimate.expected_new, 0.0);
        close(estimate.sample_coverage, 1.0);
        assert!(estimate.interval.high > 0.5, "{estimate:?}");
    }

    #[test]
    fn one_run_tells_nothing() {
        assert_eq!(sample(&["a b"]).coverage().estimate, None);
        assert_eq!(Sample::default().coverage().estimate, None);
    }

    #[test]
    fn a_path_named_twice_by_a_unit_counts_once() {
        let coverage = sample(&["a a b", "a"]).coverage();
        assert_eq!((coverage.incidences, coverage.singletons, coverage.doubletons), (3, 1, 1));
    }
}
