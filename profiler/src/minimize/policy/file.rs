//! The policy file: what flags say, to be kept beside a Dockerfile.
//!
//! ```toml
//! include = ["/etc/ssl/**", "!/etc/ssl/private"]
//! include-from = ["keep.txt"]     # relative to this file
//! exclude = ["/usr/share/doc/"]
//! keep = ["certs", "zoneinfo"]
//! keep-packages = true
//! package-metadata = "trim"       # or keep, or drop
//! squash = false
//! ```
//!
//! A key that is none of these is an error: a typing error that goes unnoticed
//! leaves something out of an image.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Pattern, PolicyError};
use crate::minimize::{Group, UnknownGroup};
use crate::packages::Metadata;

/// Contents of a policy file; what it does not name is absent or empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PolicyFile {
    /// Patterns to keep, those of `include-from` after its own.
    pub include: Vec<Pattern>,
    /// Patterns to drop.
    pub exclude: Vec<Pattern>,
    /// Groups of files.
    pub keep: Vec<Group>,
    /// Whether whole distributions are kept.
    pub keep_packages: Option<bool>,
    /// What becomes of package databases.
    pub package_metadata: Option<Metadata>,
    /// Whether the result has one layer.
    pub squash: Option<bool>,
}

impl PolicyFile {
    /// Reads one.
    ///
    /// # Errors
    /// [`PolicyError::Read`] or [`PolicyError::File`].
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let text = fs::read_to_string(path)
            .map_err(|source| PolicyError::Read { path: path.to_owned(), source })?;
        let keys: Keys = toml::from_str(&text).map_err(|error| PolicyError::File {
            path: path.to_owned(),
            line: line_of(&text, error.span().map_or(0, |span| span.start)),
            why: error.message().replace('\n', "; "),
        })?;
        let pattern = |text: &String| Pattern::of_file(text, path);
        let mut include: Vec<Pattern> = keys.include.iter().map(pattern).collect();
        for list in &keys.include_from {
            let directory = path.parent().unwrap_or(Path::new(""));
            include.extend(Pattern::read(&directory.join(list))?);
        }
        Ok(Self {
            include,
            exclude: keys.exclude.iter().map(pattern).collect(),
            keep: keys.keep.into_iter().map(|name| name.0).collect(),
            keep_packages: keys.keep_packages,
            package_metadata: keys.package_metadata.map(Databases::metadata),
            squash: keys.squash,
        })
    }
}

/// The file as it stands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    include_from: Vec<PathBuf>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    keep: Vec<Named>,
    keep_packages: Option<bool>,
    package_metadata: Option<Databases>,
    squash: Option<bool>,
}

/// [`Metadata`] by its name.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Databases {
    Keep,
    Trim,
    Drop,
}

impl Databases {
    fn metadata(self) -> Metadata {
        match self {
            Self::Keep => Metadata::Keep,
            Self::Trim => Metadata::Trim,
            Self::Drop => Metadata::Drop,
        }
    }
}

/// A group by its name.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Named(Group);

impl TryFrom<String> for Named {
    type Error = UnknownGroup;

    fn try_from(name: String) -> Result<Self, UnknownGroup> {
        name.parse().map(Self)
    }
}

/// The line, from 1, of a place in a text.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<PolicyFile, PolicyError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("policy.toml");
        fs::write(&path, text).unwrap();
        fs::write(directory.path().join("keep.txt"), "# always\n\n/srv/**\n!/srv/doc\n").unwrap();
        PolicyFile::load(&path)
    }

    #[test]
    fn every_key_is_read() {
        let file = load(
            "include = ['/etc/ssl']\ninclude-from = ['keep.txt']\nexclude = ['*.md']\n\
             keep = ['certs', 'shell']\nkeep-packages = true\npackage-metadata = 'drop'\n\
             squash = false\n",
        )
        .unwrap();
        let texts: Vec<&str> = file.include.iter().map(Pattern::text).collect();
        assert_eq!(texts, ["/etc/ssl", "/srv/**", "!/srv/doc"]);
        assert_eq!(file.exclude[0].text(), "*.md");
        assert_eq!(file.keep, [Group::Certs, Group::Shell]);
        assert_eq!((file.keep_packages, file.squash), (Some(true), Some(false)));
        assert_eq!(file.package_metadata, Some(Metadata::Drop));
        assert_eq!(load("").unwrap(), PolicyFile::default());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, line, word) in [
            ("include = []\nincldue = ['/x']\n", "line 2", "incldue"),
            ("\n\nkeep = ['shells']\n", "line 3", "zoneinfo"),
            ("squash = 'yes'\n", "line 1", "boolean"),
            ("package-metadata = 'cut'\n", "line 1", "trim"),
            ("include = [\n", "line ", "policy.toml"),
        ] {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(line) && error.contains(word), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        let error = load("include-from = ['none.txt']\n").unwrap_err().to_string();
        assert!(error.contains("none.txt"), "{error}");
    }
}
