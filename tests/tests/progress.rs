//! Progress of long work: a bar on a terminal, and nothing anywhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use integration_tests::program::{Outcome, profiler};
use integration_tests::terminal;

/// A type of terminal that can move its cursor.
const TERM: &str = "xterm-256color";

/// Longer than work without a bar takes, by some turns of one.
const LONG: Duration = Duration::from_millis(2500);

/// What a terminal is told to empty its line.
const CLEAR: &str = "\x1b[2K";

/// A profile of an image of this ID that touches one path.
fn profile(id: &str, path: &str) -> Value {
    json!({
        "version": 1,
        "image": { "reference": "made", "id": id, "os": "linux", "architecture": "amd64" },
        "runs": [{
            "command": ["test"], "exit_status": 0, "started": "2026-01-02T03:04:05.000Z",
            "ended": "2026-01-02T03:04:06.000Z", "kernel": "6.1", "tier": "fexit",
            "interrupted": false, "containers": ["c"], "mounts": [],
            "lost": { "ring_full": 0, "path_too_deep": 0, "missed_runs": 0, "unattributed": 0,
                "unreadable": 0, "table_full": 0 }
        }],
        "paths": [{ "path": path, "kinds": ["open", "exec"], "comm": "sh" }],
        "names": [], "missing": [],
    })
}

/// `profiler merge` of two profiles, of which the second comes after a while:
/// it is a FIFO, and whoever opens it waits for its writer.
struct Merge {
    directory: TempDir,
    second: String,
}

impl Merge {
    fn of(second: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let first = profile("sha256:1", "/a").to_string();
        fs::write(directory.path().join("a.json"), first).unwrap();
        let fifo = directory.path().join("b.json");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        Self { directory, second: second.to_owned() }
    }

    fn whole() -> Self {
        Self::of(&profile("sha256:1", "/b").to_string())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn output(&self) -> String {
        self.path("out.json").display().to_string()
    }

    /// Runs it, and lets the second profile come after `pause`.
    fn run<T>(&self, pause: Duration, options: &[&str], run: impl FnOnce(&mut Command) -> T) -> T {
        let mut merge = profiler(["merge", "-o"]);
        merge.arg(self.output()).args(options).arg(self.path("a.json")).arg(self.path("b.json"));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(pause);
                // Nothing else opens it; a merge that has failed does not.
                fs::write(self.path("b.json"), &self.second).unwrap();
            });
            run(&mut merge)
        })
    }

    fn summary(&self) -> String {
        format!("profiler: made: 2 profiles, 1 runs, 2 files -> {}", self.output())
    }
}

