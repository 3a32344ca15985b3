//! What to keep and drop beside what was recorded: flags, and the policy file.

use std::path::PathBuf;

use profiler::minimize::{Group, Options, Pattern, Policy, PolicyError, PolicyFile};
use profiler::packages::Metadata;

/// Flags; each wins over what the policy file says.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// Keep paths that fit this pattern, e.g. '/etc/ssl/**', as in a
    /// .gitignore; !PATTERN takes back (repeat for more).
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Keep paths that fit the patterns of this file, one a line.
    #[arg(long, value_name = "FILE")]
    include_from: Vec<PathBuf>,
    /// Drop paths that fit this pattern, whatever needs them.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Keep these groups of files: shell, certs, zoneinfo, locale, nss,
    /// gconv, terminfo, packages, licenses.
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    keep: Vec<Group>,
    /// Keep every file of a Python, Node or Ruby package of which one was
    /// touched.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    keep_packages: Option<bool>,
    /// Write one layer instead of the source's.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    squash: Option<bool>,
    /// Read include, include-from, exclude, keep, keep-packages,
    /// package-metadata and squash from a TOML file.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// What flags and policy file say together.
pub struct Resolved {
    /// What is kept and dropped.
    pub policy: Policy,
    /// Whether the result has one layer.
    pub squash: bool,
    /// What the file says of package databases.
    pub package_metadata: Option<Metadata>,
}

impl Asked {
    /// Flags and file as one. Patterns of flags come last, since the last
    /// that fits wins.
    pub fn resolved(&self) -> Result<Resolved, PolicyError> {
        let file = match &self.policy {
            Some(path) => PolicyFile::load(path)?,
            None => PolicyFile::default(),
        };
        let mut include = file.include;
        for list in &self.include_from {
            include.extend(Pattern::read(list)?);
        }
        include.extend(self.include.iter().map(|text| Pattern::given(text)));
        let mut exclude = file.exclude;
        exclude.extend(self.exclude.iter().map(|text| Pattern::given(text)));
        let mut policy = Policy::new(include, exclude)?;
        policy.options = Options {
            groups: file.keep.into_iter().chain(self.keep.iter().copied()).collect(),
            whole_distributions: self.keep_packages.or(file.keep_packages).unwrap_or_default(),
        };
        Ok(Resolved {
            policy,
            squash: self.squash.or(file.squash).unwrap_or_default(),
            package_metadata: file.package_metadata,
        })
    }
}
