//! From what a run missed to what is kept besides: round by round, until
//! nothing is missed or nothing new can be kept.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Findings, Gone, Miss, Note, Why};
use crate::minimize::Wanted;
use crate::profile::{BytePath, Kind, KindSet};

/// One run on one small image.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// From 1.
    pub number: usize,
    /// The command's exit status.
    pub status: i32,
    /// What was missed.
    pub misses: Vec<Miss>,
    /// What is kept from then on.
    pub added: Vec<Added>,
}

/// A path that is kept for what a round showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Added {
    /// As it was looked up, or its place.
    pub path: BytePath,
    /// Why.
    pub detail: String,
}

/// What follows from a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The command passed and missed nothing.
    Green,
    /// There is more to keep.
    Again,
    /// There is nothing new to keep.
    Stuck,
}

/// The rounds so far.
#[derive(Debug, Default)]
pub struct Healing {
    /// In order.
    pub rounds: Vec<Round>,
    /// What is kept besides.
    wanted: Vec<Wanted>,
    known: BTreeSet<BytePath>,
    listed: bool,
}

impl Healing {
    /// None yet. `listed`: where a command fails and nothing else explains
    /// it, all is kept of the directories that were listed.
    pub fn new(listed: bool) -> Self {
        Self { listed, ..Self::default() }
    }

    /// What the next plan is to keep.
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// Takes a round in.
    ///
    /// What was missed comes first. Only where the command fails and missed
    /// nothing new is there a use in what made no lookup fail: first what the
    /// application's own modules import and what directories lacked, then
    /// what modules of packages import, and last, if that is asked for, all
    /// of the directories that were listed.
    pub fn take(&mut self, status: i32, findings: Findings) -> Step {
        let number = self.rounds.len() + 1;
        let green = status == 0 && findings.misses.is_empty();
        let mut added = Vec::new();
        for miss in &findings.misses {
            let detail = format!("looked up by {} in round {number}", miss.looked());
            self.add(&miss.name, miss.kinds, detail, &mut added);
        }
        let tiers: [&[Why]; 3] = [
            &[Why::Imported, Why::MadeIn, Why::Remade],
            &[Why::ImportedByPackage],
            if self.listed { &[Why::Listed] } else { &[] },
        ];
        for tier in tiers {
            if status == 0 || !added.is_empty() {
                break;
            }
            for note in findings.notes.iter().filter(|note| tier.contains(&note.why)) {
                let detail = format!("{note}, round {number}");
                for Gone { path, .. } in &note.gone {
                    self.add(path, [Kind::Lstat].into(), detail.clone(), &mut added);
                }
            }
        }
        let step = match (green, added.is_empty()) {
            (true, _) => Step::Green,
            (false, false) => Step::Again,
            (false, true) => Step::Stuck,
        };
        self.rounds.push(Round { number, status, misses: findings.misses, added });
        step
    }

    fn add(&mut self, path: &BytePath, kinds: KindSet, detail: String, added: &mut Vec<Added>) {
        if !self.known.insert(path.clone()) {
            return;
        }
        self.wanted.push(Wanted { name: path.clone(), kinds, detail: detail.clone() });
        added.push(Added { path: path.clone(), detail });
    }
}

impl Miss {
    /// Who looked, and in which tests.
    pub fn looked(&self) -> String {
        let tests: Vec<&str> = self.tests.iter().map(String::as_str).collect();
        match tests.as_slice() {
            [] => self.comm.clone(),
            tests => format!("{} (in {})", self.comm, tests.join(", ")),
        }
    }
}

/// What of [`Note::path`] made it a note.
impl std::fmt::Display for Note {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = &self.path;
        match self.why {
            Why::Imported | Why::ImportedByPackage => write!(formatter, "imported by {path}"),
            Why::MadeIn => write!(formatter, "{path} was looked up in it"),
            Why::Remade => write!(formatter, "{path} was looked up in vain, then made"),
            Why::Listed => write!(formatter, "in {path}, which was listed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::FileKind;
    use super::*;

    fn miss(name: &str) -> Miss {
        Miss { name: name.into(), comm: "app".into(), ..Miss::default() }
    }

    fn note(why: Why, path: &str) -> Note {
        let (kind, bytes, package) = (FileKind::File, 1, None);
        let gone = vec![Gone { path: path.into(), kind, bytes, package }];
        Note { why, path: "/by".into(), gone, comm: "app".into() }
    }

    fn findings(misses: &[&str], notes: &[(Why, &str)]) -> Findings {
        let misses = misses.iter().map(|name| miss(name)).collect();
        let notes = notes.iter().map(|&(why, path)| note(why, path)).collect();
        Findings { misses, notes }
    }

    fn added(healing: &Healing) -> Vec<String> {
        let last = healing.rounds.last().unwrap();
        last.added.iter().map(|added| added.path.to_string()).collect()
    }

    #[test]
    fn misses_are_added_until_there_are_none() {
        let mut healing = Healing::new(false);
        let all = [(Why::Imported, "/i"), (Why::Listed, "/l")];
        assert_eq!(healing.take(1, findings(&["/a"], &all)), Step::Again);
        assert_eq!(added(&healing), ["/a"]);
        assert_eq!(healing.take(0, findings(&["/a", "/b"], &all)), Step::Again);
        assert_eq!(added(&healing), ["/b"]);
        assert_eq!(healing.take(0, findings(&[], &all)), Step::Green);
        assert_eq!(healing.wanted()[1].detail, "looked up by app in round 2");
    }

    #[test]
    fn what_made_no_lookup_fail_is_added_to_what_fails_only_and_listings_when_asked_for() {
        let all = [(Why::Imported, "/i"), (Why::ImportedByPackage, "/p"), (Why::Listed, "/l")];
        for (listed, adds) in [(false, &["/i", "/p"][..]), (true, &["/i", "/p", "/l"])] {
            let mut healing = Healing::new(listed);
            for add in adds {
                assert_eq!(healing.take(1, findings(&[], &all)), Step::Again);
                assert_eq!(added(&healing), [*add]);
            }
            assert_eq!(healing.take(1, findings(&[], &all)), Step::Stuck);
        }
    }

    #[test]
    fn a_miss_that_stays_is_no_success() {
        let mut healing = Healing::new(false);
        assert_eq!(healing.take(0, findings(&["/a"], &[])), Step::Again);
        assert_eq!(healing.take(0, findings(&["/a"], &[])), Step::Stuck);
    }
}
