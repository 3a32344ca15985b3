//! How sure one can be: what the runs so far say about the next one.
//!
//! A run is a sampling unit that touches a set of paths, so the data are
//! *incidences*: of each path it is known in how many of the `m` runs it was
//! touched. `Q1` are the paths touched in one run only (singletons), `Q2`
//! those in two (doubletons), `U` all touches together.
//!
//! | figure | estimate |
//! |---|---|
//! | chance that the next run touches something unseen | runs that hold a singleton, divided by `m` |
//! | new paths that the next run brings, on average | `Q1 / m * A` |
//! | share of all touches that fall on paths seen | `1 - Q1 / U * A` |
//!
//! with `A = (m - 1) Q1 / ((m - 1) Q1 + 2 Q2)`, and where `Q2` is 0
//! `A = (m - 1) (Q1 - 1) / ((m - 1) (Q1 - 1) + 2)`.
//!
//! The first is Good's and Turing's argument for the event that is asked
//! about: leave one run out, and whether it brings something that the others
//! have not is known. A run that does holds a singleton. It is not `Q1 / U`,
//! which is about one touch and not about a run, nor `Q1 / m`, which is a
//! number of paths: one run with ten new paths is one surprise. It is the
//! chance after `m - 1` runs, so a little too high after `m`. How wide its
//! interval is, [`interval`] says.
//!
//! Where runs were split into tests by marks, a test is the unit, and the
//! question is about the next test. Then there is *common ground*: what was
//! touched outside of every mark, by a start-up or between two tests, and by
//! the container runtime. It is no unit of its own, for it is not drawn from
//! the tests and comes with every run: as a unit it would mostly hold
//! singletons and be a surprise that no test can repeat. And it is not left
//! out: a path of it is in the profile whatever the next test does. So it
//! counts as seen, and a test that touches it brings nothing and holds nothing
//! up; its touches count in `U`, for they do fall on what was seen. One name
//! is one test in all runs: a second run of the same suite repeats its tests
//! and draws no new ones, and counted twice no path would be a singleton. What
//! a service does late, after its test has ended, falls into the next test or
//! the common ground, and makes the estimate a little too low.
//!
//! It all holds for a next run like those before: as long as tests are drawn
//! from the same ones. What no test does, no estimate knows.
//!
//! Sources: I. J. Good, "The population frequencies of species and the
//! estimation of population parameters", Biometrika 40 (1953); A. Chao,
//! R. K. Colwell, C.-W. Lin, N. J. Gotelli, "Sufficient sampling for
//! asymptotic minimum species richness estimators", Ecology 90 (2009);
//! A. Chao et al., "Rarefaction and extrapolation with Hill numbers",
//! Ecological Monographs 84 (2014), for incidences.

mod collect;
mod estimate;
mod interval;
mod sample;
#[cfg(test)]
mod simulation;

pub use collect::{Collector, CoverageError, in_profile};
pub use estimate::{Coverage, Estimate, Unit, UnitCoverage};
pub use interval::{CONFIDENCE, Interval};
pub use sample::Sample;
