//! Package URLs.
//!
//! Format: the purl specification's types `deb`, `apk` and `rpm`. `upstream`
//! is Syft's qualifier for the source package, by which Grype finds what is
//! known of it.

use packageurl::PackageUrl;

use super::{Distro, Manager, Package};

/// The URL of a package, none when it has no name.
pub fn purl(package: &Package, distro: &Distro) -> Option<String> {
    let (kind, default) = match package.manager {
        Manager::Dpkg => ("deb", "debian"),
        Manager::Apk => ("apk", "alpine"),
        Manager::Rpm => ("rpm", "redhat"),
    };
    let mut purl = PackageUrl::new(kind, package.name.as_str()).ok()?;
    purl.with_namespace(if distro.id.is_empty() { default } else { &distro.id }).ok()?;
    purl.with_version(package.version.as_str()).ok()?;
    let upstream = package.source.as_deref().map(|source| match source.split_once(" (") {
        // Debian's spelling of a source whose version is another.
        Some((name, version)) => format!("{name}@{}", version.trim_end_matches(')')),
        None => source.to_owned(),
    });
    let epoch = package.epoch.filter(|&epoch| epoch > 0).map(|epoch| epoch.to_string());
    let qualifiers = [
        ("arch", Some(package.architecture.clone()).filter(|text| !text.is_empty())),
        ("distro", distro.qualifier()),
        ("epoch", epoch),
        ("upstream", upstream),
    ];
    for (key, value) in qualifiers {
        if let Some(value) = value {
            purl.add_qualifier(key, value).ok()?;
        }
    }
    Some(purl.to_string())
}
