//! Profiles and reports, told apart by their members.

use std::fs;
use std::path::Path;

use ::profiler::journal::is_journal;
use ::profiler::profile::{self, BytePath, Profile};
use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

/// What a file holds.
#[derive(Debug)]
pub enum Document {
    /// A profile.
    Profile(Box<Profile>),
    /// A report, or those of an index's platforms.
    Reports(Vec<Report>),
}

/// What is asked of a report.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// The format's version.
    pub version: u32,
    /// The image that was read.
    pub source: Side,
    /// The image that was written.
    pub output: Side,
    /// Kept paths.
    pub kept: Vec<Kept>,
    /// Removed paths.
    pub removed: Vec<Removed>,
    /// Recorded paths that are not in the output.
    pub unshipped: Vec<Unshipped>,
    /// What is left of packages.
    pub packages: Option<Packages>,
    /// What could not be resolved.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// An image.
#[derive(Debug, Deserialize)]
pub struct Side {
    /// Its reference.
    pub reference: String,
    /// Digest of its config.
    pub id: String,
    /// Digest of its manifest, where there is one.
    pub digest: Option<String>,
    /// Bytes of its files.
    pub bytes: u64,
    /// How many files, directories not counted.
    pub files: u64,
    /// How many layers.
    pub layers: usize,
}

/// Packages by what is left of them.
#[derive(Debug, Deserialize)]
pub struct Packages {
    /// How many keep no file.
    pub removed: usize,
    /// How many keep some.
    pub partial: usize,
    /// How many keep all.
    pub full: usize,
    /// Of how many that is not known.
    pub unknown: usize,
    /// Each.
    pub list: Vec<Package>,
}

/// What is left of a package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What is left, in a word.
    pub state: String,
    /// Files in the small image.
    pub kept_files: usize,
    /// Files in the source.
    pub source_files: usize,
}

/// A kept path.
#[derive(Debug, Deserialize)]
pub struct Kept {
    /// Absolute path.
    pub path: BytePath,
    /// Bytes of content.
    pub size: u64,
    /// Name of the rule; later programs may have more.
    pub rule: String,
    /// In words.
    pub detail: String,
    /// The package it belongs to.
    pub package: Option<String>,
}

/// A removed path.
#[derive(Debug, Deserialize)]
pub struct Removed {
    /// Absolute path.
    pub path: BytePath,
    /// Bytes of content.
    pub size: u64,
    /// The package it belongs to.
    pub package: Option<String>,
}

/// A recorded path that is not in the output.
#[derive(Debug, Deserialize)]
pub struct Unshipped {
    /// Absolute path.
    pub path: BytePath,
    /// Why not.
    pub why: String,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is neither.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let name = file.display();
        let text = fs::read(file).with_context(|| {
            format!("cannot read {name}; name a profile or a report of `profiler minimize`")
        })?;
        if is_journal(&text) {
            return Ok(Self::Profile(profile::load(file)?.into()));
        }
        let damaged =
            || format!("{name} is damaged: neither a profile nor a report; write it again");
        let value: Value = serde_json::from_slice(&text).with_context(damaged)?;
        let reports = match value {
            Value::Array(reports) => reports,
            Value::Object(ref members) if members.contains_key("kept") => vec![value],
            _ => return Ok(Self::Profile(profile::load(file)?.into())),
        };
        let reports: Vec<Report> =
            serde_json::from_value(Value::Array(reports)).with_context(damaged)?;
        let known = ::profiler::report::VERSION;
        if let Some(newer) = reports.iter().find(|report| report.version > known) {
            anyhow::bail!(
                "report {name} has format version {}, this program reads up to {known}; use a newer profiler",
                newer.version
            );
        }
        Ok(Self::Reports(reports))
    }
}
