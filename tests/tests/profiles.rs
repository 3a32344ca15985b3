//! Profiles as artefacts: merged, compared, shown, and what their published
//! schema says of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use integration_tests::images;
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, binary, minimize, profile_file, profile_of, profiler};
use integration_tests::schema;
use tempfile::TempDir;

/// A profile of an image that was never there, with one run.
fn made(start: u32, paths: &[(&str, &[&str])], missing: &[&str]) -> Value {
    let time = |second| format!("2026-01-02T03:04:{second:02}.000Z");
    let paths: Vec<Value> = paths
        .iter()
        .map(|(path, kinds)| {
            json!({ "path": path, "kinds": kinds, "comm": format!("sh{start}"),
                "exe": "/bin/sh", "first": time(start + 1) })
        })
        .collect();
    let missing: Vec<Value> = missing
        .iter()
        .map(|name| json!({ "name": name, "kinds": ["open"], "comm": "sh" }))
        .collect();
    json!({
        "version": 1,
        "image": { "reference": "made", "id": "sha256:1", "os": "linux", "architecture": "amd64" },
        "runs": [{
            "command": ["test", start.to_string()], "exit_status": 0, "started": time(start),
            "ended": time(start + 2), "kernel": "6.1", "tier": "fexit",
            "blind_spots": ["a blind spot"], "interrupted": false, "containers": ["c"], "mounts": [],
            "lost": { "ring_full": 2, "path_too_deep": 0, "missed_runs": 0, "unattributed": 0,
                "unreadable": 0, "table_full": 0 }
        }],
        "paths": paths, "names": [], "missing": missing,
    })
}

/// Files in a directory of their own.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[track_caller]
    fn write(&self, name: &str, profile: &Value) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, profile.to_string()).unwrap();
        path
    }
}

/// `profiler merge FILES -o OUTPUT`.
fn merge(files: &[&Path], output: &Path) -> Outcome {
    Outcome::of(profiler(["merge"]).args(files).arg("-o").arg(output))
}

#[track_caller]
fn valid(profile: &Value) {
    assert_eq!(schema::findings(profile), [] as [&str; 0]);
}

#[test]
fn merged_profiles_hold_what_each_saw_in_any_order() {
    let files = Files::new();
    let a = files.write("a", &made(10, &[("/a", &["open"]), ("/b", &["open"])], &["/x"]));
    let b = files.write("b", &made(20, &[("/b", &["mmap"]), ("/c", &["exec"])], &["/y"]));
    let (one, two) = (files.path("one"), files.path("two"));
    merge(&[&a, &b], &one).succeeded();
    merge(&[&b, &a, &b], &two).succeeded();
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap(), "the order matters");
    let merged = Profile::read(&one);
    valid(&merged.0);
    assert_eq!(merged.runs().len(), 2);
    assert_eq!(merged.paths().into_iter().collect::<Vec<_>>(), ["/a", "/b", "/c"]);
    assert_eq!(merged.kinds("/b").into_iter().collect::<Vec<_>>(), ["mmap", "open"]);
    assert_eq!(merged.0["paths"][1]["comm"], "sh10", "not the earliest touch");
    assert_eq!(merged.0["missing"].as_array().unwrap().len(), 2);
    // What is there is kept unless it may be replaced.
    merge(&[&a], &one).refused(2, &["exists", "--force"]);
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    Outcome::of(profiler(["merge", "--force", "-o"]).arg(&one).arg(&a)).succeeded();
    assert_eq!(Profile::read(&one).paths().len(), 2);
}

#[test]
fn profiles_of_different_images_are_not_merged() {
    let files = Files::new();
    let mut other = made(1, &[], &[]);
    let a = files.write("a", &other);
    other["image"]["id"] = "sha256:2".into();
    other["image"]["reference"] = "another".into();
    let b = files.write("b", &other);
    let output = files.path("out");
    merge(&[&a, &b], &output).refused(2, &["sha256:1", "another (sha256:2", "of their own"]);
    assert!(!output.exists(), "something was left behind");
}

#[test]
fn what_a_later_program_wrote_is_not_dropped_without_a_word() {
    let files = Files::new();
    let mut later = made(1, &[("/a", &["open"])], &[]);
    later["paths"][0]["owner"] = json!(7);
    later["later"] = json!({});
    valid(&later);
    let file = files.write("later", &later);
    let output = files.path("out");
    let outcome = merge(&[&file], &output).succeeded();
    for member in ["paths[].owner", "later"] {
        assert!(outcome.stderr.contains(member), "{outcome:#?}");
    }
    assert_eq!(Profile::read(&output).paths().len(), 1);
    later["version"] = json!(2);
    let newer = files.write("newer", &later);
    merge(&[&newer], &files.path("none")).refused(2, &["version 2", "newer profiler"]);
}

