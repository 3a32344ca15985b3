//! Comparing a profile with the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Case;
use super::expect::{Section, Tier, When};

/// What is said of one place in one section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    kinds: BTreeSet<String>,
    written: bool,
    runtime: bool,
}

/// Places by section and path or name.
type Places = BTreeMap<(Section, Vec<u8>), Seen>;

/// Filesystems of the kernel's: nothing below is of an image.
const NO_IMAGE: [&str; 3] = ["/proc/", "/sys/", "/dev/"];

/// A profile, read for the comparison.
pub struct Profile {
    places: Places,
}

/// How a case compares.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As the table says.
    Ok,
    /// As the table says; what it asks for beyond cannot be seen on this
    /// tier, for this reason.
    NotSeen(&'static str),
    /// Not as the table says; one line a difference.
    Differs(Vec<String>),
}

/// Events that a profile's JSON text says were lost, as `CAUSE COUNT` each.
///
/// # Errors
/// When it is no profile.
pub fn losses(text: &[u8]) -> Result<Vec<String>> {
    let profile: Value = serde_json::from_slice(text).context("not JSON")?;
    let runs = profile["runs"].as_array().context("no list \"runs\"")?;
    let lost = runs.iter().filter_map(|run| run["lost"].as_object()).flatten();
    Ok(lost
        .filter(|(_, count)| count.as_u64() != Some(0))
        .map(|(cause, count)| format!("{cause} {count}"))
        .collect())
}

impl Profile {
    /// Reads a profile's JSON text.
    ///
    /// # Errors
    /// When it is no profile.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let profile: Value = serde_json::from_slice(text).context("not JSON")?;
        let mut places = Places::new();
        for section in Section::ALL {
            let key = section.key();
            let entries = profile[key].as_array().with_context(|| format!("no list {key:?}"))?;
            for entry in entries {
                let place = bytes(&entry[section.place()])
                    .with_context(|| format!("an entry of {key:?} has no {}", section.place()))?;
                let kinds = entry["kinds"].as_array().context("an entry has no kinds")?;
                let seen = Seen {
                    kinds: kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                    written: entry["written"] == true,
                    runtime: entry["runtime"] == true,
                };
                places.insert((section, place), seen);
            }
        }
        Ok(Self { places })
    }

    /// Compares what is at or below the case's directory with what a profiler
    /// must see on `tier`; of a case of several parts, with those rows that
    /// are of `part`.
    pub fn compare(&self, case: &Case, tier: Tier, part: Option<&str>) -> Verdict {
        let rows = Rows::of(case, tier, part);
        let mut differences = Vec::new();
        let directory = case.directory();
        for ((section, place), seen) in &self.places {
            let below = place.strip_prefix(directory.as_bytes());
            if below.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")) {
                rows.surplus(*section, place, seen, &mut differences);
            } else if *section == Section::Paths {
                self.elsewhere(case, place, &mut differences);
            }
        }
        rows.lacking(&self.places, &mut differences);
        match (differences.is_empty(), rows.reason) {
            (false, _) => Verdict::Differs(differences),
            (true, Some(reason)) => Verdict::NotSeen(reason),
            (true, None) => Verdict::Ok,
        }
    }

    /// What some cases ask of the whole profile.
    fn elsewhere(&self, case: &Case, place: &[u8], differences: &mut Vec<String>) {
        let wrong = match case.number {
            28 => place == b"/etc/hosts",
            29 => NO_IMAGE.iter().any(|root| place.starts_with(root.as_bytes())),
            // Its copy is a file in memory, or `runc-cloned:…`; the program
            // itself would be `/usr/sbin/runc`.
            38 => place
                .rsplit(|&byte| byte == b'/')
                .next()
                .is_some_and(|name| name.windows(4).any(|part| part == b"runc")),
            _ => false,
        };
        if wrong {
            differences.push(format!("surplus  paths   {}", shown(place)));
        }
    }
}

/// The table's rows of a case that hold on one tier.
struct Rows {
    asked: Places,
    /// Those asked for, and those that may be there as well.
    allowed: Places,
    /// Why the tier does not see all.
    reason: Option<&'static str>,
}

impl Rows {
    fn of(case: &Case, tier: Tier, part: Option<&str>) -> Self {
        let mut rows = Self { asked: Places::new(), allowed: Places::new(), reason: None };
        for entry in (case.expect)() {
            if part.is_some() && entry.part.is_some() && entry.part != part {
                continue;
            }
            let asked = match entry.when {
                When::Always => true,
                When::Unseen(blind, reason) if blind == tier => {
                    rows.reason = Some(reason);
                    continue;
                }
                When::Unseen(..) => true,
                When::Only(only) if only == tier => true,
                When::Maybe => false,
                When::MaybeOn(maybe) if maybe == tier => false,
                When::Only(_) | When::MaybeOn(_) => continue,
            };
            let mut place = case.directory().into_bytes();
            if !entry.place.is_empty() {
                place.push(b'/');
                place.extend_from_slice(&entry.place);
            }
            let add = |places: &mut Places| {
                let seen = places.entry((entry.section, place.clone())).or_default();
                seen.kinds.insert(entry.kind.to_owned());
                seen.written |= entry.written;
            };
            if asked {
                add(&mut rows.asked);
            }
            add(&mut rows.allowed);
        }
        rows
    }

