//! CycloneDX 1.6, JSON.
//!
//! Format: <https://cyclonedx.org/docs/1.6/json/>. A package of which only a
//! part is there has properties that say so, and the same in words in
//! `pedigree.notes`, the place for how a component differs from the original.

use serde_json::{Value, json};

use super::{Component, Subject, TOOL, TOOL_VERSION};
use crate::packages::Presence;

/// What the program's own properties begin with.
const PREFIX: &str = "io.github.profiler-rs.profiler";

/// A bill of materials.
pub fn document(subject: &Subject, components: &[Component]) -> Value {
    let system = operating_system(subject);
    let listed: Vec<Value> = system.into_iter().chain(components.iter().map(component)).collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", subject.uuid("cyclonedx")),
        "version": 1,
        "metadata": {
            "timestamp": subject.created,
            "tools": {
                "components": [{ "type": "application", "name": TOOL, "version": TOOL_VERSION }],
            },
            "component": {
                "type": "container",
                "bom-ref": subject.purl(),
                "name": subject.name,
                "version": subject.digest,
                "purl": subject.purl(),
            },
            "properties": [property("source.digest", &subject.source)],
        },
        "components": listed,
    })
}

fn operating_system(subject: &Subject) -> Option<Value> {
    let distro = &subject.distro;
    let mut system = json!({
        "type": "operating-system",
        "bom-ref": format!("os:{}", distro.qualifier()?),
        "name": distro.id,
    });
    if !distro.version.is_empty() {
        system["version"] = distro.version.clone().into();
    }
    if !distro.name.is_empty() {
        system["description"] = distro.name.clone().into();
    }
    Some(system)
}

fn component(component: &Component) -> Value {
    let mut value = json!({
        "type": "library",
        "bom-ref": component.purl,
        "name": component.name,
        "version": component.version,
        "purl": component.purl,
    });
    if let Some(license) = &component.license {
        value["licenses"] = json!([{ "license": { "name": license } }]);
    }
    let state = match component.presence {
        Presence::Partial => "partial",
        Presence::Unknown => "unknown",
        Presence::Full | Presence::Removed => "full",
    };
    if let Some(remark) = component.remark() {
        value["pedigree"] = json!({ "notes": remark });
    }
    value["properties"] = json!([
        property("package.state", state),
        property("package.files.kept", &component.kept.to_string()),
        property("package.files.source", &component.of.to_string()),
    ]);
    value
}

fn property(name: &str, value: &str) -> Value {
    json!({ "name": format!("{PREFIX}:{name}"), "value": value })
}
