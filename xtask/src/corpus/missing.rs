//! What a test that failed on a small image looked for in vain.

use std::collections::BTreeSet;

use serde_json::Value;

/// Names that a profile of the small image has as missing and that a
/// minimization's report has as removed.
pub fn names(profile: &Value, report: &Value) -> Vec<String> {
    let removed: BTreeSet<&str> = strings(&report["removed"], "path").collect();
    let looked_for: BTreeSet<&str> = strings(&profile["missing"], "name").collect();
    let there = looked_for.into_iter().filter(|&name| {
        removed.contains(name)
            // Names are as programs spoke them: /lib and the like are links.
            || removed.contains(format!("/usr{name}").as_str())
    });
    there.map(str::to_owned).collect()
}

/// A field of each object in a list, where it is text.
fn strings<'a>(list: &'a Value, field: &'static str) -> impl Iterator<Item = &'a str> {
    list.as_array().into_iter().flatten().filter_map(move |entry| entry[field].as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::names;

    #[test]
    fn what_was_looked_for_and_removed_is_missing_and_nothing_else() {
        let profile = json!({ "missing": [
            { "name": "/etc/removed" },
            { "name": "/etc/never-there" },
            { "name": "/lib/by-a-link.so" },
        ] });
        let report = json!({ "removed": [
            { "path": "/etc/removed" },
            { "path": "/etc/not-looked-for" },
            { "path": "/usr/lib/by-a-link.so" },
        ] });
        assert_eq!(names(&profile, &report), ["/etc/removed", "/lib/by-a-link.so"]);
    }
}
