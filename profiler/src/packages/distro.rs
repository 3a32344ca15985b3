//! What the distribution calls itself.
//!
//! Format: os-release(5), lines of `KEY=VALUE` as a shell would read them.

use std::collections::BTreeMap;

use super::file;
use crate::image::{ImageError, Tree};

/// Files by which scanners tell the distribution and its release. Each is a
/// line or two.
pub const RELEASE_FILES: [&str; 14] = [
    "/etc/os-release",
    "/usr/lib/os-release",
    "/etc/debian_version",
    "/etc/lsb-release",
    "/etc/alpine-release",
    "/etc/redhat-release",
    "/etc/system-release",
    "/etc/system-release-cpe",
    "/etc/centos-release",
    "/etc/rocky-release",
    "/etc/almalinux-release",
    "/etc/oracle-release",
    "/etc/fedora-release",
    "/etc/SuSE-release",
];

/// Fields of os-release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distro {
    /// `ID`: `debian`, `alpine`; empty when there is no os-release.
    pub id: String,
    /// `VERSION_ID`: `12`; a rolling distribution has none.
    pub version: String,
    /// `PRETTY_NAME`, or `NAME`.
    pub name: String,
}

impl Distro {
    /// Reads an image's os-release.
    ///
    /// # Errors
    /// When the image cannot be read.
    pub fn read(tree: &Tree<'_>) -> Result<Self, ImageError> {
        for path in &RELEASE_FILES[..2] {
            if let Some((id, _)) = file::find(tree, path) {
                return Ok(Self::parse(&file::read(tree, id)?));
            }
        }
        Ok(Self::default())
    }

    /// Reads the text of an os-release.
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let fields: BTreeMap<&str, String> = text
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .map(|(key, value)| (key, unquote(value)))
            .collect();
        let field = |key: &str| fields.get(key).cloned().unwrap_or_default();
        let pretty = field("PRETTY_NAME");
        Self {
            id: field("ID"),
            version: field("VERSION_ID"),
            name: if pretty.is_empty() { field("NAME") } else { pretty },
        }
    }

    /// As the `distro` qualifier of a package URL: `debian-12`.
    pub fn qualifier(&self) -> Option<String> {
        match (self.id.as_str(), self.version.as_str()) {
            ("", _) => None,
            (id, "") => Some(id.to_owned()),
            (id, version) => Some(format!("{id}-{version}")),
        }
    }
}

/// A value without the quotes and backslashes of a shell.
fn unquote(value: &str) -> String {
    let inner =
        ['"', '\''].iter().find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let mut plain = String::new();
    let mut characters = inner.unwrap_or(value).chars();
    while let Some(c) = characters.next() {
        plain.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_of_os_release_are_a_shells() {
        let distro = Distro::parse(
            b"# a comment\nID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME='Debian \\\"x\\\"'\nNAME=no\n",
        );
        assert_eq!(distro.qualifier().as_deref(), Some("debian-12"));
        assert_eq!(distro.name, "Debian \"x\"");
        assert_eq!(Distro::parse(b"\xff=\n=\n").qualifier(), None);
    }
}
