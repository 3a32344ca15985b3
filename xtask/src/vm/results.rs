//! What a guest writes to its second serial port: sections, as `xtask/vm/init.sh`
//! describes them.

use std::collections::BTreeMap;

/// How many lines of a failed step are shown.
const TAIL: usize = 30;

/// How many characters of a line.
const WIDTH: usize = 2000;

/// A section of a guest's results.
#[derive(Debug)]
pub struct Section<'a> {
    /// What its command said.
    pub text: &'a str,
    /// Exit status of its command; none when it did not end.
    pub status: Option<i32>,
}

/// The sections by name.
pub fn sections(results: &str) -> BTreeMap<&str, Section<'_>> {
    let mut sections = BTreeMap::new();
    let mut rest = results;
    while let Some((_, after)) = rest.split_once("@@ begin ") {
        let Some((name, body)) = after.split_once('\n') else { break };
        let end = format!("@@ end {name} ");
        // Not only at a line's beginning: output may lack its last newline.
        let (text, status, next) = match body.split_once(&end) {
            Some((text, after)) => {
                let (status, next) = after.split_once('\n').unwrap_or((after, ""));
                (text, status.split(' ').next().and_then(|status| status.parse().ok()), next)
            }
            None => (body, None, ""),
        };
        sections.insert(name, Section { text, status });
        rest = next;
    }
    sections
}

/// If the guest did not come to its end: that, and what it said last.
pub fn unfinished(results: &str) -> Option<String> {
    if results.lines().any(|line| line == "@@ done") {
        return None;
    }
    let begun = results.rfind("@@ begin ").map_or("", |at| &results[at..]);
    Some(format!("the guest did not come to its end:\n{}", tail(begun)))
}

/// The last lines of a text; of a long line (the verifier's log is one), its
/// beginning and its end.
pub fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL)..];
    last.iter().map(|line| shortened(line)).collect::<Vec<_>>().join("\n")
}

fn shortened(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    let start: String = line.chars().take(WIDTH / 4).collect();
    let mut end: Vec<char> = line.chars().rev().take(WIDTH / 4 * 3).collect();
    end.reverse();
    format!("{start} […] {}", end.into_iter().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_line_the_ends_are_shown() {
        assert_eq!(tail("a\nb\n"), "a\nb");
        let shown = tail(&format!("cause{}reason", "é".repeat(WIDTH)));
        assert!(shown.starts_with("cause") && shown.ends_with("reason"), "{shown}");
        assert!(shown.chars().count() < WIDTH + 10);
    }
}
