//! PHP: the `.ini` files that load a kept extension, of every server API:
//! a test of the one need not have started the other.
//!
//! ```text
//! /usr/lib/php/20220829/curl.so
//! /etc/php/8.2/{cli,fpm}/conf.d/20-curl.ini -> /etc/php/8.2/mods-available/…
//! /usr/local/etc/php/conf.d/docker-php-ext-curl.ini      Docker's own image
//! /etc/php.d/20-curl.ini                                 Fedora
//! /etc/php82/conf.d/00_curl.ini                          Alpine
//! ```

use std::collections::BTreeMap;

use super::{shown, split};
use crate::image::{NodeId, Tree};
use crate::minimize::keep::{Keeper, Rule};

/// Settings by the extension they are for.
pub struct Settings(BTreeMap<Vec<u8>, Vec<NodeId>>);

impl Settings {
    /// Looks for them by name, below `etc`.
    pub fn new(tree: &Tree<'_>) -> Self {
        let mut settings: BTreeMap<Vec<u8>, Vec<NodeId>> = BTreeMap::new();
        for etc in ["/etc", "/usr/local/etc", "/opt"] {
            let mut pending: Vec<NodeId> = tree.lookup(etc.as_bytes()).into_iter().collect();
            while let Some(id) = pending.pop() {
                pending.extend(tree.children(id));
                let Some(stem) = tree.node(id).name.strip_suffix(b".ini") else { continue };
                let directory = tree.path(tree.node(id).parent);
                let scanned = matches!(split(&directory).1, b"conf.d" | b"php.d");
                if scanned && directory.windows(3).any(|part| part == b"php") {
                    settings.entry(extension_of(stem)).or_default().push(id);
                }
            }
        }
        Self(settings)
    }

    /// Keeps what loads a kept extension.
    pub fn keep(&self, keeper: &mut Keeper<'_>, path: &[u8]) {
        let (directory, name) = split(path);
        let Some(extension) = name.strip_suffix(b".so") else { return };
        if !directory.windows(3).any(|part| part == b"php") {
            return;
        }
        for &id in self.0.get(extension).into_iter().flatten() {
            let detail = format!("loads PHP extension {}", shown(path));
            let path = keeper.tree.path(id);
            keeper.keep_present(&path, Rule::Php, &detail);
        }
    }
}

/// Without the number that puts the files in order, and Docker's prefix.
fn extension_of(stem: &[u8]) -> Vec<u8> {
    let stem = stem.strip_prefix(b"docker-php-ext-").unwrap_or(stem);
    let digits = stem.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = match stem.get(digits) {
        Some(b'-' | b'_') if digits > 0 => &stem[digits + 1..],
        _ => stem,
    };
    rest.to_vec()
}
