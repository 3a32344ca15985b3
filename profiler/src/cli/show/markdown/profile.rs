//! What was seen of an image.

use ::profiler::profile::{Profile, Run};

use super::ROWS;
use super::page::Align::{Left, Right};
use super::page::{Columns, Page};
use super::text::{code, count, number};

/// Adds a profile.
pub fn section(page: &mut Page, profile: &Profile) {
    page.paragraph(&format!("### Profile of {}", code(&profile.image.reference)));
    let runs = &profile.runs;
    let columns = Columns(&[
        ("command", Left),
        ("status", Left),
        ("containers", Right),
        ("events lost", Left),
        ("tier", Left),
    ]);
    let rows = runs.iter().map(|run| {
        vec![
            code(&run.command.join(" ")),
            status(run),
            number(run.containers.len() as u64),
            lost(run),
            code(&run.tier),
        ]
    });
    page.table(&columns, runs.len(), rows.take(ROWS));
    let dropped: u64 = runs.iter().map(|run| run.missing_dropped).sum();
    page.paragraph(&format!(
        "{} touched, {} looked up in vain",
        count(profile.paths.len(), "path"),
        count(
            profile.missing.len().saturating_add(usize::try_from(dropped).unwrap_or(usize::MAX)),
            "name"
        ),
    ));
    let why = profile.incomplete();
    let rows = why.iter().map(|why| vec![code(why)]);
    if !why.is_empty() {
        page.table(&Columns(&[("incomplete", Left)]), why.len(), rows.take(ROWS));
    }
}

fn status(run: &Run) -> String {
    match run.exit_status {
        Some(0) => "0".into(),
        Some(status) => format!("**{status}: failed**"),
        None if run.interrupted => "**interrupted**".into(),
        None => "recording".into(),
    }
}

fn lost(run: &Run) -> String {
    let causes = run.lost.by_cause().into_iter().filter(|(_, count)| *count > 0);
    let causes: Vec<String> =
        causes.map(|(cause, count)| format!("{} {}", code(cause), number(count))).collect();
    if causes.is_empty() { "0".into() } else { format!("**{}**", causes.join(", ")) }
}
