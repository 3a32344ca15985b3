//! A composite action's steps, as GitHub's runner runs them. Sources: GitHub's
//! documentation, "Metadata syntax for GitHub Actions" and "Workflow commands
//! for GitHub Actions".

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::expression::{Context, filled, holds};
use super::user::User;
use super::{project, text, texts, yaml};
use crate::program::Outcome;

/// What a step may say; anything else this runner does not know.
const STEP: [&str; 6] = ["name", "id", "if", "shell", "env", "run"];

/// Bytes of a step's summary; above that, GitHub shows none.
const SUMMARY: usize = 1 << 20;

/// An action.
pub struct Action {
    /// Its description.
    pub yaml: Value,
    directory: PathBuf,
}

/// A machine for one job.
pub struct Job {
    /// Who runs the steps.
    pub user: User,
    /// The job's checkout, where steps begin.
    pub workspace: PathBuf,
    /// What the job has in its environment beside what the runner gives.
    pub environment: Vec<(String, String)>,
    directory: tempfile::TempDir,
}

/// What the action did.
#[derive(Debug)]
pub struct Ran {
    /// Status of the first step that failed, else 0.
    pub code: i32,
    /// The action's outputs.
    pub outputs: BTreeMap<String, String>,
    /// What the steps wrote to the job's summary.
    pub summary: String,
    /// What they said.
    pub log: String,
    /// Names of the steps that ran.
    pub steps: Vec<String>,
}

impl Job {
    /// A new machine.
    #[track_caller]
    pub fn new(root: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let user = if root { User::Root } else { User::runner(directory.path()) };
        let workspace = directory.path().join("work space");
        for own in [&workspace, &directory.path().join("home"), &directory.path().join("temp")] {
            fs::create_dir(own).expect("a directory");
            user.owns(own);
        }
        Self { user, workspace, environment: Vec::new(), directory }
    }

    /// The user's home directory.
    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// The directory for what may go after the job.
    pub fn temporary(&self) -> PathBuf {
        self.directory.path().join("temp")
    }
}

impl Action {
    /// Reads the `action.yml` of a directory of the project.
    #[track_caller]
    pub fn read(directory: &str) -> Self {
        let yaml = yaml(&format!("{directory}/action.yml"));
        assert_eq!(yaml["runs"]["using"], "composite");
        Self { yaml, directory: project().join(directory) }
    }

    /// Names of its inputs or outputs.
    pub fn names(&self, of: &str) -> Vec<&str> {
        let members = self.yaml[of].as_object().expect("a mapping");
        members.keys().map(String::as_str).collect()
    }

    /// Its steps.
    pub fn steps(&self) -> &[Value] {
        self.yaml["runs"]["steps"].as_array().expect("steps")
    }

    /// Runs the steps in order, in `job`, `with` these inputs.
    #[track_caller]
    pub fn run(&self, job: &Job, with: &[(&str, &str)]) -> Ran {
        let mut context = self.inputs(with);
        let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        context.insert("github.action_path".into(), path(&self.directory));
        context.insert("runner.temp".into(), path(&job.temporary()));
        let mut ran = Ran {
            code: 0,
            outputs: BTreeMap::new(),
            summary: String::new(),
            log: String::new(),
            steps: Vec::new(),
        };
        for (index, step) in self.steps().iter().enumerate() {
            let members = step.as_object().expect("a step is a mapping");
            let unknown = members.keys().find(|key| !STEP.contains(&key.as_str()));
            assert_eq!(unknown, None, "this runner does not know such a step");
            assert_eq!(step["shell"], "bash");
            if holds(step["if"].as_str(), &context, ran.code != 0) {
                self.step(job, step, index, &mut context, &mut ran);
            }
        }
        for (name, output) in self.yaml["outputs"].as_object().expect("outputs") {
            ran.outputs.insert(name.clone(), filled(&text(&output["value"]), &context));
        }
        ran
    }

    #[track_caller]
    fn inputs(&self, with: &[(&str, &str)]) -> Context {
        let names = self.names("inputs");
        for (name, _) in with {
            assert!(names.contains(name), "the action has no input {name}");
        }
        let given = |name: &str| with.iter().find(|(given, _)| *given == name).map(|(_, to)| *to);
        let value = |name: &str| {
            let default = self.yaml["inputs"][name]["default"].as_str();
            given(name).or(default).unwrap_or_default().to_owned()
        };
        names.into_iter().map(|name| (format!("inputs.{name}"), value(name))).collect()
    }

    #[track_caller]
    fn step(&self, job: &Job, step: &Value, index: usize, context: &mut Context, ran: &mut Ran) {
        let temporary = job.temporary();
        let script = temporary.join(format!("step-{index}.sh"));
        fs::write(&script, filled(&text(&step["run"]), context)).expect("a script");
        let name = script.to_str().expect("a path in UTF-8");
        let shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", name];
        let mut command = job.user.command(&shell);
        command
            .current_dir(&job.workspace)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", job.home())
            .env("CI", "true")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_ACTION_PATH", &self.directory)
            .env("GITHUB_WORKSPACE", &job.workspace)
            .env("RUNNER_TEMP", &temporary)
            .envs(job.environment.iter().map(|(name, value)| (name, value)));
        let mut files = Vec::new();
        for variable in ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_PATH"] {
            let file = temporary.join(format!("{variable}-{index}"));
            fs::write(&file, "").expect("a file");
            job.user.owns(&file);
            command.env(variable, &file);
            files.push(file);
        }
        for (variable, value) in texts(&step["env"]) {
            command.env(variable, filled(&value, context));
        }
        let outcome = Outcome::of(&mut command);
        ran.steps.push(text(&step["name"]));
        ran.log.push_str(&outcome.stdout);
        ran.log.push_str(&outcome.stderr);
        let read = |file: &Path| fs::read_to_string(file).expect("what the step wrote is UTF-8");
        for file in &files[2..] {
            assert_eq!(read(file), "", "this runner does not know {}", file.display());
        }
        if let Some(id) = step["id"].as_str() {
            for (name, value) in outputs(&read(&files[0])) {
                context.insert(format!("steps.{id}.outputs.{name}"), value);
            }
        }
        let summary = read(&files[1]);
        assert!(summary.len() < SUMMARY, "a summary of {} bytes", summary.len());
        ran.summary.push_str(&summary);
        if ran.code == 0 {
            ran.code = outcome.code;
        }
    }
}

/// What a step wrote to `GITHUB_OUTPUT`: `NAME=VALUE`, or `NAME<<END`, lines,
/// `END`.
#[track_caller]
fn outputs(written: &str) -> Vec<(String, String)> {
    let mut outputs = Vec::new();
    let mut lines = written.lines();
    while let Some(line) = lines.next() {
        let equals = line.find('=').unwrap_or(usize::MAX);
        let heredoc = line.find("<<").unwrap_or(usize::MAX);
        if heredoc < equals {
            let (name, end) = line.split_once("<<").expect("found");
            let mut value = Vec::new();
            loop {
                match lines.next() {
                    Some(line) if line == end => break,
                    Some(line) => value.push(line),
                    None => panic!("the value of {name} has no end"),
                }
            }
            outputs.push((name.to_owned(), value.join("\n")));
        } else {
            let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("no output: {line}"));
            outputs.push((name.to_owned(), value.to_owned()));
        }
    }
    outputs
}
