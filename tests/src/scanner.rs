//! Syft, and validators: what strangers find in an image.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::engine::output;

/// Where `cargo xtask` installs the Python packages of the tests.
pub fn python_packages() -> PathBuf {
    let directory = std::env::var_os("PROFILER_TEST_PYTHON");
    directory.expect("PROFILER_TEST_PYTHON is set by `cargo xtask test`").into()
}

/// A Python that finds them.
pub fn python() -> Command {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", python_packages());
    python
}

/// What Syft finds in an image.
#[derive(Debug)]
pub struct Scan {
    /// `ID-VERSION_ID` of the distribution; empty when Syft names none.
    pub distro: String,
    /// Packages of the distribution, each `TYPE NAME VERSION`.
    pub packages: BTreeSet<String>,
    /// Names of packages of every kind, each `TYPE NAME`.
    pub all: BTreeSet<String>,
}

impl Scan {
    /// Scans `docker:NAME` or `oci-dir:DIRECTORY`.
    #[track_caller]
    pub fn of(image: &str) -> Self {
        Self::by(&["scan", image])
    }

    /// Has Syft read a bill of materials.
    #[track_caller]
    pub fn of_bill(file: &Path) -> Self {
        Self::by(&["convert", file.to_str().expect("a name in UTF-8")])
    }

    #[track_caller]
    fn by(arguments: &[&str]) -> Self {
        let text = output(
            python()
                .arg(python_packages().join("bin/syft"))
                .args(arguments)
                .args(["--quiet", "--output", "json"])
                .env("SYFT_CHECK_FOR_APP_UPDATE", "false"),
        );
        let found: Value = serde_json::from_str(&text).expect("Syft's JSON");
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let distro = &found["distro"];
        let mut scan = Self {
            distro: format!("{}-{}", text(distro, "id"), text(distro, "versionID"))
                .trim_matches('-')
                .to_owned(),
            packages: BTreeSet::new(),
            all: BTreeSet::new(),
        };
        for artifact in found["artifacts"].as_array().expect("artifacts") {
            let (kind, name) = (text(artifact, "type"), text(artifact, "name"));
            if ["deb", "apk", "rpm"].contains(&kind.as_str()) {
                scan.packages.insert(format!("{kind} {name} {}", text(artifact, "version")));
            }
            scan.all.insert(format!("{kind} {name}"));
        }
        scan
    }

    /// Names of the distribution's packages.
    pub fn names(&self) -> BTreeSet<&str> {
        self.packages.iter().filter_map(|package| package.split(' ').nth(1)).collect()
    }
}

/// Runs a Python program on a file; panics when it fails.
#[track_caller]
pub fn validate(program: &str, file: &Path) {
    output(python().args(["-c", program]).arg(file));
}
