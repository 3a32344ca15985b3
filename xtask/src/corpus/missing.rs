//! Why a test failed on a small image: what it looked for in vain there, and
//! what it touches on the image as built.

use std::collections::BTreeSet;

use serde_json::Value;

/// What a failed test wants of what was removed.
#[derive(Debug, Default)]
pub struct Wants {
    /// Names it looked for on the small image.
    pub in_vain: Vec<String>,
    /// Paths it touches on the image as built. There may be more of them than
    /// names: a program that lists a directory first does not ask for what is
    /// not in it, and one that failed did not come to the rest.
    pub touched: Vec<String>,
}

impl Wants {
    /// From profiles of the small image and of the image as built, and from
    /// the report of the minimization.
    pub fn of(small: &Value, built: &Value, report: &Value) -> Self {
        let removed: BTreeSet<&str> = strings(&report["removed"], "path").collect();
        let looked_for: BTreeSet<&str> = strings(&small["missing"], "name").collect();
        let touched: BTreeSet<&str> = strings(&built["paths"], "path").collect();
        let was_there = |name: &&str| {
            removed.contains(name)
                // Names are as programs spoke them: /lib and the like are links.
                || removed.contains(format!("/usr{name}").as_str())
        };
        Self {
            in_vain: looked_for.into_iter().filter(was_there).map(str::to_owned).collect(),
            touched: touched.intersection(&removed).map(|&path| path.to_owned()).collect(),
        }
    }
}

/// A field of each object in a list, where it is text.
fn strings<'a>(list: &'a Value, field: &'static str) -> impl Iterator<Item = &'a str> {
    list.as_array().into_iter().flatten().filter_map(move |entry| entry[field].as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Wants;

    #[test]
    fn what_a_test_wants_is_what_it_asks_for_and_what_was_removed() {
        let small = json!({ "missing": [
            { "name": "/etc/removed" },
            { "name": "/etc/never-there" },
            { "name": "/lib/by-a-link.so" },
        ] });
        let built = json!({ "paths": [
            { "path": "/etc/kept" },
            { "path": "/etc/removed" },
            { "path": "/tmp/made-at-run-time" },
            { "path": "/usr/share/found-by-listing" },
        ] });
        let report = json!({ "removed": [
            { "path": "/etc/not-asked-for" },
            { "path": "/etc/removed" },
            { "path": "/usr/lib/by-a-link.so" },
            { "path": "/usr/share/found-by-listing" },
        ] });
        let wants = Wants::of(&small, &built, &report);
        assert_eq!(wants.in_vain, ["/etc/removed", "/lib/by-a-link.so"]);
        assert_eq!(wants.touched, ["/etc/removed", "/usr/share/found-by-listing"]);
    }
}
