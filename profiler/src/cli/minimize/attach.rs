//! `--attach`: what goes with the image into a layout or registry.

use std::collections::BTreeMap;

use profiler::image::{self, Artifact, Reference};
use profiler::report::Report;
use profiler::sbom;

/// Media type of a report.
const REPORT: &str = "application/vnd.profiler-rs.report.v1+json";

/// Registered media types of the bills.
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
const SPDX: &str = "application/spdx+json";

/// What can be attached to the small image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Attachment {
    /// The report: the reason of every kept path, and every removed one.
    Plan,
    /// The bill of materials, CycloneDX.
    Sbom,
    /// The bill of materials, SPDX.
    Spdx,
}

/// Attaches what was asked for to the image just written; `bill` makes a bill
/// of materials of it.
pub fn attach(
    what: &[Attachment],
    output: &Reference,
    report: &Report,
    bill: impl Fn(sbom::Format) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<()> {
    if what.is_empty() {
        return Ok(());
    }
    let subject = image::subject(output)?;
    for attachment in what {
        let (artifact_type, bytes) = match attachment {
            Attachment::Plan => (REPORT, serde_json::to_vec(report)?),
            Attachment::Sbom => (CYCLONEDX, bill(sbom::Format::CycloneDx)?),
            Attachment::Spdx => (SPDX, bill(sbom::Format::Spdx)?),
        };
        let annotations = BTreeMap::new();
        let artifact = Artifact { artifact_type, bytes: &bytes, annotations: &annotations };
        image::attach(output, &subject, &artifact)?;
    }
    Ok(())
}
