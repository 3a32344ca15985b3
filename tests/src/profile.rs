//! Reading profiles as a stranger would: JSON.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// A profile file's content.
#[derive(Debug, Clone)]
pub struct Profile(pub Value);

impl Profile {
    /// Reads a profile file.
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(serde_json::from_slice(&text).expect("a profile is JSON"))
    }

    /// Writes it, changed or not.
    pub fn write(&self, path: &Path) {
        fs::write(path, self.0.to_string()).expect("a profile written");
    }

    /// The reference of its image.
    pub fn image(&self) -> &str {
        self.0["image"]["reference"].as_str().expect("an image reference")
    }

    /// Its runs.
    #[track_caller]
    pub fn runs(&self) -> &[Value] {
        self.0["runs"].as_array().expect("runs")
    }

    /// All its paths.
    #[track_caller]
    pub fn paths(&self) -> BTreeSet<String> {
        let paths = self.0["paths"].as_array().expect("paths");
        paths.iter().filter_map(|entry| Some(entry["path"].as_str()?.to_owned())).collect()
    }

    /// The kinds of access of one path.
    pub fn kinds(&self, path: &str) -> BTreeSet<String> {
        let paths = self.0["paths"].as_array().expect("paths");
        let entry = paths.iter().find(|entry| entry["path"] == path);
        let kinds = entry.and_then(|entry| entry["kinds"].as_array());
        kinds.into_iter().flatten().filter_map(|kind| Some(kind.as_str()?.to_owned())).collect()
    }

    /// Names of the marks that touched an entry of `list` (`paths`, `names`,
    /// `missing`); that of what lies outside is empty. None when it is not
    /// there.
    pub fn marks(&self, list: &str, path: &str) -> Option<BTreeSet<String>> {
        let key = if list == "paths" { "path" } else { "name" };
        let entry = self.0[list].as_array()?.iter().find(|entry| entry[key] == path)?;
        let set = match (&entry["marks"], &entry["runtime"]) {
            (Value::String(set), _) => set.as_str(),
            (_, Value::Bool(true)) => "",
            _ => "0",
        };
        let names = self.0["marks"].as_array().map_or(&[][..], Vec::as_slice);
        let name =
            |place: usize| names.get(place).map_or("", |name| name.as_str().expect("a name"));
        let number = |digits: &str| digits.parse::<usize>().expect("a place");
        let places = set.split(',').filter(|part| !part.is_empty()).flat_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            number(first)..=number(last)
        });
        Some(places.map(|place| name(place).to_owned()).collect())
    }

    /// Causes by which events were lost, with their counts; a full table of
    /// known names loses nothing.
    #[track_caller]
    pub fn lost(&self) -> Vec<(String, u64)> {
        let lost = self.runs().iter().flat_map(|run| run["lost"].as_object().expect("losses"));
        lost.filter(|(cause, _)| *cause != "table_full")
            .filter_map(|(cause, count)| Some((cause.clone(), count.as_u64()?)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
