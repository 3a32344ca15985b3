//! Which run, test, process and rule keep a path.

use std::io::{self, Write};
use std::path::Path;

use ::profiler::profile::{BytePath, KindSet, MarkSet, NameEntry, OUTSIDE, Profile};
use serde::Serialize;

use super::super::terminal::printable;
use super::document::{Document, Report};
use super::kinds;

/// What one document says about the path.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The document.
    file: String,
    #[serde(flatten)]
    says: Says,
}

#[derive(Debug, Serialize)]
#[serde(tag = "says", rename_all = "lowercase")]
enum Says {
    /// A report: in the image.
    Kept {
        image: String,
        rule: String,
        detail: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        package: Option<String>,
    },
    /// A report: recorded, and not in the image.
    Unshipped { image: String, why: String },
    /// A report: not in the image.
    Removed {
        image: String,
        size: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        package: Option<String>,
    },
    /// A profile: a file that was touched.
    Touched {
        kinds: KindSet,
        comm: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        exe: Option<BytePath>,
        #[serde(skip_serializing_if = "Option::is_none")]
        first: Option<String>,
        /// By the container runtime alone.
        runtime: bool,
        #[serde(flatten)]
        during: During,
    },
    /// A profile: a name that was looked up and found.
    Named {
        kinds: KindSet,
        comm: String,
        #[serde(flatten)]
        during: During,
    },
    /// A profile: a name that was looked up in vain.
    Missing {
        kinds: KindSet,
        comm: String,
        #[serde(flatten)]
        during: During,
    },
    /// Nothing.
    Nothing,
}

/// When it was touched.
#[derive(Debug, Serialize)]
struct During {
    runs: Vec<RunOf>,
    /// None in a profile without marks.
    #[serde(flatten)]
    tests: Option<TestsOf>,
}

/// The tests that touched the path.
#[derive(Debug, Serialize)]
struct TestsOf {
    marks: Vec<String>,
    /// Whether it was touched outside of every mark, too.
    outside_of_marks: bool,
}

impl During {
    fn of(profile: &Profile, set: &MarkSet, first: Option<&str>) -> Self {
        let tests = || TestsOf {
            marks: profile.tests(set).map(str::to_owned).collect(),
            outside_of_marks: set.places(1).next() == Some(OUTSIDE),
        };
        let tests = (!profile.marks.is_empty()).then(tests);
        Self { runs: runs(profile, first), tests }
    }
}

/// A run in which the path may have been touched.
#[derive(Debug, Serialize)]
struct RunOf {
    started: String,
    command: Vec<String>,
}

/// What a document says, a line of it each.
pub fn answers(file: &Path, document: Document, path: &BytePath) -> Vec<Answer> {
    let mut says = match document {
        Document::Profile(profile) => of_profile(&profile, path),
        Document::Reports(reports) => {
            reports.into_iter().flat_map(|report| of_report(report, path)).collect()
        }
    };
    if says.is_empty() {
        says.push(Says::Nothing);
    }
    let file = file.display().to_string();
    says.into_iter().map(|says| Answer { file: file.clone(), says }).collect()
}

fn of_report(report: Report, path: &BytePath) -> Vec<Says> {
    let image = report.output.reference;
    let kept = report.kept.into_iter().filter(|kept| kept.path == *path).map(|kept| Says::Kept {
        image: image.clone(),
        rule: kept.rule,
        detail: kept.detail,
        package: kept.package,
    });
    let unshipped = report.unshipped.into_iter().filter(|one| one.path == *path);
    let unshipped = unshipped.map(|one| Says::Unshipped { image: image.clone(), why: one.why });
    let removed = report.removed.into_iter().filter(|removed| removed.path == *path);
    let removed = removed.map(|removed| Says::Removed {
        image: image.clone(),
        size: removed.size,
        package: removed.package,
    });
    kept.chain(unshipped).chain(removed).collect()
}

