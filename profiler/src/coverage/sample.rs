//! Which sampling unit touched which paths.

use std::collections::HashMap;

use super::estimate::{self, Coverage, Tally};

/// Sampling units and what each touched.
///
/// A unit is whatever a test suite repeats or divides into: a run, or a test
/// within runs.
#[derive(Debug, Default)]
pub struct Sample {
    /// In the order added: name, number of paths, how many of them were new.
    units: Vec<Unit>,
    paths: HashMap<Vec<u8>, Incidence>,
    /// Paths of the common ground.
    ground: usize,
}

/// What stays of a unit.
#[derive(Debug)]
struct Unit {
    name: String,
    paths: usize,
    new: usize,
}

/// In which units a path was touched: how many, the first and the last, which
/// are all of them for singletons and doubletons. None for one of the common
/// ground that no unit touched.
#[derive(Debug)]
struct Incidence {
    count: usize,
    first: usize,
    last: Option<usize>,
    ground: bool,
}

impl Sample {
    /// Adds what is there whatever the units do, ahead of them: no unit brings
    /// or alone holds up such a path.
    pub fn add_ground<'a>(&mut self, paths: impl IntoIterator<Item = &'a [u8]>) {
        for path in paths {
            if !self.paths.contains_key(path) {
                let incidence = Incidence { count: 0, first: 0, last: None, ground: true };
                self.paths.insert(path.to_vec(), incidence);
                self.ground += 1;
            }
        }
    }

    /// Adds a unit that touched `paths`; a path counts once.
    pub fn add<'a>(&mut self, name: String, paths: impl IntoIterator<Item = &'a [u8]>) {
        let index = self.units.len();
        let mut unit = Unit { name, paths: 0, new: 0 };
        for path in paths {
            match self.paths.get_mut(path) {
                Some(incidence) if incidence.last == Some(index) => continue,
                Some(incidence) => {
                    incidence.count += 1;
                    incidence.last = Some(index);
                }
                None => {
                    unit.new += 1;
                    let incidence =
                        Incidence { count: 1, first: index, last: Some(index), ground: false };
                    self.paths.insert(path.to_vec(), incidence);
                }
            }
            unit.paths += 1;
        }
        self.units.push(unit);
    }

    /// What the units say.
    pub fn coverage(&self) -> Coverage {
        let mut tally =
            Tally { alone: vec![0; self.units.len()], ground: self.ground, ..Tally::default() };
        for incidence in self.paths.values() {
            tally.incidences += incidence.count;
            match incidence.count {
                _ if incidence.ground => {}
                1 => tally.alone[incidence.first] += 1,
                2 => {
                    tally.doubletons += 1;
                    tally.pairs.extend(incidence.last.map(|last| (incidence.first, last)));
                }
                _ => {}
            }
        }
        let units = self.units.iter().map(|unit| (unit.name.as_str(), unit.paths, unit.new));
        estimate::coverage(units, &tally)
    }
}
