//! Profiles made for measuring, in the form in which the profiler writes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// Profiles in files, and what is known of their union.
pub struct Made {
    /// Distinct files.
    pub files: Vec<PathBuf>,
    /// Of all together.
    pub bytes: u64,
    /// Paths of the union, as many as it has names and missing ones, with the
    /// time of the first touch.
    pub union: BTreeMap<String, String>,
}

/// Makes `profiles` of `paths` paths each: four fifths are the same in all, as
/// what a program needs to start is, the others are taken from as many again.
/// The same arguments make the same bytes.
///
/// # Errors
/// When there is no room for them, or they cannot be written.
pub fn make(directory: &Path, profiles: u32, paths: u32, room: u64) -> Result<Made> {
    let mut made = Made { files: Vec::new(), bytes: 0, union: BTreeMap::new() };
    for number in 0..profiles {
        let text = profile(number, paths, &mut made.union);
        // All are about as long as the first.
        let need = text.len() as u64 * u64::from(profiles);
        ensure!(
            number > 0 || need < room / 10 * 9,
            "{profiles} profiles take {} MB and there is room for {} MB; ask for fewer with \
             --profiles",
            need / 1_000_000,
            room / 1_000_000
        );
        let path = directory.join(format!("{number:05}.json"));
        // On the disk before anything is measured: what is yet to be written
        // cannot be forgotten.
        fs::write(&path, &text)
            .and_then(|()| fs::File::open(&path)?.sync_data())
            .with_context(|| format!("cannot write {}", path.display()))?;
        made.bytes += text.len() as u64;
        made.files.push(path);
    }
    Ok(made)
}

fn profile(number: u32, paths: u32, union: &mut BTreeMap<String, String>) -> String {
    let mut random = Random(u64::from(number) + 1);
    let core = paths / 5 * 4;
    let mut chosen: Vec<u32> = (0..core).collect();
    // Of what lies beyond, `paths` in number, every so manieth from a random
    // place on: distinct ones, in order.
    let rest = paths - core;
    let step = paths / rest;
    let from = random.below(step);
    chosen.extend((0..rest).map(|n| core + from + n * step));
    let mut chosen: Vec<(String, u32)> = chosen.into_iter().map(|n| (path(n), n)).collect();
    chosen.sort();
    let (hour, minute) = (number / 60 % 24, number % 60);
    let start = format!("2026-01-{:02}T{hour:02}:{minute:02}", number / 1440 % 28 + 1);
    let mut text = head(number, &start);
    for (index, (path, n)) in chosen.iter().enumerate() {
        let first = format!("{start}:{:02}.{:03}Z", random.below(60), random.below(1000));
        union
            .entry(path.clone())
            .and_modify(|known| {
                if first < *known {
                    known.clone_from(&first);
                }
            })
            .or_insert_with(|| first.clone());
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(
            text,
            "{comma}\n    {{\n      \"path\": \"{path}\",\n      \"kinds\": [{}\n      ],\n      \
             \"comm\": \"python3\",\n      \"exe\": \"/usr/bin/python3.11\",\n      \
             \"first\": \"{first}\"\n    }}",
            KINDS[*n as usize % KINDS.len()],
        );
    }
    for (list, suffix) in [("names", ""), ("missing", ".cpython-311-x86_64-linux-gnu.so")] {
        let _ = write!(text, "\n  ],\n  \"{list}\": [");
        for (index, (path, n)) in chosen.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(
                text,
                "{comma}\n    {{\n      \"name\": \"{path}{suffix}\",\n      \"kinds\": [{}\n      \
                 ],\n      \"comm\": \"python3\"\n    }}",
                KINDS[*n as usize % 2],
            );
        }
    }
    text + "\n  ]\n}\n"
}

/// What goes before the paths.
fn head(number: u32, start: &str) -> String {
    format!(
        r#"{{
  "version": 1,
  "image": {{
    "reference": "bench:1",
    "id": "sha256:{:064x}",
    "os": "linux",
    "architecture": "amd64"
  }},
  "runs": [
    {{
      "command": [
        "pytest",
        "tests"
      ],
      "exit_status": 0,
      "started": "{start}:00.{:03}Z",
      "ended": "{start}:59.999Z",
      "kernel": "6.18.0",
      "tier": "fexit",
      "interrupted": false,
      "lost": {{
        "ring_full": 0,
        "path_too_deep": 0,
        "missed_runs": 0,
        "unattributed": 0,
        "unreadable": 0,
        "table_full": 0
      }},
      "containers": [
        "{number:064x}"
      ],
      "mounts": []
    }}
  ],
  "paths": ["#,
        1,
        number % 1000,
    )
}

const KINDS: [&str; 3] = [
    "\n        \"stat\"",
    "\n        \"open\"",
    "\n        \"open\",\n        \"mmap\",\n        \"stat\"",
];

/// As long as those of a Python application are.
fn path(n: u32) -> String {
    format!("/usr/lib/python3/dist-packages/package{:03}/module_{n:05}.py", n / 40)
}

/// A linear congruential generator: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(limit)) as u32
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn profiles_overlap_and_their_union_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let made = make(directory.path(), 30, 100, u64::MAX).unwrap();
        let mut paths = std::collections::BTreeSet::new();
        for file in &made.files {
            let profile: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
            for key in ["paths", "names", "missing"] {
                assert_eq!(profile[key].as_array().unwrap().len(), 100, "{key}");
            }
            let of = |entry: &Value| entry["path"].as_str().unwrap().to_owned();
            paths.extend(profile["paths"].as_array().unwrap().iter().map(of));
        }
        assert!(paths.len() > 100 && paths.len() < 300, "{}", paths.len());
        assert!(paths.iter().eq(made.union.keys()));
    }

    #[test]
    fn there_must_be_room() {
        let directory = tempfile::tempdir().unwrap();
        assert!(make(directory.path(), 10, 100, 1000).is_err());
    }
}
