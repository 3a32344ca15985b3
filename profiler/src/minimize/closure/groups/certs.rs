//! Certificate authorities.

use super::keep_all;
use crate::minimize::Group;
use crate::minimize::keep::Keeper;

/// Bundles: every authority in one file. Go's `crypto/x509/root_linux.go`
/// tries much the same list.
pub const BUNDLES: [&str; 10] = [
    // Debian, Alpine, Arch
    "/etc/ssl/certs/ca-certificates.crt",
    // OpenSSL's default, a link to the one above: Debian; Alpine and others;
    // built from source
    "/usr/lib/ssl/cert.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/ssl/cert.pem",
    // Fedora and its kin
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    // openSUSE
    "/etc/ssl/ca-bundle.pem",
    "/var/lib/ca-certificates/ca-bundle.pem",
    // FreeBSD's and Nix' name for it
    "/etc/ssl/certs/ca-bundle.crt",
];

/// The same for Java.
const JAVA: [&str; 4] = [
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
    let java = keep_all(keeper, &JAVA, Group::Certs);
    keep_all(keeper, &DIRECTORIES, Group::Certs) || bundles || java
}