/// What is on a terminal's screen at the end, as far as it is lines that were
/// emptied, rewritten, or left.
fn remains(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let last = line.rsplit(CLEAR).next().unwrap_or_default();
        last.trim_matches('\r').rsplit('\r').next().unwrap_or_default().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_terminal_shows_a_bar_that_is_gone_before_the_summary() {
    let merge = Merge::whole();
    let shown = merge.run(LONG, &[], |command| terminal::run(command, TERM));
    assert!(shown.status.success(), "{shown:#?}");
    assert!(shown.text.contains("merging ["), "no bar: {shown:#?}");
    assert!(shown.text.contains("1/2 files"), "not how far it is: {shown:#?}");
    assert!(!shown.text.contains("0/0"), "drawn before it was known: {shown:#?}");
    assert_eq!(remains(&shown.text), merge.summary() + "\n", "{shown:#?}");
    assert!(shown.text.matches("merging").count() > 3, "it does not move: {shown:#?}");
}

#[test]
fn without_a_terminal_stderr_holds_the_summary_and_nothing_else() {
    let merge = Merge::whole();
    let outcome = merge.run(LONG, &[], Outcome::of).succeeded();
    assert_eq!((outcome.stdout, outcome.stderr), (String::new(), merge.summary() + "\n"));
}

#[test]
fn a_terminal_that_is_not_to_be_drawn_on_is_left_alone() {
    for (term, options, quiet) in
        [("dumb", &[][..], false), ("", &[], false), (TERM, &["--quiet"], true)]
    {
        let merge = Merge::whole();
        let shown = merge.run(LONG, options, |command| terminal::run(command, term));
        let expected = if quiet { String::new() } else { merge.summary() + "\r\n" };
        assert_eq!(shown.text, expected, "TERM={term:?} {options:?}");
    }
}

#[test]
fn what_ends_at_once_has_no_bar() {
    let merge = Merge::whole();
    let shown = merge.run(Duration::ZERO, &[], |command| terminal::run(command, TERM));
    assert_eq!(shown.text, merge.summary() + "\r\n");
}

#[test]
fn an_error_has_a_line_of_its_own() {
    let merge = Merge::of("{");
    let shown = merge.run(LONG, &[], |command| terminal::run(command, TERM));
    assert_eq!(shown.status.code(), Some(2), "{shown:#?}");
    assert!(shown.text.contains("merging ["), "no bar: {shown:#?}");
    let line = remains(&shown.text);
    assert!(line.starts_with("profiler: profile ") && line.ends_with("again\n"), "{shown:#?}");
}

/// An image in an archive whose one layer holds a large file that does not
/// compress and a small one; its ID.
fn large_image(archive: &Path) -> String {
    let mut state = 1u64;
    let block: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(1 << 20)
    .collect();
    let tar = |members: &[(&str, &[u8])]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o755);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, *content).unwrap();
        }
        tar.into_inner().unwrap()
    };
    let digest = |bytes: &[u8]| format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
    let layer = tar(&[("large", &block.repeat(160)), ("small", b"x")]);
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
    });
    let config = config.to_string();
    let manifest =
        json!([{ "Config": "config.json", "RepoTags": ["made:1"], "Layers": ["l.tar"] }]);
    let members = [
        ("config.json", config.as_bytes()),
        ("manifest.json", manifest.to_string().as_bytes()),
        ("l.tar", layer.as_slice()),
    ]
    .map(|(name, content)| (name, content.to_vec()));
    let members: Vec<(&str, &[u8])> =
        members.iter().map(|(name, content)| (*name, content.as_slice())).collect();
    fs::write(archive, tar(&members)).unwrap();
    digest(config.as_bytes())
}

#[test]
fn writing_an_image_is_shown_in_bytes_and_without_colour() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("image.tar");
    let id = large_image(&archive);
    let file = directory.path().join("p.json");
    fs::write(&file, profile(&id, "/large").to_string()).unwrap();
    let minimize = |name: &str| {
        let output = directory.path().join(name);
        let mut minimize = profiler(["minimize", "--allow-thin"]);
        minimize.arg(format!("docker-archive:{}", archive.display())).arg("--profile").arg(&file);
        minimize.arg("--output").arg(format!("oci:{}:a", output.display())).env("NO_COLOR", "1");
        minimize
    };
    let shown = terminal::run(&mut minimize("seen"), TERM);
    assert!(shown.status.success(), "{shown:#?}");
    assert!(shown.text.contains("writing layers ["), "no bar: {shown:#?}");
    assert!(shown.text.contains("/160.00 MiB"), "not how much it is: {shown:#?}");
    // Emptying lines and moving about end with other letters.
    let mut sequences = shown.text.split("\x1b[").skip(1);
    let coloured = sequences.any(|after| {
        after.find(char::is_alphabetic).is_some_and(|at| after[at..].starts_with('m'))
    });
    assert!(!coloured, "colours: {shown:#?}");
    // The same table follows on an empty line as is printed without a bar.
    let plain = Outcome::of(&mut minimize("plain")).succeeded();
    assert_eq!(plain.stderr, "");
    assert_eq!(remains(&shown.text), plain.stdout.replace("/plain", "/seen"));
}
