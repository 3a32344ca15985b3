//! `profiler coverage` and `--fail-on` on profiles of real runs; completions
//! and manual pages of the program as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::engine::{Image, output};
use integration_tests::images;
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, profiler};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An image, and profiles of runs that read some of its files.
struct Bench {
    directory: TempDir,
    image: Image,
}

impl Bench {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), image: images::scratch() }
    }

    /// A run that reads `files` of the image's `/etc`.
    fn run(&self, name: &str, files: &[&str]) -> PathBuf {
        let path = self.directory.path().join(name);
        let mut command = profiler(["run", "--image", &self.image.name, "-o"]);
        command.arg(&path).args(["--", "docker", "run", "--rm", "--no-healthcheck"]);
        command.args([&self.image.name, "cat"]);
        command.args(files.iter().map(|file| format!("/etc/{file}")));
        Outcome::of(&mut command).succeeded();
        path
    }

    /// Two runs that read the same, and one that reads something else too.
    fn three(&self) -> Vec<PathBuf> {
        vec![
            self.run("1.json", &["read.conf"]),
            self.run("2.json", &["read.conf"]),
            self.run("3.json", &["read.conf", "unread.conf"]),
        ]
    }

    fn minimize(&self, profiles: &[PathBuf], gate: &str) -> Outcome {
        let output = format!("oci-archive:{}", self.output().display());
        let mut command = profiler(["minimize", &self.image.name, "--output", &output]);
        Outcome::of(command.args(["--fail-on", gate, "--profile"]).args(profiles))
    }

    fn output(&self) -> PathBuf {
        self.directory.path().join("out.tar")
    }
}

fn coverage(arguments: &[&str], profiles: &[PathBuf]) -> Outcome {
    Outcome::of(profiler(["coverage"]).args(profiles).args(arguments))
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut profile = Profile::read(path);
    change(&mut profile.0);
    profile.write(path);
}