fn of_profile(profile: &Profile, path: &BytePath) -> Vec<Says> {
    let mut says = Vec::new();
    if let Some(entry) = profile.paths.iter().find(|entry| entry.path == *path) {
        says.push(Says::Touched {
            kinds: entry.kinds,
            comm: entry.comm.clone(),
            exe: entry.exe.clone(),
            first: entry.first.clone(),
            runtime: entry.runtime,
            during: During::of(profile, &entry.mark_set(), entry.first.as_deref()),
        });
    }
    let named = |names: &[NameEntry]| names.iter().find(|entry| entry.name == *path).cloned();
    let during = |entry: &NameEntry| During::of(profile, &entry.mark_set(), None);
    if let Some(entry) = named(&profile.names) {
        let during = during(&entry);
        says.push(Says::Named { kinds: entry.kinds, comm: entry.comm, during });
    }
    if let Some(entry) = named(&profile.missing) {
        let during = during(&entry);
        says.push(Says::Missing { kinds: entry.kinds, comm: entry.comm, during });
    }
    says
}

/// The runs that were going on at the time of the first touch; all where that
/// is not known, for a profile does not tell which of its runs touched what.
fn runs(profile: &Profile, first: Option<&str>) -> Vec<RunOf> {
    // Times of a run may have other decimal places: compared to the second.
    let second = |time: &str| time.get(..19).unwrap_or(time).to_owned();
    let during = |started: &str, ended: &str| {
        first.is_none_or(|first| (second(started)..=second(ended)).contains(&second(first)))
    };
    let all = || profile.runs.iter();
    let mut runs: Vec<_> = all().filter(|run| during(&run.started, &run.ended)).collect();
    if runs.is_empty() {
        runs = all().collect();
    }
    let of = |run: &::profiler::profile::Run| RunOf {
        started: run.started.clone(),
        command: run.command.clone(),
    };
    runs.into_iter().map(of).collect()
}

impl Answer {
    /// Whether the document says anything.
    pub fn knows(&self) -> bool {
        !matches!(self.says, Says::Nothing)
    }

    /// Prints it for people.
    pub fn tell(&self, out: &mut dyn Write) -> io::Result<()> {
        let by = |comm: &str| if comm.is_empty() { "?".into() } else { comm.to_owned() };
        let of = |package: &Option<String>| {
            package.as_ref().map_or_else(String::new, |package| format!(" (package {package})"))
        };
        let (text, during): (String, Option<&During>) = match &self.says {
            Says::Kept { image, rule, detail, package } => {
                (format!("kept in {image} by rule {rule}: {detail}{}", of(package)), None)
            }
            Says::Unshipped { image, why } => (format!("not in {image}: {why}"), None),
            Says::Removed { image, size, package } => {
                (format!("removed from {image}: {size} bytes{}", of(package)), None)
            }
            Says::Touched { kinds: how, comm, exe, first, runtime, during } => {
                let exe = exe.as_ref().map_or_else(String::new, |exe| format!(" ({exe})"));
                let first = first.as_ref().map_or_else(String::new, |time| format!(" at {time}"));
                let runtime = if *runtime { ", by the container runtime alone" } else { "" };
                let by = by(comm);
                (
                    format!("touched ({}) first by {by}{exe}{first}{runtime}", kinds(*how)),
                    Some(during),
                )
            }
            Says::Named { kinds: how, comm, during } => {
                (format!("looked up by this name ({}) by {}", kinds(*how), by(comm)), Some(during))
            }
            Says::Missing { kinds: how, comm, during } => {
                (format!("looked up in vain ({}) by {}", kinds(*how), by(comm)), Some(during))
            }
            Says::Nothing => ("says nothing of it".into(), None),
        };
        writeln!(out, "{}: {}", printable(&self.file), printable(&text))?;
        let Some(During { runs, tests }) = during else { return Ok(()) };
        for run in runs {
            let command = run.command.join(" ");
            writeln!(
                out,
                "    in the run of {}  {}",
                printable(&run.started),
                printable(&command)
            )?;
        }
        let Some(TestsOf { marks, outside_of_marks }) = tests else { return Ok(()) };
        if *outside_of_marks {
            writeln!(out, "    outside of marks")?;
        }
        for mark in marks {
            writeln!(out, "    in the test {}", printable(mark))?;
        }
        Ok(())
    }
}
