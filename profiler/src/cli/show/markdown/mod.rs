//! Reports and profiles as Markdown, for the summary of a CI job.
//!
//! Every name in them is somebody else's: it is shown as code that is
//! nothing else (see [`text`]), and the whole stays below a limit whatever
//! they hold (see [`page`]).

mod page;
mod profile;
mod report;
mod text;

use super::document::Document;
use page::Page;

/// Bytes of a page. GitHub drops a summary above 1 MiB; the rest is for what
/// others add to it.
pub const LIMIT: usize = 1_000_000;

/// Rows of a list: what more there is, the report has.
const ROWS: usize = 25;

/// All of it, results before profiles; `failed` says why there is no result.
pub fn page(documents: Vec<Document>, failed: Option<&str>, limit: usize) -> String {
    let mut page = Page::new(limit);
    if let Some(why) = failed {
        page.paragraph(&format!("### No image was made\n\n{}", text::code(why)));
    }
    let (mut reports, mut profiles) = (Vec::new(), Vec::new());
    for document in documents {
        match document {
            Document::Reports(several) => reports.extend(several),
            Document::Profile(profile) => profiles.push(profile),
        }
    }
    reports.iter().for_each(|one| report::section(&mut page, one));
    profiles.iter().for_each(|one| profile::section(&mut page, one));
    page.finish()
}

#[cfg(test)]
mod tests;
