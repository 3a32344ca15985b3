//! The GitHub action and the GitLab template, run as their runners run them,
//! and what is written about them.
//!
//! The step that builds the profiler does not run here: the one under test is
//! given as `binary`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::ci::github::{Action, Job, Ran};
use integration_tests::ci::{gitlab, parse, project, yaml};
use integration_tests::engine::{Image, docker, output};
use integration_tests::images;
use integration_tests::profile::Profile;
use integration_tests::program::binary;
use serde_json::Value;

fn action() -> Action {
    Action::read("deploy/github")
}

/// Runs the action with the profiler under test.
#[track_caller]
fn run(job: &Job, with: &[(&str, &str)]) -> Ran {
    let binary = binary();
    let own = [("binary", binary.to_str().unwrap())];
    action().run(job, &[&own, with].concat())
}

/// An image with a name and a tag of its own, and the small one beside it.
fn pair() -> (Image, Image) {
    let stem = Image::future("action");
    docker(["tag", &images::scratch().name, &format!("{}:1", stem.name)]);
    let image = |tag: &str| Image { name: format!("{}:{tag}", stem.name), temporary: true };
    (image("1"), image("1-min"))
}

#[track_caller]
fn id(image: &Image) -> String {
    docker(["image", "inspect", "--format={{.Id}}", &image.name])
}

