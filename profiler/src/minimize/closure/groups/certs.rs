//! Certificate authorities.

use super::keep_all;
use crate::minimize::Group;
use crate::minimize::keep::Keeper;

/// Bundles: every authority in one file. Go's `crypto/x509/root_linux.go`
/// tries much the same list.
pub const BUNDLES: [&str; 11] = [
    // Debian, Alpine, Arch
    "/etc/ssl/certs/ca-certificates.crt",
    // Alpine and others, OpenSSL's default
    "/etc/ssl/cert.pem",
    // Fedora and its kin
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    // openSUSE
    "/etc/ssl/ca-bundle.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
    // Java
    "/etc/ssl/certs/java/cacerts",
    "/etc/pki/java/cacerts",
    "/etc/pki/ca-trust/extracted/java/cacerts",
    "/var/lib/ca-certificates/java-cacerts",
];

/// Directories of single certificates, named by the hash of their subject.
const DIRECTORIES: [&str; 5] = [
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/var/lib/ca-certificates",
    "/usr/local/share/ca-certificates",
];

/// Keeps bundles, and the directories with what their links lead to.
pub fn keep(keeper: &mut Keeper<'_>) -> bool {
    let bundles = keep_all(keeper, &BUNDLES, Group::Certs);
    keep_all(keeper, &DIRECTORIES, Group::Certs) || bundles
}
