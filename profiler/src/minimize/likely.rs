//! Which contents of an image will be read, told before the image is opened.

use std::collections::HashSet;

use crate::profile::Profile;

/// Contents up to this size are always at hand: the rules look at many small
/// files, and together they are a small part of an image.
const SMALL: u64 = 128 << 10;

/// Where the files lie that rules look at and edit, such as package
/// databases, bundles of certificates and locales.
const PLACES: [&[u8]; 5] =
    [b"etc/", b"var/lib/", b"usr/lib/sysimage/", b"lib/apk/", b"usr/lib/locale/"];

/// A guess, for [`OpenOptions::likely`](crate::image::OpenOptions::likely):
/// what was touched, and what the rules look at. A wrong one costs time only.
pub fn likely(profiles: &[Profile]) -> impl Fn(&[u8], u64) -> bool + Sync + use<> {
    let touched: HashSet<Vec<u8>> = profiles
        .iter()
        .flat_map(|profile| &profile.paths)
        .map(|entry| entry.path.as_bytes().strip_prefix(b"/").unwrap_or_default().to_vec())
        .collect();
    move |path, size| {
        size <= SMALL
            || PLACES.iter().any(|place| path.starts_with(place))
            || touched.contains(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_are_likely_only_if_touched_or_looked_at_by_rules() {
        let likely = likely(&[]);
        assert!(likely(b"usr/share/doc/small", SMALL));
        assert!(!likely(b"usr/bin/gcc", SMALL + 1));
        assert!(likely(b"var/lib/dpkg/status", 1 << 30));
    }
}
