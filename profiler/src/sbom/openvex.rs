//! OpenVEX 0.2.0: which vulnerabilities of the source image cannot concern the
//! small one, because nothing of the package that has them is in it.
//!
//! Format: <https://github.com/openvex/spec>. A statement needs the name of a
//! vulnerability, and this program knows none: they come from a scan of the
//! source image. Only `component_not_present` is ever said. That code was not
//! seen to run is no reason to call it unreachable, so nothing is said of a
//! package of which a single file is left, nor of a vulnerability that another
//! package shares of which one is: not every reader minds subcomponents.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::vulnerabilities::Finding;
use super::{Subject, TOOL, TOOL_VERSION};
use crate::minimize::Plan;
use crate::packages::{Inventory, Package, Presence, purl};

/// A document with a statement for every vulnerability whose packages are all
/// gone, in order.
pub fn document(
    subject: &Subject,
    inventory: &Inventory,
    plan: &Plan,
    findings: &[Finding],
) -> Value {
    let statements: Vec<Value> = gone(inventory, plan, findings)
        .into_iter()
        .map(|(vulnerability, packages)| {
            let subcomponents: Vec<Value> =
                packages.into_iter().map(|purl| json!({ "@id": purl })).collect();
            json!({
                "vulnerability": { "name": vulnerability },
                "products": [{ "@id": subject.purl(), "subcomponents": subcomponents }],
                "status": "not_affected",
                "justification": "component_not_present",
                "impact_statement": "no file that the package database lists for the package is in the image",
            })
        })
        .collect();
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": subject.address("openvex"),
        "author": format!("{TOOL} {TOOL_VERSION}"),
        "timestamp": subject.created,
        "version": 1,
        "statements": statements,
    })
}

/// Vulnerabilities whose packages are all gone, with those packages' URLs.
fn gone(
    inventory: &Inventory,
    plan: &Plan,
    findings: &[Finding],
) -> BTreeMap<String, BTreeSet<String>> {
    let mut gone: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut left = BTreeSet::new();
    for finding in findings {
        let vulnerability = &finding.vulnerability;
        let packages: Vec<usize> = (0..inventory.packages.len())
            .filter(|&index| names(finding, &inventory.packages[index]))
            .collect();
        let absent = |&index: &usize| inventory.presence(index, plan) == Presence::Removed;
        // What no database lists is not known to be gone.
        if packages.is_empty() || !packages.iter().all(absent) {
            left.insert(vulnerability);
            continue;
        }
        let urls = packages.iter().filter_map(|&i| purl(&inventory.packages[i], &inventory.distro));
        gone.entry(vulnerability.clone()).or_default().extend(urls);
    }
    gone.retain(|vulnerability, urls| !left.contains(vulnerability) && !urls.is_empty());
    gone
}

/// Whether a finding is about this package: of all its architectures.
fn names(finding: &Finding, package: &Package) -> bool {
    finding.manager == Some(package.manager)
        && finding.package == package.name
        && [package.version.clone(), package.full_version(), format!("0:{}", package.version)]
            .contains(&finding.version)
}