#[test]
fn the_steps_run_end_to_end_for_a_user_who_is_not_root() {
    let (image, small) = pair();
    let mut job = Job::new(false);
    let secret = "two\nlines, \"quotes\" $(false) `false`";
    job.environment = vec![
        ("SECRET".into(), secret.into()),
        ("name".into(), "a name that the script may use, too".into()),
        ("LD_LIBRARY_PATH".into(), "/nowhere".into()),
    ];
    let tests = format!(
        "id -u > seen.id\n\
         id -G > seen.groups\n\
         env --null > seen.environment\n\
         pwd > seen.directory\n\
         test \"$(docker run --rm {} cat /etc/read.conf)\" = read.conf\n\
         if false | true; then exit 9; fi\n",
        image.name
    );
    let ran = run(&job, &[("image", &image.name), ("run", &tests)]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(
        ran.steps,
        ["Run the tests under the profiler", "Minimize the image", "Write the summary"]
    );

    // The tests ran as they do without the profiler.
    let seen = |what: &str| fs::read_to_string(job.workspace.join(what)).expect("what was seen");
    assert_eq!(seen("seen.id").trim(), job.user.id().to_string());
    let plain = output(job.user.command(&["id", "-G"]).env("PATH", "/usr/bin:/bin"));
    assert_eq!(seen("seen.groups").trim(), plain);
    assert_eq!(seen("seen.directory").trim(), job.workspace.to_str().unwrap());
    let environment = seen("seen.environment");
    let variables: BTreeSet<&str> = environment.split('\0').collect();
    for (name, value) in &job.environment {
        assert!(variables.contains(format!("{name}={value}").as_str()), "{name}: {variables:#?}");
    }
    assert!(variables.contains(format!("HOME={}", job.home().display()).as_str()));
    assert!(variables.contains(format!("PATH={}", std::env::var("PATH").unwrap()).as_str()));
    assert!(!environment.contains("PROFILER_CI_"), "{variables:#?}");

    // What it gives.
    let outputs = &ran.outputs;
    assert_eq!(outputs["image"], small.name);
    assert_eq!(outputs["image-id"], id(&small));
    assert_eq!(outputs["digest"], id(&small));
    let profile = Profile::read(Path::new(&outputs["profile"]));
    assert!(profile.image().contains(&image.name), "{}", profile.image());
    assert!(profile.paths().contains("/etc/read.conf"), "{:?}", profile.paths());
    let report: Value = serde_json::from_slice(&fs::read(&outputs["report"]).unwrap()).unwrap();
    for (output, side, figure) in [
        ("size-before", "source", "bytes"),
        ("size-after", "output", "bytes"),
        ("files-before", "source", "files"),
        ("files-after", "output", "files"),
    ] {
        assert_eq!(outputs[output], report[side][figure].to_string(), "{output}");
    }
    let number = |output: &str| outputs[output].parse::<u64>().expect("a number");
    assert!(number("size-after") < number("size-before"), "{outputs:#?}");
    for file in ["profile", "report", "summary"] {
        assert_eq!(fs::metadata(&outputs[file]).unwrap().uid(), job.user.id(), "{file}");
    }
    let places = Path::new(&outputs["profile"]).parent().unwrap();
    assert!(!places.join("environment").exists(), "secrets stay on the disk");

    // The small image works.
    assert_eq!(small.run(&["cat", "/etc/read.conf"]), "read.conf");

    let summary = &ran.summary;
    for line in [
        &format!("### Minimized `docker-daemon:{}`", image.name),
        &format!("Image ID `{}`", id(&small)),
        &format!("### Profile of `{}`", image.name),
        "<details><summary>Removed: ",
        "| 1,048,576 | `/etc/ballast` | - |",
    ] {
        assert!(summary.contains(line), "{line:?} is not in {summary}");
    }
    assert!(!summary.contains("No image was made"), "{summary}");
}

#[test]
fn a_layout_has_the_digest_of_its_manifest_and_files_go_where_they_are_asked() {
    let (image, _) = pair();
    let job = Job::new(true);
    let run_tests = format!("docker run --rm '{}' cat /etc/read.conf", image.name);
    let ran = run(
        &job,
        &[
            ("image", &format!("docker-daemon:{}", image.name)),
            ("run", &run_tests),
            ("output", "oci:small:min"),
            ("profile", "out/a profile.json"),
            ("report", "out/a report.json"),
            ("args", "--include /etc/unread.conf\n  --squash "),
            ("fail-on", "incomplete,failed-tests"),
        ],
    );
    assert_eq!(ran.code, 0, "{ran:#?}");
    let index = fs::read(job.workspace.join("small/index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(ran.outputs["digest"], index["manifests"][0]["digest"]);
    assert_ne!(ran.outputs["digest"], ran.outputs["image-id"]);
    assert_eq!(ran.outputs["image"], "oci:small:min");
    for (output, file) in [("profile", "out/a profile.json"), ("report", "out/a report.json")] {
        assert_eq!(Path::new(&ran.outputs[output]), job.workspace.join(file));
    }
    let report = fs::read_to_string(&ran.outputs["report"]).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["output"]["layers"], 1, "--squash was not passed on");
    let kept = report["kept"].as_array().unwrap();
    assert!(kept.iter().any(|kept| kept["path"] == "/etc/unread.conf"), "nor was --include");
    assert!(ran.summary.contains(&format!("manifest `{}`", ran.outputs["digest"])));
}

#[test]
fn tests_that_fail_make_no_image_and_the_summary_says_so() {
    let (image, small) = pair();
    let job = Job::new(true);
    let tests = format!("docker run --rm {}\nexit 3", image.name);
    let ran = run(&job, &[("image", &image.name), ("run", &tests)]);
    assert_eq!(ran.code, 3, "{ran:#?}");
    assert!(!small.exists(), "there is an image");
    assert_eq!(ran.steps, ["Run the tests under the profiler", "Write the summary"]);
    assert!(ran.log.contains("::error title=profiler::the tests failed with status 3"));
    assert!(ran.summary.starts_with("### No image was made\n\n`the tests failed with status 3`\n"));
    assert!(ran.summary.contains("| **3: failed** |"), "{}", ran.summary);
    assert!(Path::new(&ran.outputs["profile"]).exists(), "no profile to look into");
    assert_eq!(ran.outputs["image"], "");
}

#[test]
fn a_gate_that_does_not_hold_and_tests_that_run_nothing_fail_the_job() {
    let (image, small) = pair();
    let job = Job::new(true);
    let tests = format!("docker run --rm {}", image.name);
    let with = [("image", image.name.as_str()), ("run", &tests), ("fail-on", "unseen>0.05")];
    let ran = run(&job, &with);
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(!small.exists(), "there is an image");
    assert!(ran.summary.starts_with("### No image was made"), "{}", ran.summary);
    assert!(ran.summary.contains("unseen&#62;0&#46;05"), "{}", ran.summary);
    assert!(ran.summary.contains("### Profile of "), "{}", ran.summary);

    let ran = run(&job, &[("image", &image.name), ("run", "true")]);
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.summary.contains("the tests started no container of"), "{}", ran.summary);
}

#[test]
fn nothing_in_an_input_is_expanded() {
    let (image, _) = pair();
    let job = Job::new(true);
    let mark = job.workspace.join("expanded");
    let touch = format!("touch '{}'", mark.display());
    let hostile = format!("$({touch})`{touch}`\"; {touch}; \"'; {touch}; '\n{touch}\n");
    for input in ["image", "output", "args", "fail-on", "profile", "report"] {
        let tests = format!("docker run --rm {}", image.name);
        let mut with = vec![("image", image.name.as_str()), ("run", tests.as_str())];
        with.retain(|(name, _)| *name != input);
        with.push((input, &hostile));
        let ran = run(&job, &with);
        assert!(!mark.exists(), "{input} was expanded");
        // An odd name of a file is a name all the same.
        assert!(ran.code != 0 || ["profile", "report"].contains(&input), "{input}: {ran:#?}");
        assert!(!ran.summary.lines().any(|line| line.starts_with("touch ")), "{}", ran.summary);
    }
    // The command is a script: expanded once, by the shell that runs it.
    let tests = format!(
        "docker run --rm {} hello > /dev/null\nprintf '%s|' \"$(echo 'a  b')\" '$(c)' \"d\\\"e\" '${{{{ inputs.image }}}}' > said",
        image.name
    );
    let ran = run(&job, &[("image", &image.name), ("run", &tests)]);
    let small = Image { name: format!("{}-min", image.name), temporary: true };
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert_eq!(ran.outputs["image"], small.name);
    let said = fs::read_to_string(job.workspace.join("said")).unwrap();
    assert_eq!(said, "a  b|$(c)|d\"e|${{ inputs.image }}|");
}

#[test]
fn what_is_wrong_with_the_inputs_is_said() {
    let job = Job::new(true);
    let docs = [
        (vec![("run", "true")], "no image is named"),
        (vec![("image", "x")], "there are no tests"),
        (vec![("image", "oci:x"), ("run", "true")], "oci:x is a file"),
    ];
    for (with, why) in docs {
        let ran = run(&job, &with);
        assert_eq!(ran.code, 2, "{ran:#?}");
        assert!(ran.log.contains(why), "{ran:#?}");
        assert_eq!(ran.outputs["image"], "");
    }
    let ran = action().run(&job, &[("image", "x"), ("run", "true"), ("binary", "/no/such")]);
    assert!(ran.code == 2 && ran.log.contains("/no/such is not there"), "{ran:#?}");
}

#[test]
fn the_gitlab_template_leaves_its_artefacts() {
    let (image, small) = pair();
    let directory = tempfile::tempdir().unwrap();
    let checkout = directory.path().join("checkout");
    fs::create_dir(&checkout).unwrap();
    let job = &yaml("deploy/gitlab/profiler.gitlab-ci.yml")[".profiler"];
    let binary = binary();
    let tests = format!("docker run --rm {} cat /etc/read.conf", image.name);
    let variables = [
        ("PROFILER_CI_IMAGE", image.name.as_str()),
        ("PROFILER_CI_RUN", &tests),
        ("PROFILER_CI_BINARY", binary.to_str().unwrap()),
        ("PROFILER_CI_HOME", project().to_str().unwrap()),
    ];
    let (first, after) = gitlab::run(job, &checkout, &variables);
    first.succeeded();
    after.succeeded();
    for file in gitlab::artifacts(job, &checkout) {
        assert!(file.exists(), "{} is not there", file.display());
    }
    let read = |name: &str| fs::read_to_string(checkout.join("profiler-ci").join(name)).unwrap();
    let lines = read("profiler.env");
    assert!(lines.lines().all(|line| line.starts_with("PROFILER_") && line.contains('=')));
    assert!(lines.contains(&format!("PROFILER_IMAGE_ID={}\n", id(&small))), "{lines}");
    assert!(read("summary.md").starts_with("### Minimized "));
    assert_eq!(small.run(&["cat", "/etc/read.conf"]), "read.conf");

    // Again in the same checkout, with tests that fail: nothing of the first
    // job passes for this one's.
    let failing = format!("{tests}\nexit 4");
    let mut variables = variables;
    variables[1].1 = &failing;
    let (first, after) = gitlab::run(job, &checkout, &variables);
    assert_eq!(first.code, 4, "{first:#?}");
    after.succeeded();
    assert!(read("summary.md").starts_with("### No image was made"), "{}", read("summary.md"));
    assert!(!checkout.join("profiler-ci/report.json").exists());
    assert!(!checkout.join("profiler-ci/profiler.env").exists());
}

/// What is in single backticks in a document.
fn code_spans(text: &str) -> BTreeSet<&str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The YAML examples of a document.
fn examples(text: &str) -> Vec<Value> {
    let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| parse(block).unwrap_or_else(|why| panic!("{why}: {block}"))).collect()
}

