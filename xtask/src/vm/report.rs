//! What a guest reported, and the table of all guests.
//!
//! The lines of its checks are those of `cases check`:
//!
//! ```text
//! NN TITLE: ok
//! NN TITLE: not seen on this tier (REASON)
//! NN TITLE: not performed (REASON)
//! NN TITLE: FAILED
//! (details, until the next such line)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::TIERS;
use super::results::{Section, sections, tail, unfinished};

/// What became of a case under one kernel and tier.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// The tier cannot see it; in brackets, why.
    NotSeen(String),
    /// Impossible in this guest; in brackets, why.
    NotPerformed(String),
    /// With details.
    Failed(String),
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotSeen(_) => "not seen",
            Self::NotPerformed(_) => "not performed",
            Self::Failed(_) => "FAILED",
        }
    }
}

/// What one guest reported.
#[derive(Debug, Default)]
pub struct Report {
    /// By number of the case and tier.
    verdicts: BTreeMap<(u32, &'static str), Verdict>,
    titles: BTreeMap<u32, String>,
    /// Number of paths in the profiles that all tiers agreed on.
    agreed: Option<usize>,
    /// Everything that did not go as it must, each with its cause.
    pub problems: Vec<String>,
    /// Profiles by tier, as JSON.
    pub profiles: BTreeMap<&'static str, String>,
}

impl Report {
    /// Reads a guest's results, however far they go.
    pub fn read(results: &str) -> Self {
        let mut report = Self::default();
        let sections = sections(results);
        report.problems.extend(unfinished(results));
        for (name, section) in &sections {
            // `doctor` also speaks of engines, of which the guest has none.
            // Other steps have lines that say which case is at fault.
            let explained = *name == "doctor"
                || name.starts_with("check ")
                || section.text.lines().any(|line| not_run(line).is_some());
            if let Some(status) = section.status.filter(|&status| status != 0 && !explained) {
                let said = tail(section.text);
                report.problems.push(format!("step `{name}` ended with status {status}:\n{said}"));
            }
        }
        for tier in TIERS {
            if let Some(section) = sections.get(format!("check {tier}").as_str()) {
                report.take_check(tier, section);
            }
            for kind in ["run", "apart", "late"] {
                if let Some(section) = sections.get(format!("{kind} {tier}").as_str()) {
                    report.take_run(tier, section.text);
                }
            }
            if let Some(section) = sections.get(format!("profile {tier}").as_str())
                && section.status == Some(0)
            {
                report.profiles.insert(tier, section.text.to_owned());
            }
        }
        if let Err(error) = report.compare(&sections) {
            report.problems.push(format!("{error:#}"));
        }
        report
    }

    fn take_check(&mut self, tier: &'static str, section: &Section) {
        let mut last = None;
        let mut failed = false;
        for line in section.text.lines() {
            if let Some((number, title, verdict)) = case(line) {
                failed |= matches!(verdict, Verdict::Failed(_));
                self.titles.insert(number, title.to_owned());
                self.verdicts.insert((number, tier), verdict);
                last = Some(number);
            } else if let Some(Verdict::Failed(details)) =
                last.and_then(|number| self.verdicts.get_mut(&(number, tier)))
            {
                details.push('\n');
                details.push_str(line);
            }
        }
        if last.is_none() || (section.status != Some(0)) != failed {
            let said = tail(section.text);
            self.problems.push(format!(
                "step `check {tier}` ended with status {:?}, which is not what its lines say:\n{said}",
                section.status
            ));
        }
    }

    /// A case that went wrong has failed, whatever the profile holds.
    fn take_run(&mut self, tier: &'static str, text: &str) {
        for (number, reason) in text.lines().filter_map(not_run) {
            let details = format!("not performed: {reason}");
            self.verdicts.insert((number, tier), Verdict::Failed(details));
        }
    }

    /// Whether the tiers' profiles hold the same paths: those of the cases that
    /// each tier sees whole.
    fn compare(&mut self, sections: &BTreeMap<&str, Section>) -> Result<()> {
        let mut sets = Vec::new();
        for tier in TIERS {
            let found = sections.get(format!("profile {tier}").as_str());
            let Some(section) = found.filter(|section| section.status == Some(0)) else {
                self.problems.push(format!("no profile of the {tier} tier to compare"));
                return Ok(());
            };
            let paths = paths(section.text)
                .with_context(|| format!("the {tier} tier's profile cannot be read"))?;
            sets.push((tier, paths));
        }
        let Some(((first, expected), others)) = sets.split_first() else { return Ok(()) };
        for (other, found) in others {
            if found != expected {
                self.problems.push(difference(first, expected, other, found));
            }
        }
        if others.iter().all(|(_, found)| found == expected) {
            self.agreed = Some(expected.len());
        }
        Ok(())
    }

