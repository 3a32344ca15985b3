//! The union of tables of marks.

use std::collections::{BTreeMap, HashMap};

use super::super::marks::short;
use super::super::{MarkSet, OUTSIDE, Profile};
use super::join::Keyed;

/// Names in the order in which they came. Sets of the union hold these places
/// until all is there, so a name that comes late moves no others.
#[derive(Debug, Default)]
pub(super) struct Names {
    places: HashMap<String, u32>,
}

impl Names {
    /// Takes in a profile's table, and changes its entries to the union's
    /// places. Places that its table does not have are left out.
    pub(super) fn take(&mut self, profile: &mut Profile) {
        let mut to = Vec::with_capacity(profile.marks.len());
        for name in profile.marks.drain(..) {
            // The place of what lies outside is the same in all tables.
            self.places.entry(String::new()).or_insert(OUTSIDE);
            let next = self.places.len() as u32;
            to.push(*self.places.entry(name).or_insert(next));
        }
        translate(profile, &to);
    }

    /// Puts the table into the union's document, and the sets in its order.
    pub(super) fn finish(self, union: &mut Profile) {
        let sorted: BTreeMap<String, u32> = self.places.into_iter().collect();
        let mut to = vec![OUTSIDE; sorted.len()];
        for (place, (name, came)) in (0..).zip(sorted) {
            to[came as usize] = place;
            union.marks.push(name);
        }
        translate(union, &to);
    }
}

/// Changes all sets to other places. What an entry does not spell out holds
/// nothing but [`OUTSIDE`], which stays.
fn translate(profile: &mut Profile, to: &[u32]) {
    fn of(entry: &mut impl Keyed, to: &[u32]) {
        let (marks, runtime) = entry.marks();
        if let Some(set) = marks.take() {
            let set: MarkSet = set.places(to.len()).map(|place| to[place as usize]).collect();
            *marks = short(set, runtime);
        }
    }
    profile.paths.iter_mut().for_each(|entry| of(entry, to));
    profile.names.iter_mut().for_each(|entry| of(entry, to));
    profile.missing.iter_mut().for_each(|entry| of(entry, to));
}