#[test]
fn the_run_that_alone_read_a_file_holds_it_up() {
    let bench = Bench::new();
    let profiles = bench.three();
    let of_image = ["--image", &bench.image.name, "--format", "json"];
    for arguments in [&of_image[2..], &of_image] {
        let outcome = coverage(arguments, &profiles).succeeded();
        let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
        let runs = document["runs"].as_array().unwrap();
        let column = |name: &str| runs.iter().map(|run| run[name].clone()).collect::<Vec<_>>();
        assert_eq!(column("alone"), [json!(0), json!(0), json!(1)], "{document:#}");
        assert_eq!(column("new")[1..], [json!(0), json!(1)], "{document:#}");
        assert_eq!(document["paths"], runs[2]["cumulative"], "{document:#}");
        assert_eq!(document["singletons"], 1);
        let estimate = &document["estimate"];
        assert!((estimate["unseen"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-9, "{estimate}");
        let end = |name: &str| estimate["interval"][name].as_f64().unwrap();
        assert!(end("low") < 1.0 / 3.0 && end("high") > 1.0 / 3.0, "{estimate}");
    }
    let table = coverage(&[], &profiles).succeeded().stdout;
    assert!(table.contains("unseen: 33.3 % (95 % interval: "), "{table}");
    let file = bench.directory.path().join("coverage.txt");
    let to_file = coverage(&["-o", file.to_str().unwrap()], &profiles).succeeded();
    assert_eq!((to_file.stdout.as_str(), fs::read_to_string(&file).unwrap()), ("", table));
}

#[test]
fn gates_name_what_did_not_hold_and_no_image_is_made() {
    let bench = Bench::new();
    let profiles = bench.three();
    let gate = |gate: &str| coverage(&["--fail-on", gate], &profiles);
    gate("incomplete,failed-tests,thin,unseen>0.5").succeeded();
    gate("unseen>0.05").refused(1, &["unseen>0.05", "0.333"]);
    bench.minimize(&profiles, "unseen>0.05").refused(1, &["unseen>0.05", "0.333"]);
    assert!(!bench.output().exists());
    bench.minimize(&profiles[..1], "unseen>0.9").refused(1, &["1 run", "at least two"]);
    edit(&profiles[1], |profile| {
        profile["runs"][0]["exit_status"] = json!(3);
        profile["runs"][0]["interrupted"] = json!(true);
    });
    gate("failed-tests,incomplete")
        .refused(1, &["2.json", "status 3", "interrupted", "failed-tests", "incomplete"]);
    bench.minimize(&profiles[..1], "incomplete,failed-tests,thin").succeeded();
}

#[test]
fn a_thin_profile_is_refused_with_what_was_seen() {
    let bench = Bench::new();
    let profiles = [bench.run("1.json", &["read.conf"])];
    edit(&profiles[0], |profile| {
        let entry = |path: &str, kind: &str| json!({"path": path, "kinds": [kind], "comm": "x"});
        profile["paths"] = json!([
            entry("/etc/ld.so.cache", "open"),
            entry("/lib/libc.so.6", "mmap"),
            entry("/lib64/ld-linux-x86-64.so.2", "exec"),
            entry("/toolbox", "exec"),
        ]);
    });
    let words = ["1 containers", "4 files", "only /toolbox executed"];
    coverage(&["--fail-on", "thin"], &profiles).refused(1, &words);
    bench.minimize(&profiles, "thin").refused(1, &words);
    let output = format!("oci-archive:{}", bench.output().display());
    let mut command = profiler(["minimize", &bench.image.name, "--output", &output, "--force"]);
    command.arg("--profile").arg(&profiles[0]);
    Outcome::of(&mut command).refused(1, &words);
    Outcome::of(command.arg("--allow-thin")).succeeded();
}

#[test]
fn one_run_tells_nothing() {
    let bench = Bench::new();
    let profiles = [bench.run("1.json", &["read.conf"])];
    let table = coverage(&[], &profiles).succeeded().stdout;
    assert!(table.contains("one run tells nothing"), "{table}");
    coverage(&["--fail-on", "unseen>0.9"], &profiles).refused(1, &["at least two"]);
}

#[test]
fn profiles_of_two_images_and_a_run_given_twice_are_refused() {
    let bench = Bench::new();
    let first = bench.run("1.json", &["read.conf"]);
    let copy = bench.directory.path().join("copy.json");
    fs::copy(&first, &copy).unwrap();
    let both = [first, copy];
    coverage(&[], &both).refused(2, &["1.json", "copy.json", "holds the run"]);
    edit(&both[1], |profile| {
        profile["image"]["id"] = json!(format!("sha256:{}", "0".repeat(64)));
        profile["image"]["diff_ids"] = json!([]);
    });
    coverage(&[], &both).refused(2, &["copy.json", "sha256:0000", "profiles of one image"]);
}

#[test]
fn a_gate_that_is_none_is_a_usage_error() {
    for (gate, word) in [
        ("thick", "failed-tests"),
        ("unseen", "quotes"),
        ("unseen>5", "0 to 1"),
        ("unseen<0.5", "unseen>SHARE"),
    ] {
        let outcome = coverage(&["--fail-on", gate], &["x.json".into()]);
        assert_eq!(outcome.code, 2, "{outcome:#?}");
        assert!(outcome.stderr.contains(word), "{outcome:#?}");
    }
}

#[test]
fn bash_reads_its_completions_and_offers_the_verbs() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("profiler.bash");
    let completions = Outcome::of(&mut profiler(["completions", "bash"])).succeeded().stdout;
    fs::write(&script, completions).unwrap();
    output(Command::new("bash").arg("-n").arg(&script));
    let ask = "source \"$1\"; COMP_WORDS=(profiler mini); COMP_CWORD=1; \
               _profiler profiler mini profiler; echo \"${COMPREPLY[@]}\"";
    let offered = output(Command::new("bash").args(["-c", ask, "bash"]).arg(&script));
    assert_eq!(offered.trim(), "minimize");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = Outcome::of(&mut profiler(["completions", shell])).succeeded().stdout;
        assert!(script.contains("coverage"), "{shell}: {script}");
    }
}

#[test]
fn every_verb_has_a_manual_page_that_renders() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man/man1");
    Outcome::of(profiler(["man"]).arg(&pages)).succeeded();
    let page = |name: &str| fs::read_to_string(pages.join(name)).unwrap();
    let own = Outcome::of(&mut profiler(["man"])).succeeded().stdout;
    assert_eq!(own, page("profiler.1"));
    for verb in ["run", "record", "minimize", "coverage", "man", "completions"] {
        let name = format!("profiler-{verb}.1");
        let source = page(&name);
        assert!(source.contains(".SH NAME") && source.contains(".SH SYNOPSIS"), "{source}");
        // Where there is a man, it has the last word.
        let man =
            Command::new("man").env("MANWIDTH", "200").arg("-l").arg(pages.join(&name)).output();
        if let Ok(rendered) = man
            && rendered.status.success()
        {
            let text = String::from_utf8_lossy(&rendered.stdout);
            assert!(text.contains("SYNOPSIS") && text.contains("OPTIONS"), "{name}: {text}");
            assert!(rendered.stderr.is_empty(), "{}", String::from_utf8_lossy(&rendered.stderr));
        }
    }
}
