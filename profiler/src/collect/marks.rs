//! Which marks touched each name: nothing for names that only what lies
//! outside of marks touched, eight bytes and a share of a set for the others.
//!
//! ```text
//! Tests      epoch ─► test, by name; one for all containers
//! Sets       chains of tests: {1,3,4} is 4 behind 3 behind 1 behind nothing
//! Touched    node ─► end of its chain
//! ```
//!
//! Names that the same tests touched share a chain, and tests mostly come one
//! after the other, at its end.

use std::collections::{BTreeMap, HashMap};

use super::tree::NodeId;

/// A test by number, in the order of their first marks.
pub type Test = u32;

/// Number of what lies outside of marks.
pub const OUTSIDE: Test = 0;

/// The tests of a run.
#[derive(Debug, Default)]
pub struct Tests {
    /// The name of each; empty where there was no mark.
    names: Vec<String>,
    by_name: HashMap<String, Test>,
    /// Of each epoch that is known of.
    epochs: BTreeMap<u64, Test>,
}

impl Tests {
    /// An epoch begins with a test or none.
    pub fn begin(&mut self, epoch: u64, name: Option<String>) {
        let name = name.filter(|name| !name.is_empty());
        let test = name.map_or(OUTSIDE, |name| self.test(name));
        self.epochs.insert(epoch, test);
    }

    fn test(&mut self, name: String) -> Test {
        if self.names.is_empty() {
            self.names.push(String::new());
        }
        let next = self.names.len() as Test;
        *self.by_name.entry(name).or_insert_with_key(|name| {
            self.names.push(name.clone());
            next
        })
    }

    /// The test of an epoch.
    pub fn of(&self, epoch: u64) -> Test {
        // There may be no marks at all, and a million touches.
        if epoch == 0 { OUTSIDE } else { self.epochs.get(&epoch).copied().unwrap_or(OUTSIDE) }
    }

    /// The names in order, and of each test its place among them; both empty
    /// for a run without marks.
    pub fn table(&self) -> (Vec<String>, Vec<u32>) {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by_key(|&test| &self.names[test]);
        let mut places = vec![0; order.len()];
        for (place, &test) in (0..).zip(&order) {
            places[test] = place;
        }
        (order.into_iter().map(|test| self.names[test].clone()).collect(), places)
    }
}

/// A set by the end of its chain; [`EMPTY`] or the place of a link and 1.
pub type Set = u32;

/// The set of nothing.
const EMPTY: Set = 0;

/// Chains of tests, in ascending order. Equal sets are the same chain.
#[derive(Debug, Default)]
struct Sets {
    /// What is before it, and the test at its end.
    links: Vec<(Set, Test)>,
    index: HashMap<(Set, Test), Set>,
}

impl Sets {
    fn append(&mut self, set: Set, test: Test) -> Set {
        let Self { links, index } = self;
        *index.entry((set, test)).or_insert_with(|| {
            links.push((set, test));
            links.len() as Set
        })
    }

    fn link(&self, set: Set) -> Option<(Set, Test)> {
        set.checked_sub(1).map(|place| self.links[place as usize])
    }

    /// Its tests, the last one first.
    fn tests(&self, set: Set) -> impl Iterator<Item = Test> + '_ {
        let mut at = set;
        std::iter::from_fn(move || {
            let (before, test) = self.link(at)?;
            at = before;
            Some(test)
        })
    }

    /// The set with one more test.
    fn with(&mut self, set: Set, test: Test) -> Set {
        let mut at = set;
        let mut later = Vec::new();
        while let Some((before, last)) = self.link(at).filter(|&(_, last)| last >= test) {
            if last == test {
                return set;
            }
            later.push(last);
            at = before;
        }
        let with = self.append(at, test);
        later.into_iter().rev().fold(with, |set, test| self.append(set, test))
    }

    fn union(&mut self, one: Set, other: Set) -> Set {
        let mut tests: Vec<Test> = self.tests(one).chain(self.tests(other)).collect();
        tests.sort_unstable();
        tests.dedup();
        tests.into_iter().fold(EMPTY, |set, test| self.append(set, test))
    }
}

/// Which tests touched each name. Of a name that is not in it, what lies
/// outside did where one of the container's own programs touched it, and
/// nothing where none did: the runtime's touches are no test's.
#[derive(Debug, Default)]
pub struct Touched {
    sets: Sets,
    by_node: HashMap<NodeId, Set>,
}

impl Touched {
    /// Adds a test to those that touched a name. `before` is whether one of
    /// the container's own programs had touched it already. Returns whether
    /// that was not known.
    pub fn add(&mut self, node: NodeId, test: Test, before: bool) -> bool {
        let old = match self.by_node.get(&node) {
            Some(&set) => set,
            None if test == OUTSIDE => return false,
            None => self.unsaid(before),
        };
        let new = self.sets.with(old, test);
        if new != old {
            self.by_node.insert(node, new);
        }
        new != old
    }

