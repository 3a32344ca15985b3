//! Marks: the named tests that a run was split into, and which of them
//! touched what.
//!
//! A document with marks has a table of their names, sorted. Its first name is
//! empty and stands for all that happened outside of every mark: a service's
//! start-up, what goes on between two tests. An entry holds the places in that
//! table of all that touched it, in the list format of cpuset(7): `1,3-7`. One
//! without was touched outside of marks only, so a profile without marks says
//! nothing of them; and one that only the container runtime touched was
//! touched by no test. So five hundred tests that all touch the same five
//! thousand files cost a few bytes a file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{NameEntry, PathEntry, Profile};

/// Place in the table of marks of what lies outside of them.
pub const OUTSIDE: u32 = 0;

/// A set of places in a table of marks.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MarkSet {
    /// First and last of each run of places, in order, with gaps between.
    ranges: Vec<(u32, u32)>,
}

impl MarkSet {
    /// What lies outside of marks, and nothing else.
    pub fn outside() -> Self {
        Self { ranges: vec![(OUTSIDE, OUTSIDE)] }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Those below `limit`, in order; a damaged document may have any others.
    pub fn places(&self, limit: usize) -> impl Iterator<Item = u32> + '_ {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        self.ranges
            .iter()
            .take_while(move |(first, _)| *first < limit)
            .flat_map(move |&(first, last)| first..last.saturating_add(1).min(limit))
    }

    /// Takes in another set.
    pub fn unite(&mut self, other: &Self) {
        if *self != *other {
            let mut ranges = std::mem::take(&mut self.ranges);
            ranges.extend(&other.ranges);
            self.ranges = joined(ranges);
        }
    }
}

impl FromIterator<u32> for MarkSet {
    fn from_iter<I: IntoIterator<Item = u32>>(places: I) -> Self {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for place in places {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(place) => *last = place,
                _ => ranges.push((place, place)),
            }
        }
        Self { ranges: joined(ranges) }
    }
}

/// Sorted, and what touches or overlaps made one.
fn joined(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.sort_unstable();
    ranges.dedup_by(|(first, last), before| {
        let one = *first <= before.1.saturating_add(1);
        if one {
            before.1 = before.1.max(*last);
        }
        one
    });
    ranges
}

impl fmt::Display for MarkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// Why a text is no set of marks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no list of numbers and ranges such as 1,3-7")]
pub struct MarkSetError(String);

impl FromStr for MarkSet {
    type Err = MarkSetError;

    fn from_str(text: &str) -> Result<Self, MarkSetError> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse::<u32>().ok()).flatten()
        };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last)
        };
        let parts = text.split(',').filter(|_| !text.is_empty());
        let ranges: Option<Vec<_>> = parts.map(range).collect();
        let ranges = ranges.ok_or_else(|| MarkSetError(text.chars().take(40).collect()))?;
        Ok(Self { ranges: joined(ranges) })
    }
}

impl Serialize for MarkSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MarkSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What the document need not say: touched outside of marks only, or by the
/// container runtime only and so by no test.
fn unsaid(runtime: bool) -> MarkSet {
    if runtime { MarkSet::default() } else { MarkSet::outside() }
}

/// What an entry says, and what it need not say, spelled out.
pub(super) fn spelled(marks: Option<MarkSet>, runtime: bool) -> MarkSet {
    marks.unwrap_or_else(|| unsaid(runtime))
}

/// The reverse of [`spelled`].
pub(super) fn short(marks: MarkSet, runtime: bool) -> Option<MarkSet> {
    Some(marks).filter(|marks| *marks != unsaid(runtime))
}

impl PathEntry {
    /// Which marks touched it.
    pub fn mark_set(&self) -> MarkSet {
        spelled(self.marks.clone(), self.runtime)
    }
}

impl NameEntry {
    /// Which marks spoke it.
    pub fn mark_set(&self) -> MarkSet {
        spelled(self.marks.clone(), false)
    }
}

/// What a mark did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MarkUse {
    /// Its name; empty for what lies outside of marks.
    pub name: String,
    /// Paths it touched.
    pub paths: usize,
    /// Of these, those that nothing else touched.
    pub alone: usize,
}

