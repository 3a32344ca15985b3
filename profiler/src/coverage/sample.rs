//! Which sampling unit touched which paths.

use std::collections::HashMap;

use super::estimate::{self, Coverage, Tally};

/// Sampling units and what each touched.
///
/// A unit is whatever a test suite repeats or divides into: a profile's runs
/// today; a test within a run is added in the same way.
#[derive(Debug, Default)]
pub struct Sample {
    /// In the order added: name, number of paths, how many of them were new.
    units: Vec<Unit>,
    paths: HashMap<Vec<u8>, Incidence>,
}

/// What stays of a unit.
#[derive(Debug)]
struct Unit {
    name: String,
    paths: usize,
    new: usize,
}

/// In which units a path was touched: how many, the first and the last, which
/// are all of them for singletons and doubletons.
#[derive(Debug)]
struct Incidence {
    count: usize,
    first: usize,
    last: usize,
}

impl Sample {
    /// Adds a unit that touched `paths`; a path counts once.
    pub fn add<'a>(&mut self, name: String, paths: impl IntoIterator<Item = &'a [u8]>) {
        let index = self.units.len();
        let mut unit = Unit { name, paths: 0, new: 0 };
        for path in paths {
            match self.paths.get_mut(path) {
                Some(incidence) if incidence.last == index => continue,
                Some(incidence) => {
                    incidence.count += 1;
                    incidence.last = index;
                }
                None => {
                    unit.new += 1;
                    let incidence = Incidence { count: 1, first: index, last: index };
                    self.paths.insert(path.to_vec(), incidence);
                }
            }
            unit.paths += 1;
        }
        self.units.push(unit);
    }

    /// What the units say.
    pub fn coverage(&self) -> Coverage {
        let mut tally = Tally { alone: vec![0; self.units.len()], ..Tally::default() };
        for incidence in self.paths.values() {
            tally.incidences += incidence.count;
            match incidence.count {
                1 => tally.alone[incidence.first] += 1,
                2 => {
                    tally.doubletons += 1;
                    tally.pairs.insert((incidence.first, incidence.last));
                }
                _ => {}
            }
        }
        let units = self.units.iter().map(|unit| (unit.name.as_str(), unit.paths, unit.new));
        estimate::coverage(units, &tally)
    }
}