    /// What goes without saying.
    fn unsaid(&mut self, workload: bool) -> Set {
        if workload { self.sets.append(EMPTY, OUTSIDE) } else { EMPTY }
    }

    /// Begins to take in another table's.
    pub fn absorb(&mut self, from: Self) -> Absorbed {
        let mut own = vec![EMPTY];
        for (before, test) in from.sets.links {
            own.push(self.sets.append(own[before as usize], test));
        }
        Absorbed { by_node: from.by_node, own, unions: HashMap::new() }
    }

    /// Adds what touched `theirs` of the other table, which one of the
    /// container's own programs did, to a name. `before` is as in
    /// [`add`](Self::add).
    pub fn unite(&mut self, node: NodeId, before: bool, from: &mut Absorbed, theirs: NodeId) {
        let (old, other) = match (self.by_node.get(&node), from.by_node.get(&theirs)) {
            // Outside, which goes without saying.
            (None, None) => return,
            (old, other) => (old.copied(), other.map(|&set| from.own[set as usize])),
        };
        let old = old.unwrap_or_else(|| self.unsaid(before));
        let other = other.unwrap_or_else(|| self.unsaid(true));
        let sets = &mut self.sets;
        let new = *from.unions.entry((old, other)).or_insert_with(|| sets.union(old, other));
        self.by_node.insert(node, new);
    }

    /// The tests that touched a name, the last one first; none where that goes
    /// without saying.
    pub fn tests(&self, node: NodeId) -> Option<impl Iterator<Item = Test> + '_> {
        self.by_node.get(&node).map(|&set| self.sets.tests(set))
    }
}

/// Another table's, while it is taken in.
#[derive(Debug)]
pub struct Absorbed {
    by_node: HashMap<NodeId, Set>,
    /// Its sets, by what they are here.
    own: Vec<Set>,
    /// Unions made already: most names have one of a few sets.
    unions: HashMap<(Set, Set), Set>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_belongs_to_the_test_that_it_began_with() {
        let mut tests = Tests::default();
        assert_eq!(tests.table(), (vec![], vec![]));
        for (epoch, name) in [(1, Some("b")), (2, None), (3, Some("a")), (5, Some("b"))] {
            tests.begin(epoch, name.map(String::from));
        }
        let of: Vec<Test> = (0..8).map(|epoch| tests.of(epoch)).collect();
        assert_eq!(of, [0, 1, 0, 2, 0, 1, 0, 0]);
        assert_eq!(tests.of(u64::MAX), OUTSIDE);
        assert_eq!(tests.table(), (["", "a", "b"].map(String::from).to_vec(), vec![0, 2, 1]));
    }

    /// Against plain sets, over random touches in any order.
    #[test]
    fn random_touches_are_those_of_plain_sets() {
        use std::collections::BTreeSet;
        /// By node: whether the workload touched it, and the tests.
        type Plain = BTreeMap<NodeId, BTreeSet<Test>>;
        fn random_touches(random: &mut fastrand::Rng) -> (Touched, Plain) {
            let (mut touched, mut plain) = (Touched::default(), Plain::new());
            let ascending = random.bool();
            for step in 0..random.u32(..60) {
                let test = if ascending { step / 10 } else { random.u32(..6) };
                let node = random.u32(..8);
                let tests = plain.entry(node).or_default();
                touched.add(node, test, !tests.is_empty());
                tests.insert(test);
            }
            (touched, plain)
        }
        fn check(touched: &Touched, plain: &Plain) {
            for (&node, tests) in plain {
                let mut found: Vec<Test> = match touched.tests(node) {
                    Some(tests) => tests.collect(),
                    None => vec![OUTSIDE],
                };
                found.reverse();
                assert!(found.iter().eq(tests), "{found:?} {tests:?}");
            }
        }
        for seed in 0..2000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut one, mut all) = random_touches(&mut random);
            check(&one, &all);
            let (two, plain) = random_touches(&mut random);
            check(&two, &plain);
            let mut from = one.absorb(two);
            // Nodes have other numbers there.
            for (node, tests) in plain {
                let here = 7 - node;
                let before = all.contains_key(&here);
                one.unite(here, before, &mut from, node);
                all.entry(here).or_default().extend(tests);
            }
            check(&one, &all);
        }
    }

    #[test]
    fn names_that_the_same_tests_touched_share_a_set() {
        let mut touched = Touched::default();
        for test in 1..=500 {
            for node in 0..1000 {
                touched.add(node, test, test > 1);
            }
        }
        assert_eq!(touched.sets.links.len(), 500);
        assert_eq!(touched.tests(999).unwrap().count(), 500);
    }
}