    /// Notes what the profile says of a place beyond the table.
    fn surplus(&self, section: Section, place: &[u8], seen: &Seen, differences: &mut Vec<String>) {
        let nothing = Seen::default();
        let allowed = self.allowed.get(&(section, place.to_vec())).unwrap_or(&nothing);
        let mut words: Vec<&str> =
            seen.kinds.difference(&allowed.kinds).map(String::as_str).collect();
        if seen.written && !allowed.written {
            words.push("written");
        }
        // The cases' own programs make all touches.
        if seen.runtime {
            words.push("runtime");
        }
        if !words.is_empty() {
            differences.push(line("surplus", section, place, &words));
        }
    }

    /// Notes what the table asks for and the profile does not say.
    fn lacking(&self, places: &Places, differences: &mut Vec<String>) {
        let nothing = Seen::default();
        for ((section, place), asked) in &self.asked {
            let seen = places.get(&(*section, place.clone())).unwrap_or(&nothing);
            let mut words: Vec<&str> =
                asked.kinds.difference(&seen.kinds).map(String::as_str).collect();
            if asked.written && !seen.written {
                words.push("written");
            }
            if !words.is_empty() {
                differences.push(line("missing", *section, place, &words));
            }
        }
    }
}

fn line(what: &str, section: Section, place: &[u8], words: &[&str]) -> String {
    format!("{what:8} {:7} {}: {}", section.key(), shown(place), words.join(", "))
}

/// Longest name shown whole, in characters.
const SHOWN: usize = 200;

/// A name on one line.
fn shown(place: &[u8]) -> String {
    let text = place.escape_ascii().to_string();
    if text.len() <= SHOWN {
        return text;
    }
    format!("{}… ({} bytes)", &text[..SHOWN], place.len())
}

/// A path or name as profiles write them: text, or base64 where it is none.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        _ => STANDARD.decode(value["base64"].as_str()?).ok(),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::NotSeen(reason) => write!(f, "not seen on this tier ({reason})"),
            Self::Differs(lines) => {
                f.write_str("FAILED")?;
                lines.iter().try_for_each(|line| write!(f, "\n    {line}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::by_number;

    fn verdict(number: u8, profile: &str) -> Verdict {
        let profile = Profile::parse(profile.as_bytes()).unwrap();
        profile.compare(by_number(number).unwrap(), Tier::Tracepoint, None)
    }

    fn differences(number: u8, profile: &str) -> Vec<String> {
        match verdict(number, profile) {
            Verdict::Differs(lines) => lines,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn neither_more_nor_less_is_right() {
        let profile = |entries: &str| format!(r#"{{"paths":[{entries}],"names":[],"missing":[]}}"#);
        let right = r#"{"path":"/case/31/file","kinds":["open"],"written":true}"#;
        assert_eq!(verdict(31, &profile(right)), Verdict::Ok);
        // Another case's entry is not this one's.
        let other = format!(r#"{right},{{"path":"/case/310","kinds":["open"]}}"#);
        assert_eq!(verdict(31, &profile(&other)), Verdict::Ok);

        assert_eq!(
            differences(31, &profile("")),
            ["missing  paths   /case/31/file: open, written"]
        );
        let kind = r#"{"path":"/case/31/file","kinds":["open","list"],"runtime":true}"#;
        assert_eq!(
            differences(31, &profile(kind)),
            [
                "surplus  paths   /case/31/file: list, runtime",
                "missing  paths   /case/31/file: written"
            ]
        );
        let decoy =
            format!(r#"{right},{{"path":{{"base64":"L2Nhc2UvMzEv/w=="}},"kinds":["open"]}}"#);
        assert_eq!(differences(31, &profile(&decoy)), [r"surplus  paths   /case/31/\xff: open"]);
    }

    #[test]
    fn what_a_tier_cannot_see_must_not_be_asked_of_it() {
        let profile = r#"{
            "paths": [
                {"path":"/case/03/opened","kinds":["open"]},
                {"path":"/case/03/worker","kinds":["open"]}
            ],
            "names": [
                {"name":"/case/03/direct","kinds":["open"]},
                {"name":"/case/03/looked-at","kinds":["stat"]}
            ],
            "missing": []
        }"#;
        assert!(matches!(verdict(3, profile), Verdict::NotSeen(_)));
        let parsed = Profile::parse(profile.as_bytes()).unwrap();
        let fexit = parsed.compare(by_number(3).unwrap(), Tier::Fexit, None);
        assert!(matches!(fexit, Verdict::Differs(_)), "{fexit}");
    }
}
