//! SPDX 2.3, JSON.
//!
//! Format: <https://spdx.github.io/spdx-spec/v2.3/>. A package of which only a
//! part is there says so in its comment, and in an annotation.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Component, Subject, TOOL, TOOL_VERSION};

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";

/// A bill of materials.
pub fn document(subject: &Subject, components: &[Component]) -> Value {
    let tool = format!("Tool: {TOOL}-{TOOL_VERSION}");
    let mut packages = vec![image(subject)];
    let mut relationships = vec![relationship(DOCUMENT, "DESCRIBES", IMAGE)];
    let mut taken = BTreeSet::new();
    for component in components {
        let id = identifier(component, &mut taken);
        relationships.push(relationship(IMAGE, "CONTAINS", &id));
        packages.push(package(component, &id, &tool, &subject.created));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": subject.name,
        "documentNamespace": subject.address("spdx"),
        "creationInfo": { "created": subject.created, "creators": [tool] },
        "packages": packages,
        "relationships": relationships,
    })
}

fn image(subject: &Subject) -> Value {
    let mut image = json!({
        "SPDXID": IMAGE,
        "name": subject.name,
        "versionInfo": subject.digest,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "CONTAINER",
        "externalRefs": [purl(&subject.purl())],
        "comment": format!("minimized from the image {}", subject.source),
    });
    if let Some(hash) = subject.digest.strip_prefix("sha256:") {
        image["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": hash }]);
    }
    if !subject.distro.name.is_empty() {
        image["description"] = subject.distro.name.clone().into();
    }
    image
}

fn package(component: &Component, id: &str, tool: &str, date: &str) -> Value {
    let mut package = json!({
        "SPDXID": id,
        "name": component.name,
        "versionInfo": component.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [purl(&component.purl)],
    });
    if let Some(license) = &component.license {
        // Distributions' spellings need not be SPDX expressions.
        package["licenseComments"] = format!("the package database says: {license}").into();
    }
    if let Some(remark) = component.remark() {
        package["comment"] = remark.clone().into();
        package["annotations"] = json!([{
            "annotationDate": date,
            "annotationType": "OTHER",
            "annotator": tool,
            "comment": remark,
        }]);
    }
    package
}

fn purl(purl: &str) -> Value {
    json!({
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": purl,
    })
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

/// An identifier of letters, digits, dots and hyphens; a number sets those
/// apart that would be the same.
fn identifier(component: &Component, taken: &mut BTreeSet<String>) -> String {
    let kind = component.purl.trim_start_matches("pkg:").split('/').next().unwrap_or_default();
    let plain: String = format!("{kind}-{}-{}", component.name, component.version)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    let candidates = (1..).map(|number| match number {
        1 => format!("SPDXRef-Package-{plain}"),
        number => format!("SPDXRef-Package-{plain}-{number}"),
    });
    let free = candidates.into_iter().find(|id| taken.insert(id.clone()));
    free.unwrap_or_default()
}
