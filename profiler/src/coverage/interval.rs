//! The interval around the chance of something unseen.
//!
//! Wilson's score interval of a proportion (E. B. Wilson, Journal of the
//! American Statistical Association 22, 1927), which keeps its promise where
//! there are few runs and where none or all of them brought something. It is
//! about independent trials, and runs that are left out of one another's
//! company are not: two runs that both touch a path that no other has make
//! each other unsurprising. How much that adds follows from leaving two runs
//! out, as Esty did for the abundances of species (W. W. Esty, "A normal limit
//! law for a nonparametric estimator of the coverage of a random sample",
//! Annals of Statistics 11, 1983): with `R` of `m` runs holding a singleton and
//! `D` pairs of runs that hold none but share a doubleton, the mean squared
//! error of `R / m` is about `(R (1 - R / m) + 2 D) / m²`. Without the second
//! term it is that of independent trials; so the interval is taken for as many
//! fewer trials as the second term makes the first larger.
//!
//! The lower end must allow for two more things. One unit more leaves less to
//! be found, so it is that of the share damped as the module's table damps
//! paths, with runs for paths. And all may have been found: it is 0 as long as
//! so little is hidden that there may be nothing. Chao's estimate of what is
//! hidden, `(m - 1) / m * R (R - 1) / (2 (P + 1))` with `P` pairs of runs that
//! share a doubleton, is then below 3, the mean at which a Poisson number is 0
//! once in twenty times.

use serde::Serialize;

/// Share of samples whose interval holds the true chance.
pub const CONFIDENCE: f64 = 0.95;

/// Quantile of the normal distribution for [`CONFIDENCE`], both sides.
const Z: f64 = 1.959_963_984_540_054;

/// Mean at which a Poisson number is 0 in 5 % of cases.
const HIDDEN: f64 = 3.0;

/// From where to where, both of 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// What the interval is made from.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Units.
    pub units: usize,
    /// Units that hold a singleton.
    pub surprising: usize,
    /// Pairs of units that share a doubleton.
    pub pairs: usize,
    /// Of these, pairs of which neither holds a singleton.
    pub close: usize,
}

/// The interval for these counts; there is at least one unit.
pub fn of(counts: Counts) -> Interval {
    let units = counts.units as f64;
    let [surprising, pairs, close] =
        [counts.surprising, counts.pairs, counts.close].map(|count| count as f64);
    // Drawn to the middle, so that it is not 0 where no unit, or every one,
    // brought something.
    let share = (surprising + Z * Z / 2.0) / (units + Z * Z);
    let inflation = 1.0 + 2.0 * close / (units * share * (1.0 - share));
    let trials = units / inflation;
    let high = wilson(surprising / units, trials).high;
    let hidden = (units - 1.0) / units * surprising * (surprising - 1.0) / (2.0 * (pairs + 1.0));
    if surprising == 0.0 || hidden < HIDDEN {
        return Interval { low: 0.0, high };
    }
    let pull = (units - 1.0) * surprising;
    let damped = surprising / units * pull / (pull + 2.0 * pairs);
    Interval { low: wilson(damped, trials).low, high }
}

/// Wilson's interval for a share of that many trials.
fn wilson(share: f64, trials: f64) -> Interval {
    let scale = 1.0 + Z * Z / trials;
    let centre = (share + Z * Z / (2.0 * trials)) / scale;
    let variance = share * (1.0 - share) / trials + Z * Z / (4.0 * trials * trials);
    let half = Z * variance.sqrt() / scale;
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(interval: Interval, low: f64, high: f64) {
        let near = |one: f64, other: f64| (one - other).abs() < 5e-4;
        assert!(near(interval.low, low) && near(interval.high, high), "{interval:?}");
    }

    fn of(surprising: usize, pairs: usize, close: usize, units: usize) -> Interval {
        super::of(Counts { units, surprising, pairs, close })
    }

    #[test]
    fn without_pairs_it_is_wilsons() {
        // Published values: 0, 5 and 10 of 10.
        close(of(0, 0, 0, 10), 0.0, 0.2775);
        close(of(5, 0, 0, 10), 0.2366, 0.7634);
        close(of(10, 0, 0, 10), 0.7225, 1.0);
    }

    #[test]
    fn pairs_that_hide_each_other_make_it_wider() {
        let (narrow, wide) = (of(9, 2, 0, 40), of(9, 2, 2, 40));
        assert!(wide.low < narrow.low && wide.high > narrow.high, "{narrow:?} {wide:?}");
    }

    #[test]
    fn a_single_surprise_may_have_been_the_last_one() {
        close(of(1, 0, 0, 10), 0.0, 0.4042);
    }
}
