//! What came of every application, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::trial::{Outcome, Row, Size};

/// Names of a failed test that the table shows; the JSON has all.
const SHOWN: usize = 12;

/// A table in Markdown, and below it what failed tests looked for.
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
            if !outcome.passed {
                let _ = write!(text, "\n{}", failure(&row.name, test, outcome));
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
                    "passed": outcome.passed,
                    "seconds": seconds(outcome.time),
                    "held": outcome.held,
                    "missing": outcome.missing,
                    "passes_on_source": outcome.passes_on_source,
                });
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
    if outcome.passed {
        format!("ok, {:.1} s", outcome.time.as_secs_f64())
    } else {
        let held = outcome.held.as_deref().map(|held| format!(" ({held})"));
        format!("FAIL{}", held.unwrap_or_default())
    }
}

fn failure(name: &str, test: &str, outcome: &Outcome) -> String {
    let mut text = format!("{name}, {test} test: ");
    text.push_str(match outcome.passes_on_source {
        Some(false) => "fails on the image as built too",
        _ if outcome.missing.is_empty() => "nothing of the image was looked for in vain",
        _ => "looked for in vain",
    });
    text.push('\n');
    for name in outcome.missing.iter().take(SHOWN) {
        let _ = writeln!(text, "- {name}");
    }
    if let Some(more) = outcome.missing.len().checked_sub(SHOWN + 1) {
        let _ = writeln!(text, "- and {} more", more + 1);
    }
    text
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
    use super::{Outcome, failure};

    fn failed(missing: usize) -> String {
        let missing = (0..missing).map(|number| format!("/{number}")).collect();
        let outcome = Outcome {
            passed: false,
            time: std::time::Duration::ZERO,
            held: None,
            missing,
            passes_on_source: Some(true),
        };
        failure("app", "second", &outcome)
    }

    #[test]
    fn of_many_missing_names_the_first_dozen_is_shown_and_the_rest_counted() {
        assert!(failed(12).ends_with("- /11\n"));
        assert!(failed(13).ends_with("- /11\n- and 1 more\n"));
    }
}
