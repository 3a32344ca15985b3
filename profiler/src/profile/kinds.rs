//! Sets of kinds of access.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Kind;

/// A set of [`Kind`]s; in JSON a list in their order. Every entry of a profile
/// has one, so it is a byte and not a tree.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindSet(u8);

const _: () = assert!(Kind::ALL.len() <= 8);

impl KindSet {
    fn bit(kind: Kind) -> u8 {
        1 << kind as u8
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it has this one.
    pub fn contains(self, kind: Kind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    /// Whether all of these are in the other.
    pub fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Takes in one more.
    pub fn insert(&mut self, kind: Kind) {
        self.0 |= Self::bit(kind);
    }

    /// Takes in all of another.
    pub fn unite(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Its members, in order.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |&kind| self.contains(kind))
    }
}

impl<const N: usize> From<[Kind; N]> for KindSet {
    fn from(kinds: [Kind; N]) -> Self {
        kinds.into_iter().collect()
    }
}

impl FromIterator<Kind> for KindSet {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        let mut set = Self::default();
        kinds.into_iter().for_each(|kind| set.insert(kind));
        set
    }
}

impl fmt::Debug for KindSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for KindSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for KindSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = KindSet;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of kinds of access")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<KindSet, A::Error> {
        let mut set = KindSet::default();
        while let Some(kind) = members.next_element()? {
            set.insert(kind);
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_have_a_bit_of_their_own_and_keep_their_order() {
        let all: KindSet = Kind::ALL.into_iter().rev().collect();
        assert!(all.iter().eq(Kind::ALL));
        for kind in Kind::ALL {
            let one = KindSet::from([kind, kind]);
            assert!(one.iter().eq([kind]) && one.is_subset(all) && !all.is_subset(one));
        }
        assert!(KindSet::default().is_empty() && KindSet::default().is_subset(all));
    }

    #[test]
    fn in_json_it_is_a_sorted_list() {
        let set: KindSet = serde_json::from_str(r#"["stat", "open", "stat"]"#).unwrap();
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["open","stat"]"#);
        for wrong in [r#"["walk"]"#, r#""open""#, "7", "{}"] {
            assert!(serde_json::from_str::<KindSet>(wrong).is_err(), "{wrong}");
        }
    }
}
