//! Groups of files that are asked for by name.

use std::fmt;
use std::str::FromStr;

use super::closure::groups;
use super::keep::Keeper;

/// Files that belong together, whatever the image's distribution calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// `/bin/sh` and the shells of `/etc/shells`.
    Shell,
    /// Certificate authorities: bundles, and directories of single ones.
    Certs,
    /// The whole time zone database.
    Zoneinfo,
    /// Every locale and message catalogue.
    Locale,
    /// Every name service module, and the tables they read.
    Nss,
    /// Every character set conversion of glibc.
    Gconv,
    /// Descriptions of terminals.
    Terminfo,
    /// Package databases, as they stand.
    Packages,
    /// Copyright files and licence texts.
    Licenses,
}

impl Group {
    /// All groups, in the order they are shown.
    pub const ALL: [Self; 9] = [
        Self::Shell,
        Self::Certs,
        Self::Zoneinfo,
        Self::Locale,
        Self::Nss,
        Self::Gconv,
        Self::Terminfo,
        Self::Packages,
        Self::Licenses,
    ];

    /// The name it is asked for by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Certs => "certs",
            Self::Zoneinfo => "zoneinfo",
            Self::Locale => "locale",
            Self::Nss => "nss",
            Self::Gconv => "gconv",
            Self::Terminfo => "terminfo",
            Self::Packages => "packages",
            Self::Licenses => "licenses",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// No group has that name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no group of files is called {0}; there are {known}", known = Group::ALL.map(Group::name).join(", "))]
pub struct UnknownGroup(String);

impl FromStr for Group {
    type Err = UnknownGroup;

    fn from_str(name: &str) -> Result<Self, UnknownGroup> {
        Self::ALL
            .into_iter()
            .find(|group| group.name() == name)
            .ok_or_else(|| UnknownGroup(name.to_owned()))
    }
}

/// Keeps a group's files; false when the image has none.
pub fn keep(keeper: &mut Keeper<'_>, group: Group) -> bool {
    match group {
        Group::Shell => groups::shell::keep(keeper),
        Group::Certs => groups::certs::keep(keeper),
        Group::Zoneinfo => groups::zoneinfo::keep(keeper),
        Group::Locale => groups::locale::keep(keeper),
        Group::Nss => groups::nss::keep(keeper),
        Group::Gconv => groups::gconv::keep(keeper),
        Group::Terminfo => groups::keep_all(keeper, &groups::TERMINFO, group),
        Group::Packages => groups::keep_all(keeper, &groups::PACKAGES, group),
        Group::Licenses => groups::licenses::keep(keeper),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_is_known_by_its_name_and_others_are_told_the_names() {
        for group in Group::ALL {
            assert_eq!(group.to_string().parse(), Ok(group));
        }
        let error = "shells".parse::<Group>().unwrap_err().to_string();
        assert!(error.contains("shells") && error.contains("zoneinfo"), "{error}");
    }
}