    /// One line: how many cases went how under each tier.
    pub fn summary(&self) -> String {
        let mut summary = String::new();
        for tier in TIERS {
            let count = |word: &str| {
                let verdicts = self.verdicts.iter();
                verdicts.filter(|((_, of), verdict)| *of == tier && verdict.word() == word).count()
            };
            let (ok, unseen) = (count("ok"), count("not seen"));
            let failed = count("FAILED") + count("not performed");
            let _ = write!(summary, "{tier} {ok} ok, {unseen} not seen, {failed} failed; ");
        }
        match self.agreed {
            Some(count) => {
                let _ = write!(summary, "the same {count} paths on every tier");
            }
            None => summary.push_str("the tiers' paths differ or are unknown"),
        }
        summary
    }
}

/// The table kernel × case × tier and what there is to say about it, of
/// guests by the names of their kernels; and whether all is well.
pub fn table(reports: &[(&str, Report)]) -> (String, bool) {
    let mut titles = BTreeMap::new();
    for (_, report) in reports {
        titles.extend(report.titles.iter());
        // Those that were performed and never checked have no title.
        for (number, _) in report.verdicts.keys() {
            titles.entry(number).or_insert(const { &String::new() });
        }
    }
    let mut text = String::from("| case |");
    for (kernel, _) in reports {
        for tier in TIERS {
            let _ = write!(text, " {kernel} {tier} |");
        }
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(reports.len() * TIERS.len()));
    text.push('\n');
    let mut well = !titles.is_empty();
    let mut notes: BTreeMap<(u32, String), Vec<String>> = BTreeMap::new();
    let mut absent: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (&number, title) in titles {
        let _ = write!(text, "| {number:02} {title} |");
        for (kernel, report) in reports {
            for tier in TIERS {
                let verdict = report.verdicts.get(&(number, tier));
                let _ = write!(text, " {} |", verdict.map_or("absent", Verdict::word));
                let place = format!("{kernel} {tier}");
                let note = match verdict {
                    Some(Verdict::Ok) => continue,
                    Some(Verdict::NotSeen(reason)) => format!("not seen: {reason}"),
                    Some(Verdict::NotPerformed(reason)) => format!("not performed: {reason}"),
                    Some(Verdict::Failed(details)) => format!("FAILED: {}", details.trim()),
                    None => {
                        well = false;
                        absent.entry(place).or_default().push(format!("{number:02}"));
                        continue;
                    }
                };
                well &= matches!(verdict, Some(Verdict::NotSeen(_)));
                notes.entry((number, note)).or_default().push(place);
            }
        }
        text.push('\n');
    }
    if !notes.is_empty() || !absent.is_empty() {
        text.push('\n');
    }
    for (place, numbers) in absent {
        let _ = writeln!(text, "{place}: absent from the results: {}", numbers.join(" "));
    }
    for ((number, note), places) in notes {
        let _ = writeln!(text, "{number:02} ({}) {note}", places.join(", "));
    }
    text.push('\n');
    for (kernel, report) in reports {
        let _ = writeln!(text, "{kernel}: {}", report.summary());
        for problem in &report.problems {
            let _ = writeln!(text, "{kernel}: {problem}");
        }
        well &= report.problems.is_empty();
    }
    (text, well)
}

/// Reads a case's line.
fn case(line: &str) -> Option<(u32, &str, Verdict)> {
    let (number, rest) = line.split_once(' ')?;
    let number = number.parse().ok()?;
    if let Some(title) = rest.strip_suffix(": ok") {
        return Some((number, title, Verdict::Ok));
    }
    for (words, verdict) in [
        (": not seen on this tier (", Verdict::NotSeen as fn(String) -> Verdict),
        (": not performed (", Verdict::NotPerformed),
    ] {
        if let Some((title, reason)) = rest.split_once(words) {
            let reason = reason.strip_suffix(')').unwrap_or(reason);
            return Some((number, title, verdict(reason.to_owned())));
        }
    }
    let (title, details) = rest.split_once(": FAILED")?;
    Some((number, title, Verdict::Failed(details.trim().to_owned())))
}

/// Reads the line of `cases run` about a case that went wrong,
/// `NN failed: REASON`.
fn not_run(line: &str) -> Option<(u32, &str)> {
    let (number, reason) = line.split_once(" failed: ")?;
    Some((number.parse().ok()?, reason))
}

/// The paths of a profile in the profile's own order, each as JSON: a name
/// that is not UTF-8 is no string there.
fn paths(profile: &str) -> Result<Vec<String>> {
    let profile: Value = serde_json::from_str(profile).context("it is not JSON")?;
    let entries = profile["paths"].as_array().context("it has no `paths`")?;
    Ok(entries.iter().map(|entry| entry["path"].to_string()).collect())
}

fn difference(first: &str, expected: &[String], other: &str, found: &[String]) -> String {
    let expected: BTreeSet<_> = expected.iter().collect();
    let found: BTreeSet<_> = found.iter().collect();
    let mut text = format!("the {first} and {other} tiers' paths differ");
    for (tier, only) in [(first, &expected - &found), (other, &found - &expected)] {
        for path in only {
            let _ = write!(text, "\n  only {tier}: {path}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = r#"{"paths":[{"path":"/a"},{"path":"/b"}]}"#;

    /// A guest's results in which all is well: one case that every tier sees,
    /// one that only the last does.
    fn good() -> String {
        let mut text = String::from("@@ begin doctor\nwarn docker\n@@ end doctor 1\n");
        for tier in TIERS {
            let second = if tier == TIERS[0] { "not seen on this tier (why)" } else { "ok" };
            let _ = write!(
                text,
                "@@ begin run {tier}\n01 ok\n02 ok\n@@ end run {tier} 0 7.5\n\
                 @@ begin check {tier}\n01 open: O_PATH: ok\n02 stat: {second}\n\
                 @@ end check {tier} 0\n\
                 @@ begin profile {tier}\n{PROFILE}@@ end profile {tier} 0\n"
            );
        }
        text + "@@ done\n"
    }

    fn judge(results: &str) -> (String, bool) {
        table(&[("6.1", Report::read(results))])
    }

    #[test]
    fn all_is_well() {
        let (text, well) = judge(&good());
        assert!(well, "{text}");
        assert!(text.contains("| 01 open: O_PATH | ok | ok |\n"), "{text}");
        assert!(text.contains("| 02 stat | not seen | ok |\n"), "{text}");
        assert!(text.contains(&format!("02 (6.1 {}) not seen: why", TIERS[0])), "{text}");
        assert!(text.contains("the same 2 paths on every tier"), "{text}");
    }

    #[test]
    fn whatever_is_wrong_is_told() {
        let last = TIERS[TIERS.len() - 1];
        for (from, to, told) in [
            ("@@ done\n", "", "did not come to its end"),
            ("02 stat: ok\n", "", "absent from the results: 02\n"),
            ("02 stat: ok\n", "02 stat: FAILED\n  lacks /x\n", "lacks /x"),
            ("02 stat: ok\n", "02 stat: not performed (no (x))\n", "not performed: no (x)\n"),
            ("01 ok\n02 ok\n", "01 ok\n02 failed: no io_uring\n", "not performed: no io_uring"),
            (&format!("end run {last} 0"), &format!("end run {last} 125"), "status 125"),
            (&format!("end check {last} 0"), &format!("end check {last} 1"), "status Some(1)"),
            (&format!("{PROFILE}@@ end profile {last}"), "", "to compare"),
        ] {
            let results = good().replacen(from, to, 1);
            assert_ne!(results, good(), "{from} is not there");
            let (text, well) = judge(&results);
            assert!(!well && text.contains(told), "{told}: {text}");
        }
    }

    #[test]
    fn paths_that_only_one_tier_has_are_named() {
        let (before, last) =
            good().rsplit_once("/b").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let (text, well) = judge(&format!("{before}/c{last}"));
        assert!(!well, "{text}");
        assert!(text.contains(&format!("only {}: \"/b\"", TIERS[0])), "{text}");
        assert!(text.contains(&format!("only {}: \"/c\"", TIERS[1])), "{text}");
    }

    #[test]
    fn nothing_at_all_is_not_well() {
        let (text, well) = judge("");
        assert!(!well, "{text}");
        let (text, well) = table(&[]);
        assert!(!well, "{text}");
    }
}
