//! What came of every application, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::trial::{Failure, Outcome, Row, Size};

/// Paths of a list that are shown below the table; the JSON has all.
const SHOWN: usize = 12;

/// A table in Markdown, and below it what failed tests would need.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| application | source MB | result MB | share | files | kept | profile | minimize \
         | first test | restart | second test |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---|---|---|\n",
    );
    for row in rows {
        let _ = writeln!(
            text,
            "| {} | {:.1} | {:.1} | {:.1} % | {} | {} | {:.1} s | {:.1} s | {} | {} | {} |",
            row.name,
            megabytes(row.source),
            megabytes(row.result),
            row.result.bytes as f64 * 100.0 / row.source.bytes.max(1) as f64,
            row.source.files,
            row.result.files,
            row.profile.as_secs_f64(),
            row.minimize.as_secs_f64(),
            cell(&row.first),
            cell(&row.restart),
            cell(&row.second),
        );
    }
    for row in rows {
        for (test, outcome) in tests(row) {
            if let Some(failure) = &outcome.failure {
                text.push_str(&wanted(&row.name, test, failure));
            }
        }
    }
    text
}

/// The same as a JSON object; times in seconds, sizes in bytes.
pub fn json(rows: &[Row]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut object = json!({
                "name": row.name,
                "source": { "bytes": row.source.bytes, "files": row.source.files },
                "result": { "bytes": row.result.bytes, "files": row.result.files },
                "build_seconds": seconds(row.build),
                "profile_seconds": seconds(row.profile),
                "minimize_seconds": seconds(row.minimize),
            });
            for (test, outcome) in tests(row) {
                object[test] = json!({
                    "passed": outcome.failure.is_none(),
                    "seconds": seconds(outcome.time),
                });
                if let Some(failure) = &outcome.failure {
                    object[test]["held"] = json!(failure.held);
                    object[test]["passes_as_built"] = json!(failure.passes_as_built);
                    object[test]["looked_for_in_vain"] = json!(failure.wants.in_vain);
                    object[test]["touched_as_built"] = json!(failure.wants.touched);
                }
            }
            object
        })
        .collect();
    json!({ "applications": rows })
}

fn tests(row: &Row) -> [(&'static str, &Outcome); 3] {
    [("first", &row.first), ("restart", &row.restart), ("second", &row.second)]
}

fn cell(outcome: &Outcome) -> String {
    match &outcome.failure {
        None => format!("ok, {:.1} s", outcome.time.as_secs_f64()),
        Some(Failure { held: Some(held), .. }) => format!("FAIL ({held})"),
        Some(_) => "FAIL".to_owned(),
    }
}

fn wanted(name: &str, test: &str, failure: &Failure) -> String {
    let wants = &failure.wants;
    let mut text = format!("\n{name}, {test} test, of what was removed:\n");
    if !failure.passes_as_built {
        text = format!("\n{name}, {test} test: fails on the image as built too\n");
    }
    list(&mut text, "looked for in vain", &wants.in_vain);
    list(&mut text, "touched on the image as built", &wants.touched);
    text
}

fn list(text: &mut String, what: &str, paths: &[String]) {
    let _ = writeln!(text, "- {what}: {}", paths.len());
    for path in paths.iter().take(SHOWN) {
        let _ = writeln!(text, "  - {path}");
    }
    if paths.len() > SHOWN {
        let _ = writeln!(text, "  - and {} more", paths.len() - SHOWN);
    }
}

fn megabytes(size: Size) -> f64 {
    size.bytes as f64 / 1e6
}

/// To a hundredth.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn of_many_paths_the_first_dozen_is_shown_and_the_rest_counted() {
        let paths: Vec<String> = (0..13).map(|number| format!("/{number}")).collect();
        let shown = |paths| {
            let mut text = String::new();
            list(&mut text, "wanted", paths);
            text
        };
        assert!(shown(&paths[..12]).ends_with("  - /11\n"));
        assert!(shown(&paths).ends_with("  - /11\n  - and 1 more\n"));
    }
}