/// Every mapping below a value, itself included.
fn mappings(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(members) => {
            found.push(value.clone());
            members.values().for_each(|value| mappings(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| mappings(value, found)),
        _ => {}
    }
}

#[test]
fn every_input_is_used_and_inputs_outputs_and_variables_are_documented() {
    let action = action();
    let docs = fs::read_to_string(project().join("docs/ci.md")).unwrap();
    let spans = code_spans(&docs);
    for name in action.names("inputs").into_iter().chain(action.names("outputs")) {
        assert!(spans.contains(name), "docs/ci.md does not tell of {name}");
    }
    let steps = serde_json::to_string(action.steps()).unwrap();
    for name in action.names("inputs") {
        assert!(steps.contains(&format!("inputs.{name} ")), "no step uses the input {name}");
        assert!(action.yaml["inputs"][name]["description"].is_string());
    }
    let script = fs::read_to_string(project().join("deploy/ci.sh")).unwrap();
    for step in action.steps() {
        let run = step["run"].as_str().unwrap();
        assert!(!run.contains("${{"), "an expression is part of a script: {run}");
        for name in step["env"].as_object().into_iter().flatten().map(|(name, _)| name) {
            assert!(script.contains(&format!("${{{name}:-}}")), "nothing reads {name}");
        }
    }
    let job = &yaml("deploy/gitlab/profiler.gitlab-ci.yml")[".profiler"];
    for name in job["variables"].as_object().unwrap().keys() {
        assert!(spans.contains(name.as_str()), "docs/ci.md does not tell of {name}");
    }

    // Examples name nothing that is not there.
    let mut uses = 0;
    let mut found = Vec::new();
    examples(&docs).iter().for_each(|example| mappings(example, &mut found));
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    mappings(&yaml(".github/workflows/ci.yml"), &mut found);
    examples(&readme).iter().for_each(|example| mappings(example, &mut found));
    for mapping in found {
        if mapping["uses"].as_str().is_some_and(|uses| uses.contains("deploy/github")) {
            uses += 1;
            for name in mapping["with"].as_object().expect("inputs").keys() {
                assert!(action.names("inputs").contains(&name.as_str()), "there is no {name}");
            }
            for (name, input) in action.yaml["inputs"].as_object().unwrap() {
                let given = !mapping["with"][name].is_null();
                assert!(given || input["required"] != true, "an example without {name}");
            }
        }
        for name in mapping.as_object().unwrap().keys() {
            let known = !job["variables"][name].is_null();
            assert!(!name.starts_with("PROFILER_CI_") || known, "there is no variable {name}");
        }
    }
    assert!(uses >= 4, "the examples do not use the action");
}

#[test]
fn the_script_has_no_finding_of_shellcheck() {
    let script: PathBuf = project().join("deploy/ci.sh");
    output(Command::new("shellcheck").arg(script));
}
