//! `--attach`: what goes with the image into a layout or registry.

use std::collections::BTreeMap;

use profiler::image::{self, Artifact, Reference};
use profiler::report::Report;

/// Media type of a report.
const REPORT: &str = "application/vnd.profiler-rs.report.v1+json";

/// What can be attached to the small image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Attachment {
    /// The report: the reason of every kept path, and every removed one.
    Plan,
}

/// Attaches what was asked for to the image just written.
pub fn attach(what: &[Attachment], output: &Reference, report: &Report) -> anyhow::Result<()> {
    if what.is_empty() {
        return Ok(());
    }
    let subject = image::subject(output)?;
    for attachment in what {
        let (artifact_type, bytes) = match attachment {
            Attachment::Plan => (REPORT, serde_json::to_vec(report)?),
        };
        let annotations = BTreeMap::new();
        let artifact = Artifact { artifact_type, bytes: &bytes, annotations: &annotations };
        image::attach(output, &subject, &artifact)?;
    }
    Ok(())
}
