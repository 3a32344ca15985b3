//! A job of a GitLab file, as its runner's shell executor runs it. Source:
//! GitLab's documentation, "CI/CD YAML syntax reference".

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::user::User;
use super::{text, texts};
use crate::program::Outcome;

/// What a job may say; anything else this runner does not know.
const JOB: [&str; 5] = ["variables", "before_script", "script", "after_script", "artifacts"];

/// Runs a job in a checkout; `variables` are those of the job that extends
/// it, and the runner's. Says what the scripts did, before and after together.
#[track_caller]
pub fn run(job: &Value, checkout: &Path, variables: &[(&str, &str)]) -> (Outcome, Outcome) {
    for key in job.as_object().expect("a job is a mapping").keys() {
        assert!(JOB.contains(&key.as_str()), "this runner does not know {key}");
    }
    let own = texts(&job["variables"]);
    for (name, value) in &own {
        assert!(!value.contains('$'), "this runner expands nothing, as in {name}");
    }
    for (name, _) in variables {
        let known = own.iter().any(|(known, _)| known == name);
        assert!(known, "the template has no variable {name}");
    }
    let shell = |name: &str, parts: &[&str]| {
        let lines: Vec<String> = parts.iter().flat_map(|&part| lines(&job[part])).collect();
        let script = checkout.with_file_name(name);
        fs::write(&script, format!("set -eo pipefail\n{}\n", lines.join("\n"))).expect("a script");
        let arguments = ["bash", script.to_str().expect("a path in UTF-8")];
        let mut command = User::Root.command(&arguments);
        command
            .current_dir(checkout)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", std::env::var_os("HOME").unwrap_or_default())
            .env("CI", "true")
            .env("GITLAB_CI", "true")
            .env("CI_PROJECT_DIR", checkout)
            .envs(own.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().copied());
        Outcome::of(&mut command)
    };
    // Two shells: what the first sets is gone in the second.
    let first = shell("script.sh", &["before_script", "script"]);
    (first, shell("after.sh", &["after_script"]))
}

/// The artefacts that a job leaves, where they are; reports with them.
#[track_caller]
pub fn artifacts(job: &Value, checkout: &Path) -> Vec<PathBuf> {
    let artifacts = &job["artifacts"];
    let reports = texts(&artifacts["reports"]).into_iter().map(|(_, path)| path);
    lines(&artifacts["paths"]).into_iter().chain(reports).map(|path| checkout.join(path)).collect()
}

#[track_caller]
fn lines(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(text).collect()
}
