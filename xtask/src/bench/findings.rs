//! What an observer wrote down: distinct files, and events it lost.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::workload::names_file;

/// What an observer found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Distinct files of the workload's own.
    pub recorded: u64,
    /// Events lost; none where the observer cannot tell a number. A full
    /// fanotify queue counts as one, however many were lost by it.
    pub lost: Option<u64>,
    /// What `profiler run` counted, by cause, where it is not 0; with
    /// `table_full`, by which nothing is lost.
    pub causes: Vec<(String, u64)>,
}

/// Reads a profile (see `profiler::profile`).
///
/// # Errors
/// When it cannot be read.
pub fn of_profile(path: &Path, prefix: Option<&str>) -> Result<Findings> {
    Ok(from_profile(&read_profile(path)?, prefix))
}

/// The same; all files count.
///
/// # Errors
/// When it cannot be read.
pub fn all_of_profile(path: &Path) -> Result<Findings> {
    let profile = read_profile(path)?;
    let recorded = profile["paths"].as_array().map_or(0, Vec::len) as u64;
    Ok(Findings { recorded, ..from_profile(&profile, None) })
}

fn read_profile(path: &Path) -> Result<Value> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no profile", path.display()))
}

fn from_profile(profile: &Value, prefix: Option<&str>) -> Findings {
    let list = |key: &str| profile[key].as_array().into_iter().flatten();
    let paths: BTreeSet<&str> =
        list("paths").filter_map(|entry| file_in(entry["path"].as_str()?, prefix?)).collect();
    let lost = list("runs").filter_map(|run| run["lost"].as_object()).flatten();
    let mut causes = Vec::new();
    for (cause, count) in lost {
        match count.as_u64() {
            None | Some(0) => {}
            Some(count) => causes.push((cause.clone(), count)),
        }
    }
    // The one cause by which nothing is lost.
    let losses = causes.iter().filter(|(cause, _)| cause != "table_full");
    let lost = Some(losses.map(|&(_, count)| count).sum());
    Findings { recorded: paths.len() as u64, lost, causes }
}

/// Reads lines that hold a path each, and among them those that tell a loss.
///
/// # Errors
/// When the file cannot be read.
pub fn of_lines(path: &Path, prefix: Option<&str>) -> Result<Findings> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut paths = HashSet::new();
    let mut lost = 0;
    for line in BufReader::new(file).split(b'\n') {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        let line = String::from_utf8_lossy(&line);
        lost += if line == "overflow" { 1 } else { bpftrace_lost(&line) };
        if let Some(file) = prefix.and_then(|prefix| file_in(&line, prefix))
            && !paths.contains(file)
        {
            paths.insert(file.to_owned());
        }
    }
    Ok(Findings { recorded: paths.len() as u64, lost: Some(lost), causes: Vec::new() })
}

/// The sum of bpftrace's messages `Lost N events`.
pub fn bpftrace_lost(text: &str) -> u64 {
    let counts = text.lines().filter_map(|line| {
        line.trim().strip_prefix("Lost ")?.strip_suffix(" events")?.parse::<u64>().ok()
    });
    counts.sum()
}

/// The path in `line` that begins with `prefix`, without it. The workloads'
/// own names consist of letters, digits and `._-/`.
fn file_in<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(prefix)?;
    let foreign = |c: char| !c.is_ascii_alphanumeric() && !"._-/".contains(c);
    let rest = &rest[..rest.find(foreign).unwrap_or(rest.len())];
    names_file(prefix, rest).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_in_each_observers_line() {
        for line in [
            r#"12 openat(AT_FDCWD, "/bench/cat/0001/002", O_RDONLY|O_CLOEXEC) = 3"#,
            "1501   cat                 3   0 /bench/cat/0001/002",
            "/bench/cat/0001/002",
        ] {
            assert_eq!(file_in(line, "/bench/cat/"), Some("0001/002"), "{line}");
        }
        assert_eq!(file_in("/bench/cat/0001", "/bench/cat/"), None);
        assert_eq!(file_in("/etc/passwd", "/bench/cat/"), None);
    }

    #[test]
    fn a_profiles_paths_and_losses_count_and_missing_names_do_not() {
        let profile = serde_json::json!({
            "runs": [{ "lost": { "ring_full": 2, "unattributed": 0, "unreadable": 1, "table_full": 7 } }],
            "paths": [{ "path": "/bench/cat/0001/002" }, { "path": { "base64": "/w==" } }],
            "missing": [{ "name": "/bench/cat/0001/003" }],
        });
        let causes = [("ring_full", 2), ("unreadable", 1), ("table_full", 7)];
        let causes = causes.map(|(cause, count)| (cause.to_owned(), count)).to_vec();
        let expected = Findings { recorded: 1, lost: Some(3), causes };
        assert_eq!(from_profile(&profile, Some("/bench/cat/")), expected);
    }

    #[test]
    fn distinct_files_and_losses_are_counted_in_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("output");
        let text =
            b"/bench/cat/0/1\n\xff\noverflow\n/bench/cat/0/1\nLost 5 events\n/bench/cat/0/2\n";
        std::fs::write(&path, text).unwrap();
        let expected = Findings { recorded: 2, lost: Some(6), causes: Vec::new() };
        assert_eq!(of_lines(&path, Some("/bench/cat/")).unwrap(), expected);
    }
}
