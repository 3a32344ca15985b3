//! What a scanner found in the source image: vulnerabilities and the packages
//! of the distribution that have them.
//!
//! Formats: the JSON of Grype (`matches`) and of Trivy (`Results`).

use serde_json::Value;

use crate::packages::Manager;

/// A vulnerability of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Its name: `CVE-…`, `GHSA-…`.
    pub vulnerability: String,
    /// Whose package; none for packages of languages and others that no
    /// distribution's database has.
    pub manager: Option<Manager>,
    /// The package.
    pub package: String,
    /// Its version.
    pub version: String,
}

/// Why there are no findings.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScanError {
    /// No JSON.
    #[error("it is no JSON: {0}")]
    Json(String),
    /// Another document.
    #[error("it is neither Grype's JSON (no \"matches\") nor Trivy's (no \"Results\")")]
    Unknown,
}

/// Reads a scanner's findings, in order and each once.
///
/// # Errors
/// See [`ScanError`].
pub fn parse(bytes: &[u8]) -> Result<Vec<Finding>, ScanError> {
    let document: Value =
        serde_json::from_slice(bytes).map_err(|error| ScanError::Json(error.to_string()))?;
    let mut findings = match (&document["matches"], &document["Results"]) {
        (Value::Array(matches), _) => matches.iter().filter_map(grype).collect(),
        (_, Value::Array(results)) => results.iter().flat_map(trivy).collect(),
        // Trivy leaves the key out when there is nothing to tell.
        _ if document["SchemaVersion"].is_number() => Vec::new(),
        _ => return Err(ScanError::Unknown),
    };
    findings.sort();
    findings.dedup();
    Ok(findings)
}

fn grype(found: &Value) -> Option<Finding> {
    let artifact = &found["artifact"];
    let manager = match artifact["type"].as_str() {
        Some("deb") => Some(Manager::Dpkg),
        Some("apk") => Some(Manager::Apk),
        Some("rpm") => Some(Manager::Rpm),
        _ => None,
    };
    Some(Finding {
        vulnerability: found["vulnerability"]["id"].as_str()?.to_owned(),
        manager,
        package: artifact["name"].as_str()?.to_owned(),
        version: artifact["version"].as_str()?.to_owned(),
    })
}

fn trivy(result: &Value) -> Vec<Finding> {
    let of_distribution = result["Class"] == "os-pkgs";
    let found = result["Vulnerabilities"].as_array().into_iter().flatten();
    found
        .filter_map(|found| {
            let purl = found["PkgIdentifier"]["PURL"].as_str();
            let kind = purl.and_then(|purl| purl.strip_prefix("pkg:")?.split('/').next());
            let manager = match (of_distribution, kind) {
                (true, Some("deb")) => Some(Manager::Dpkg),
                (true, Some("apk")) => Some(Manager::Apk),
                (true, Some("rpm")) => Some(Manager::Rpm),
                _ => None,
            };
            Some(Finding {
                vulnerability: found["VulnerabilityID"].as_str()?.to_owned(),
                manager,
                package: found["PkgName"].as_str()?.to_owned(),
                version: found["InstalledVersion"].as_str()?.to_owned(),
            })
        })
        .collect()
}
