//! A profile for people.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use ::profiler::profile::{ImageId, Kind, Lost, MarkUse, PathEntry, Profile, Run};
use serde::Serialize;

use super::super::terminal::printable;
use super::{kind_name, kinds};

/// What is shown of a profile.
#[derive(Debug, Serialize)]
pub struct Summary<'a> {
    image: &'a ImageId,
    runs: &'a [Run],
    /// Files touched.
    files: usize,
    /// Names found and not found.
    names: usize,
    missing: usize,
    /// Files by kind of access.
    kinds: BTreeMap<Kind, usize>,
    /// Of all runs.
    lost: Lost,
    /// Lookups in vain that are not in the profile.
    missing_dropped: u64,
    /// Of all runs.
    blind_spots: BTreeSet<&'a str>,
    /// Why it does not hold all; empty when it does.
    incomplete: Vec<String>,
    /// The tests, the empty name for what lies outside of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marks: Vec<MarkUse>,
    paths: &'a [PathEntry],
}

impl<'a> Summary<'a> {
    /// Counts.
    pub fn of(profile: &'a Profile) -> Self {
        let count = |kind: Kind| profile.paths.iter().filter(|e| e.kinds.contains(kind)).count();
        let runs = &profile.runs;
        let mut lost = Lost::default();
        runs.iter().for_each(|run| lost += run.lost);
        Self {
            image: &profile.image,
            runs,
            files: profile.paths.len(),
            names: profile.names.len(),
            missing: profile.missing.len(),
            kinds: Kind::ALL.into_iter().map(|kind| (kind, count(kind))).collect(),
            lost,
            missing_dropped: runs.iter().map(|run| run.missing_dropped).sum(),
            blind_spots: runs.iter().flat_map(|r| &r.blind_spots).map(String::as_str).collect(),
            incomplete: profile.incomplete(),
            marks: profile.mark_uses(),
            paths: &profile.paths,
        }
    }

    /// Prints it.
    pub fn tell(&self, out: &mut dyn Write) -> io::Result<()> {
        let ImageId { reference, id, os, architecture, .. } = self.image;
        writeln!(out, "image        {} ({})", printable(reference), printable(id))?;
        writeln!(out, "platform     {}/{}", printable(os), printable(architecture))?;
        for run in self.runs {
            tell_run(run, out)?;
        }
        let by_kind: Vec<String> = self
            .kinds
            .iter()
            .map(|(&kind, count)| format!("{} {count}", kind_name(kind)))
            .collect();
        writeln!(out, "files        {}: {}", self.files, by_kind.join(", "))?;
        writeln!(out, "names        {} found, {} missing", self.names, self.missing)?;
        if self.missing_dropped > 0 {
            writeln!(out, "             {} lookups in vain left out", self.missing_dropped)?;
        }
        let lost = self.lost.by_cause().into_iter().filter(|(_, count)| *count > 0);
        let lost: Vec<String> = lost.map(|(cause, count)| format!("{cause} {count}")).collect();
        writeln!(
            out,
            "lost         {}",
            if lost.is_empty() { "0".into() } else { lost.join(", ") }
        )?;
        for spot in &self.blind_spots {
            writeln!(out, "blind spot   {}", printable(spot))?;
        }
        for why in &self.incomplete {
            writeln!(out, "incomplete   {}", printable(why))?;
        }
        if !self.marks.is_empty() {
            writeln!(out, "\n{:>8} {:>8}  mark", "paths", "alone")?;
        }
        for MarkUse { name, paths, alone } in &self.marks {
            let name = if name.is_empty() { "(outside of marks)".into() } else { printable(name) };
            writeln!(out, "{paths:>8} {alone:>8}  {name}")?;
        }
        writeln!(out, "\n{:<28} {:<16} {:<32} path", "kinds", "comm", "executable")?;
        for entry in self.paths {
            let exe = entry.exe.as_ref().map_or("-".into(), |exe| exe.to_string_lossy());
            writeln!(
                out,
                "{:<28} {:<16} {:<32} {}",
                kinds(entry.kinds),
                printable(&entry.comm),
                printable(&exe),
                printable(&entry.path.to_string_lossy())
            )?;
        }
        Ok(())
    }
}

fn tell_run(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let status = match run.exit_status {
        Some(status) => format!("exit status {status}"),
        None if run.interrupted => "interrupted".into(),
        None => "recording".into(),
    };
    writeln!(
        out,
        "run          {} to {}, {}, {status}, {} containers  {}",
        printable(&run.started),
        printable(&run.ended),
        printable(&run.tier),
        run.containers.len(),
        printable(&run.command.join(" "))
    )
}
