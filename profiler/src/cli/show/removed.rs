//! What a minimization removed.

use std::io::{self, Write};

use ::profiler::profile::BytePath;
use serde::Serialize;

use super::super::terminal::printable;
use super::document::Report;

/// A removed path.
#[derive(Debug, Serialize)]
pub struct Removed {
    path: BytePath,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    /// The image it is not in.
    image: String,
}

/// All removed paths of the reports, the largest first.
pub fn largest_first(reports: Vec<Report>) -> Vec<Removed> {
    let mut all: Vec<Removed> = reports
        .into_iter()
        .flat_map(|report| {
            let image = report.output.reference;
            report.removed.into_iter().map(move |removed| Removed {
                path: removed.path,
                size: removed.size,
                package: removed.package,
                image: image.clone(),
            })
        })
        .collect();
    all.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
    all
}

/// A line a path.
pub fn table(all: &[Removed], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:>12}  {:<24}  path", "bytes", "package")?;
    for removed in all {
        let package = removed.package.as_deref().unwrap_or("-");
        let path = removed.path.to_string_lossy();
        writeln!(out, "{:>12}  {:<24}  {}", removed.size, printable(package), printable(&path))?;
    }
    Ok(())
}