#[test]
fn a_profile_of_the_first_program_is_read() {
    let files = Files::new();
    let mut old = made(1, &[("/a", &["open"])], &[]);
    for member in ["exe", "first"] {
        old["paths"][0].as_object_mut().unwrap().remove(member);
    }
    for member in ["blind_spots", "mounts", "interrupted", "exit_status"] {
        old["runs"][0].as_object_mut().unwrap().remove(member);
    }
    old["runs"][0]["lost"].as_object_mut().unwrap().remove("table_full");
    for member in ["os", "architecture"] {
        old["image"].as_object_mut().unwrap().remove(member);
    }
    valid(&old);
    let old = files.write("old", &old);
    let new = files.write("new", &made(2, &[("/a", &["stat"])], &[]));
    merge(&[&old, &new], &files.path("out")).succeeded();
    let merged = Profile::read(&files.path("out"));
    valid(&merged.0);
    assert_eq!(merged.0["image"]["architecture"], "amd64");
    assert_eq!(merged.kinds("/a").len(), 2);
}

#[test]
fn diff_says_what_differs_and_returns_it() {
    let files = Files::new();
    let old = files.write("old", &made(1, &[("/a", &["open"]), ("/b", &["open"])], &["/x"]));
    let new =
        files.write("new", &made(5, &[("/b", &["open", "stat"]), ("/c", &["open"])], &["/y"]));
    let same = files.write("same", &made(9, &[("/a", &["open"]), ("/b", &["open"])], &["/x"]));
    let diff = |old: &Path, new: &Path, format: &str| {
        Outcome::of(profiler(["diff", "--format", format]).arg(old).arg(new))
    };
    let table = diff(&old, &new, "table");
    assert_eq!(table.code, 1, "{table:#?}");
    let lines: Vec<Vec<&str>> =
        table.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines,
        [
            vec!["-", "path", "/a", "open"],
            vec!["+", "path", "/c", "open"],
            vec!["~", "path", "/b", "open", "->", "open,stat"],
            vec!["-", "missing", "/x", "open"],
            vec!["+", "missing", "/y", "open"],
        ]
    );
    let json = diff(&old, &new, "json");
    let value: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &value["paths"]["added"][0]["path"]), (1, &json!("/c")));
    let equal = diff(&old, &same, "table").succeeded();
    assert_eq!(equal.stdout, "");
    diff(&old, &files.path("none"), "table").refused(2, &["none", "No such file"]);
}

#[test]
fn show_tells_runs_losses_and_processes() {
    let files = Files::new();
    let file = files.write("p", &made(1, &[("/a", &["open", "mmap"])], &["/x"]));
    let table = Outcome::of(profiler(["show"]).arg(&file)).succeeded().stdout;
    for words in ["sha256:1", "linux/amd64", "test 1", "exit status 0", "ring_full 2"] {
        assert!(table.contains(words), "{words} is not in {table}");
    }
    for words in ["a blind spot", "incomplete", "open 1, exec 0, mmap 1", "/bin/sh", "sh1"] {
        assert!(table.contains(words), "{words} is not in {table}");
    }
    let json = Outcome::of(profiler(["show", "--format", "json"]).arg(&file)).succeeded().stdout;
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&value["files"], &value["kinds"]["mmap"]), (&json!(1), &json!(1)));
    Outcome::of(profiler(["show", "--removed"]).arg(&file)).refused(2, &["--report"]);
}

#[test]
fn why_names_the_run_in_which_a_path_was_first_touched() {
    let files = Files::new();
    let a = files.write("a", &made(10, &[("/a", &["open"])], &["/x"]));
    let b = files.write("b", &made(20, &[("/b", &["open"])], &[]));
    let both = files.path("both");
    merge(&[&a, &b], &both).succeeded();
    let why = |path: &str| Outcome::of(profiler(["show", "--why", path]).arg(&both));
    let told = why("/b").succeeded().stdout;
    assert!(told.contains("test 20") && !told.contains("test 10"), "{told}");
    assert!(told.contains("sh20 (/bin/sh)"), "{told}");
    assert!(why("/x").succeeded().stdout.contains("in vain"));
    assert_eq!(why("/z").code, 1, "nothing is known of it");
}

