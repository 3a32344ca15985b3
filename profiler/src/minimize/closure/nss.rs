//! Name service modules, which libc opens for `getpwnam`, `getaddrinfo` and
//! the like: those that `nsswitch.conf` names, nsswitch.conf(5).
//!
//! Since glibc 2.34 `files` and `dns` are in libc itself. That version also
//! is the first whose `libc.so.6` is a file; before, it is a link to
//! `libc-2.33.so` and the like. So the link tells whether they are needed.

use super::text::read_lossy;
use crate::image::{NodeKind, Tree};
use crate::minimize::keep::{Keeper, Rule};

/// What libc's resolver reads when it first looks up a name, a service or a
/// protocol.
const RESOLVER: [&str; 4] = ["/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols"];

/// Keeps the resolver's files; some 20 kB.
pub fn keep_resolver(keeper: &mut Keeper<'_>) {
    for path in RESOLVER {
        keeper.keep_present(path.as_bytes(), Rule::Nss, "read by libc's resolver");
    }
}

/// What holds where the file or a database in it is missing.
const DEFAULT: [&str; 2] = ["files", "dns"];

/// Names of the modules' libraries, with the reason for each, for the libc
/// that was found at a path.
pub fn modules(tree: &Tree<'_>, libc: &[u8]) -> Vec<(Vec<u8>, String)> {
    let built_in = tree
        .walk(libc, false)
        .end
        .is_some_and(|libc| !matches!(tree.node(libc).kind, NodeKind::Symlink(_)));
    let conf = read_lossy(tree, b"/etc/nsswitch.conf");
    let default = "name service that libc takes by default";
    let mut services: Vec<(String, String)> =
        DEFAULT.iter().map(|&name| (name.to_owned(), default.to_owned())).collect();
    for line in conf.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((database, sources)) = line.split_once(':') else { continue };
        let detail = format!("name service for {} in /etc/nsswitch.conf", database.trim());
        for service in without_actions(sources).split_whitespace() {
            if !services.iter().any(|(name, _)| name == service) {
                services.push((service.to_owned(), detail.clone()));
            }
        }
    }
    services
        .into_iter()
        .filter(|(name, _)| !(built_in && DEFAULT.contains(&name.as_str())))
        .map(|(name, detail)| (format!("libnss_{name}.so.2").into_bytes(), detail))
        .collect()
}

/// Without `[NOTFOUND=return]` and the like.
fn without_actions(sources: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for character in sources.chars() {
        match character {
            '[' => depth += 1,
            ']' => {
                depth = depth.saturating_sub(1);
                plain.push(' ');
            }
            _ if depth == 0 => plain.push(character),
            _ => {}
        }
    }
    plain
}