impl Profile {
    /// Names of the tests in a set, in order; what lies outside of marks has
    /// none.
    pub fn tests<'a>(&'a self, set: &'a MarkSet) -> impl Iterator<Item = &'a str> {
        set.places(self.marks.len())
            .filter(|&place| place != OUTSIDE)
            .map(|place| self.marks[place as usize].as_str())
    }

    /// What each mark did, in the order of the table; nothing for a profile
    /// without marks.
    pub fn mark_uses(&self) -> Vec<MarkUse> {
        let of = |name: &String| MarkUse { name: name.clone(), paths: 0, alone: 0 };
        let mut uses: Vec<_> = self.marks.iter().map(of).collect();
        if uses.is_empty() {
            return uses;
        }
        for entry in &self.paths {
            let set = entry.mark_set();
            let mut places = set.places(uses.len()).peekable();
            let first = places.peek().copied();
            let mut count = 0;
            for place in places {
                uses[place as usize].paths += 1;
                count += 1;
            }
            if let (Some(only), 1) = (first, count) {
                uses[only as usize].alone += 1;
            }
        }
        uses
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::ImageId;
    use super::*;

    fn set(places: &[u32]) -> MarkSet {
        places.iter().copied().collect()
    }

    #[test]
    fn a_set_is_written_as_ranges_and_read_again() {
        for (places, text) in [
            (&[][..], ""),
            (&[0], "0"),
            (&[0, 1, 2, 3], "0-3"),
            (&[7, 1, 3, 2, 9, 7], "1-3,7,9"),
            (&[u32::MAX - 1, u32::MAX], "4294967294-4294967295"),
        ] {
            assert_eq!(set(places).to_string(), text);
            assert_eq!(text.parse(), Ok(set(places)), "{text}");
        }
        assert_eq!("3,1-2".parse::<MarkSet>().unwrap().to_string(), "1-3");
        for text in [",", "1,", "a", "-1", "1-", "3-1", "+1", "4294967296", "1 "] {
            assert!(text.parse::<MarkSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn sets_unite_as_sets_do() {
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..2000 {
            let mut some =
                || (0..random.usize(..12)).map(|_| random.u32(..20)).collect::<BTreeSet<_>>();
            let (one, other) = (some(), some());
            let mut united: MarkSet = one.iter().copied().collect();
            united.unite(&other.iter().copied().collect());
            let all: Vec<u32> = one.union(&other).copied().collect();
            assert_eq!(united, set(&all));
            assert_eq!(united.places(100).collect::<Vec<_>>(), all);
            let below: Vec<u32> = all.into_iter().filter(|&place| place < 10).collect();
            assert_eq!(united.places(10).collect::<Vec<_>>(), below);
        }
        // A hostile document's set is not spelled out.
        let huge: MarkSet = "0-4294967295".parse().unwrap();
        assert_eq!(huge.places(3).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_mark_is_told_with_what_it_alone_holds() {
        let mut profile = Profile::new(ImageId::default());
        profile.marks = ["", "a", "b"].map(String::from).into();
        let entry = |path: &str, marks: Option<&str>, runtime| PathEntry {
            path: path.into(),
            marks: marks.map(|marks| marks.parse().unwrap()),
            runtime,
            ..PathEntry::default()
        };
        profile.paths = vec![
            entry("/a", Some("1"), false),
            entry("/ab", Some("1-2"), false),
            entry("/b", Some("0,2"), false),
            entry("/out", None, false),
            entry("/runtime", None, true),
        ];
        let uses = profile.mark_uses();
        let of = |name: &str, paths, alone| MarkUse { name: name.into(), paths, alone };
        assert_eq!(uses, [of("", 2, 1), of("a", 2, 1), of("b", 2, 0)]);
        let tests = |index: usize| {
            let set = profile.paths[index].mark_set();
            profile.tests(&set).map(String::from).collect::<Vec<_>>()
        };
        assert_eq!((tests(1), tests(3)), (vec!["a".into(), "b".into()], vec![]));
        profile.marks.clear();
        assert_eq!(profile.mark_uses(), []);
    }
}