#[test]
fn why_joins_the_rule_of_the_report_and_the_process_of_the_profile() {
    let files = Files::new();
    let image = images::scratch();
    let run = ["docker", "run", "--rm", &image.name, "cat", "/etc/read.conf"];
    let profile = profile_of(files.0.path(), &image, &run);
    valid(&profile.0);
    let small = minimize(files.0.path(), &image);
    let report = files.path("report.json");
    let show = |arguments: &[&str]| {
        Outcome::of(
            profiler(["show", "--format", "json"])
                .args(arguments)
                .arg(&report)
                .args(arguments.contains(&"--why").then(|| profile_file(files.0.path()))),
        )
    };
    let json = |outcome: Outcome| serde_json::from_str::<Value>(&outcome.stdout).unwrap();
    let why = json(show(&["--why", "/etc/read.conf"]).succeeded());
    assert_eq!((&why[0]["says"], &why[0]["rule"]), (&json!("kept"), &json!("touched")));
    assert_eq!((&why[1]["says"], &why[1]["exe"]), (&json!("touched"), &json!("/toolbox")));
    assert_eq!(why[1]["runs"][0]["command"], json!(run));
    let gone = json(show(&["--why", "/etc/ballast"]).succeeded());
    assert_eq!((&gone[0]["says"], &gone[1]["says"]), (&json!("removed"), &json!("nothing")));
    let removed = json(show(&["--removed"]).succeeded());
    let largest = &removed[0];
    assert_eq!((&largest["path"], &largest["size"]), (&json!("/etc/ballast"), &json!(1 << 20)));
    assert!(largest["image"].as_str().unwrap().contains(&small.name), "{largest}");
    Outcome::of(profiler(["show"]).arg(&report)).refused(2, &["--removed", "--why"]);
}

#[test]
fn profiles_are_folded_one_at_a_time() {
    let files = Files::new();
    // All of them in memory take several times the limit.
    let profiles: Vec<PathBuf> = (0..60)
        .map(|number| {
            let paths: Vec<String> =
                (number..number + 5_000).map(|file| format!("/usr/lib/file-{file:05}")).collect();
            let paths: Vec<_> = paths.iter().map(|path| (path.as_str(), &["open"][..])).collect();
            files.write(&number.to_string(), &made(number % 50, &paths, &[]))
        })
        .collect();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -d 65536; exec \"$@\"", "sh"]).arg(binary());
    Outcome::of(limited.arg("merge").args(&profiles).arg("-o").arg(files.path("out"))).succeeded();
    let merged = Profile::read(&files.path("out"));
    assert_eq!((merged.paths().len(), merged.runs().len()), (5_059, 50));
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let files = Files::new();
    let paths: Vec<String> = (0..5_000).map(|file| format!("/usr/lib/file-{file:05}")).collect();
    let paths: Vec<_> = paths.iter().map(|path| (path.as_str(), &["open"][..])).collect();
    let file = files.write("p", &made(1, &paths, &[]));
    let mut piped = Command::new("bash");
    piped.args(["-c", "set -o pipefail; \"$0\" show \"$1\" | head -n 1"]).arg(binary()).arg(file);
    let outcome = Outcome::of(&mut piped).succeeded();
    assert_eq!((outcome.stdout.lines().count(), outcome.stderr.as_str()), (1, ""));
}

#[test]
fn the_schema_takes_profiles_and_refuses_what_is_none() {
    let good = made(1, &[("/a", &["open"])], &["/x"]);
    valid(&good);
    type Break = (&'static str, fn(&mut Value));
    let breaks: [Break; 8] = [
        ("version", |p| p["version"] = json!(2)),
        ("paths", |p| p["paths"] = json!({})),
        ("kind", |p| p["paths"][0]["kinds"] = json!(["eaten"])),
        ("path", |p| p["paths"][0]["path"] = json!({ "base64": "?" })),
        ("time", |p| p["runs"][0]["started"] = json!("yesterday")),
        ("count", |p| p["runs"][0]["lost"]["ring_full"] = json!(-1)),
        ("lost", |p| drop(p["runs"][0].as_object_mut().unwrap().remove("lost"))),
        ("image", |p| drop(p.as_object_mut().unwrap().remove("image"))),
    ];
    for (what, change) in breaks {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(!schema::findings(&bad).is_empty(), "a wrong {what} was taken");
    }
    let mut bytes = good;
    bytes["paths"][0]["path"] = json!({ "base64": "L2b/" });
    valid(&bytes);
}
