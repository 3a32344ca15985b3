//! `profiler run` and `record` killed in the middle: the tests go on, and what
//! was seen is in the journal.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use integration_tests::engine::{Container, Image, docker};
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, profile_file, profiler};
use integration_tests::{images, schema, until};
use serde_json::Value;

/// A `profiler run` of a script whose arguments are a directory of the test's
/// own and the images.
struct Run {
    child: Child,
    directory: PathBuf,
}

impl Run {
    fn start(directory: &Path, images: &[&Image], script: &str) -> Self {
        let mut command = profiler(["run", "-o"]);
        command.arg(profile_file(directory));
        for image in images {
            command.args(["--image", &image.name]);
        }
        command.args(["--", "sh", "-c", script, "sh"]).arg(directory);
        command.args(images.iter().map(|image| &image.name)).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        Self { child, directory: directory.to_owned() }
    }

    fn journal(&self) -> PathBuf {
        self.directory.join("profile.json.partial")
    }

    fn until(&self, marker: &str) {
        until(marker, || self.directory.join(marker).exists());
    }

    fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a process ID");
        // SAFETY: sending a signal touches no memory of this process.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Kills it, lets the script go on and returns what that prints.
    fn kill(mut self) -> String {
        self.signal(libc::SIGKILL);
        assert!(!self.child.wait().expect("a status").success());
        File::create(self.directory.join("through")).expect("a marker");
        // Open until the script ends.
        let mut stdout = String::new();
        self.child.stdout.take().expect("a pipe").read_to_string(&mut stdout).expect("text");
        stdout
    }

    fn end(mut self) {
        File::create(self.directory.join("through")).expect("a marker");
        assert!(self.child.wait().expect("a status").success());
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Lets the script end by itself when a test panics.
        let _ = File::create(self.directory.join("through"));
        let _ = self.child.wait();
    }
}

/// Waits in a script until the test is through with it.
const WAIT: &str = r#"until test -e "$1/through"; do sleep 0.05; done; "#;

/// What `profiler show` makes of a profile or journal, for a test.
fn load(journal: &Path) -> Profile {
    let merged = Outcome::of(profiler(["--quiet", "merge", "-o", "-"]).arg(journal)).succeeded();
    let profile = Profile(serde_json::from_str(&merged.stdout).expect("a profile"));
    assert_eq!(schema::findings(&profile.0), [] as [&str; 0], "not what the schema says");
    profile
}

fn assert_nothing_but_the_profile(directory: &Path) {
    let names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("partial")), "{names:?}");
}

#[test]
fn a_killed_profiler_leaves_the_tests_running_and_a_journal_that_makes_an_image() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch().own();
    let script = r#"
        docker run --rm --no-healthcheck "$2" cat /etc/read.conf
        sleep 1
        : > "$1/seen""#
        .to_owned()
        + "\n"
        + WAIT
        + r#"docker run --rm --no-healthcheck "$2" cat /etc/unread.conf; echo through"#;
    let run = Run::start(directory.path(), &[&image], &script);
    run.until("seen");
    let journal = run.journal();
    assert_eq!(run.kill(), "read.conf\nunread.conf\nthrough\n");

    let shown = Outcome::of(profiler(["show"]).arg(&journal)).succeeded();
    assert!(shown.stdout.contains("interrupted"), "{shown:#?}");
    let profile = load(&journal);
    let [run] = profile.runs() else { panic!("{:?}", profile.runs()) };
    assert_eq!((&run["interrupted"], &run["exit_status"]), (&Value::Bool(true), &Value::Null));
    assert_eq!(run["command"][0], "sh");
    assert_eq!(run["containers"].as_array().unwrap().len(), 1);
    assert!(run["ended"].as_str() >= run["started"].as_str());
    assert_eq!(profile.lost(), []);
    let paths = profile.paths();
    assert!(paths.contains("/toolbox") && paths.contains("/etc/read.conf"), "{paths:#?}");
    assert!(!paths.contains("/etc/unread.conf"), "{paths:#?}");

    // Nothing was written in its place, and the next run does not overwrite it.
    assert!(!profile_file(directory.path()).exists());
    let mut again = profiler(["run", "-o"]);
    again.arg(profile_file(directory.path())).args(["--image", &image.name, "--", "true"]);
    Outcome::of(&mut again).refused(125, &["profile.json.partial", "profiler recover"]);

    let small = Image::future("killed");
    let output = format!("docker-daemon:{}", small.name);
    let minimize = || {
        let mut minimize = profiler(["minimize", &image.name, "--output", &output, "--profile"]);
        minimize.arg(&journal);
        minimize
    };
    Outcome::of(&mut minimize()).refused(1, &["interrupted", "--allow-incomplete"]);
    assert!(!small.exists());
    Outcome::of(minimize().arg("--allow-incomplete")).succeeded();
    assert_eq!(small.run(&["cat", "/etc/read.conf"]), "read.conf");

    // A torn last line is as if it were not there.
    let text = fs::read(&journal).unwrap();
    let torn = directory.path().join("torn");
    fs::write(&torn, &text[..text.len() - 3]).unwrap();
    let part = load(&torn).paths();
    assert!(part.is_subset(&paths) && part.contains("/toolbox"), "{part:#?}");
    // One in the middle is damage.
    let text = String::from_utf8(text).unwrap().replacen("{\"touch\":[0,", "{\"touch\":[\"0\",", 1);
    fs::write(&torn, text).unwrap();
    Outcome::of(profiler(["show"]).arg(&torn)).refused(2, &["damaged at line"]);
}

#[test]
fn everything_up_to_the_last_second_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch().own();
    let script = r#"
        docker run --rm --no-healthcheck "$2" make /made 1000 > "$1/times"
        echo through"#;
    let run = Run::start(directory.path(), &[&image], script);
    let times = || fs::read_to_string(directory.path().join("times")).unwrap_or_default();
    until("files are made", || times().lines().count() > 300);
    let journal = run.journal();
    run.signal(libc::SIGKILL);
    let killed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let text = fs::read(&journal).unwrap();
    assert_eq!(run.kill(), "through\n");
    // No line came after the kill.
    assert_eq!(fs::read(&journal).unwrap(), text);

    let paths = load(&journal).paths();
    let (mut early, mut seen) = (0, 0);
    let mut oldest_unseen = f64::INFINITY;
    for line in times().lines() {
        let (turn, time) = line.split_once(' ').unwrap();
        let time: f64 = time.parse().unwrap();
        let there = paths.contains(&format!("/made/{turn}"));
        early += usize::from(time < killed - 1.0);
        seen += usize::from(there);
        if !there {
            oldest_unseen = oldest_unseen.min(time);
        }
    }
    assert!(early > 50, "{early} files before the last second");
    println!("{seen} of {early} and more; unseen from {:.3} s before", killed - oldest_unseen);
    assert!(oldest_unseen > killed - 1.0, "lost from {:.3} s before", killed - oldest_unseen);
}

#[test]
fn a_journal_of_two_images_is_recovered_into_two_profiles() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (images::scratch().own(), images::busybox(true).own());
    let script = r#"
        docker run --rm --no-healthcheck "$2" cat /etc/read.conf
        docker run --rm "$3" true
        sleep 1; : > "$1/seen"
        docker run --detach --rm --no-healthcheck --name "profiler-test-killed-$$" "$2" sleep 5 >/dev/null
        : > "$1/late"
    "#
    .to_owned() + WAIT;
    let run = Run::start(directory.path(), &[&one, &two], &script);
    run.until("late");
    let journal = run.journal();
    run.kill();
    Outcome::of(profiler(["show"]).arg(&journal))
        .refused(2, &["2 images", &one.name, &two.name, "profiler recover"]);

    let profiles = directory.path().join("profiles");
    let told = Outcome::of(profiler(["recover", "-o"]).arg(&profiles).arg(&journal)).succeeded();
    assert_eq!(told.stderr.matches("was interrupted").count(), 2, "{told:#?}");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(&profiles).unwrap() {
        let profile = Profile::read(&entry.unwrap().path());
        assert_eq!(schema::findings(&profile.0), [] as [&str; 0]);
        assert_eq!(profile.runs()[0]["interrupted"], true);
        // The late one is asked for at the engine, where it was not known yet.
        assert_eq!(profile.lost(), []);
        found.insert((
            profile.image().to_owned(),
            profile.runs()[0]["containers"].as_array().unwrap().len(),
        ));
    }
    let expected = [(one.name.clone(), 2), (two.name.clone(), 1)];
    let found: BTreeSet<_> =
        found.into_iter().map(|(image, count)| (image.replace(":latest", ""), count)).collect();
    assert_eq!(found, BTreeSet::from(expected));
    assert!(journal.exists());
    // As `run` does, it replaces nothing without being told.
    let one_file = directory.path().join("taken.json");
    fs::write(&one_file, "{}").unwrap();
    Outcome::of(profiler(["recover", "-o"]).arg(&one_file).arg(&journal)).refused(2, &["--force"]);
}

#[test]
fn a_run_that_ends_leaves_no_journal() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch().own();
    let mut run = profiler(["run", "--image", &image.name, "-o"]);
    run.arg(profile_file(directory.path()));
    run.args(["--", "sh", "-c", r#"ls "$1"; docker run --rm "$0"; exit 3"#, &image.name]);
    let outcome = Outcome::of(run.arg(directory.path()));
    assert!(outcome.code == 3 && outcome.stdout.contains("profile.json.partial"), "{outcome:#?}");
    assert!(profile_file(directory.path()).exists());
    assert_nothing_but_the_profile(directory.path());

    // By a signal; with the journal in the directory of the profiles.
    let mut child = profiler(["run", "--image", &image.name, "-o"])
        .arg(directory.path())
        .args([
            "--",
            "sh",
            "-c",
            r#"trap 'exit 4' TERM; : > "$0/started"; while :; do sleep 0.1; done"#,
        ])
        .arg(directory.path())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    until("the command runs", || directory.path().join("started").exists());
    let named = format!("profiler-{}.partial", child.id());
    assert!(directory.path().join(&named).exists());
    // SAFETY: sending a signal touches no memory of this process.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert_nothing_but_the_profile(directory.path());

    // A command that is not there.
    let mut absent = profiler(["run", "--image", &image.name, "-o"]);
    absent.arg(directory.path().join("other.json")).args(["--", "no-such-program-anywhere"]);
    assert_eq!(Outcome::of(&mut absent).code, 125);
    assert_nothing_but_the_profile(directory.path());
}

#[test]
fn a_profile_that_cannot_be_written_leaves_the_journal_from_which_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch().own();
    let file = profile_file(directory.path());
    // In the way at the end, when it was not at the start.
    let script = r#"docker run --rm --no-healthcheck "$0" >/dev/null && mkdir "$1" && : > "$1/x""#;
    let mut run = profiler(["run", "--image", &image.name, "-o"]);
    run.arg(&file).args(["--", "sh", "-c", script, &image.name]).arg(&file);
    Outcome::of(&mut run)
        .refused(125, &["cannot write profile", "profile.json.partial", "recover"]);
    let other = directory.path().join("other.json");
    let journal = directory.path().join("profile.json.partial");
    Outcome::of(profiler(["recover", "-o"]).arg(&other).arg(&journal)).succeeded();
    // The run came to its end, so this is as good as the other.
    let profile = Profile::read(&other);
    assert_eq!(profile.runs()[0]["interrupted"], false);
    assert_eq!(profile.runs()[0]["exit_status"], 0);
    assert!(profile.paths().contains("/toolbox"));
}

#[test]
fn a_journal_replayed_is_the_profile() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::busybox(true).own();
    let script = r#"
        docker run --rm "$2" sh -c 'ls -lR /bin /usr; test -e /no/such; ln -s /bin /b; /b/ls /b/' >/dev/null 2>&1
        docker run --rm "$2" sh -c '
            mkdir /made; for n in $(seq 300); do : > /made/$n; cat /none/$n /made/$n; done
        ' >/dev/null 2>&1
        sleep 2; cp "$1/profile.json.partial" "$1/copy"; : > "$1/copied"
    "#;
    let run = Run::start(directory.path(), &[&image], script);
    run.until("copied");
    run.end();
    let (mut profile, mut replayed) =
        (Profile::read(&profile_file(directory.path())), load(&directory.path().join("copy")));
    assert!(profile.paths().len() > 300, "{:#?}", profile.paths());
    for member in ["version", "image", "paths", "names", "missing"] {
        assert_eq!(profile.0[member], replayed.0[member], "{member}");
        assert!(!profile.0[member].as_array().is_some_and(Vec::is_empty), "{member}");
    }
    for (profile, ends) in [(&mut profile, true), (&mut replayed, false)] {
        let run = profile.0["runs"][0].as_object_mut().unwrap();
        assert_eq!(run.remove("interrupted"), Some(Value::Bool(!ends)));
        assert_eq!(run.remove("exit_status"), Some(if ends { 0.into() } else { Value::Null }));
        run.remove("ended");
    }
    assert_eq!(profile.0["runs"], replayed.0["runs"]);
}

#[test]
fn a_killed_recording_keeps_what_was_open_before() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::busybox(true).own();
    let container = Container::start(&[
        &image.name,
        "sh",
        "-c",
        "exec 5</usr/share/words; while :; do : > /touched; sleep 0.1; done",
    ]);
    let file = profile_file(directory.path());
    let mut child = profiler(["record", "--container", &container.id, "-o"])
        .arg(&file)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let journal = directory.path().join("profile.json.partial");
    until("touches are written", || {
        fs::read_to_string(&journal).is_ok_and(|text| text.contains("/touched"))
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let paths = load(&journal).paths();
    assert!(paths.contains("/usr/share/words") && paths.contains("/touched"), "{paths:#?}");
    docker(["exec", &container.id, "true"]);
}

#[test]
fn a_storm_over_a_full_table_does_not_grow_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::busybox(true).own();
    // What no other container on the machine has.
    let script = r#"
        docker run --rm "$0" sh -c '
            : > "/$0"; turn=0
            while test $turn -lt 200; do turn=$((turn + 1)); cat "/$0" /bin/busybox >/dev/null; done
        ' "$0"
        sleep 1; grep -c "/$0" "$1.partial"
    "#;
    let file = profile_file(directory.path());
    let mut run = profiler(["run", "--table-entries", "8", "--image", &image.name, "-o"]);
    run.arg(&file).args(["--", "sh", "-c", script, &image.name]).arg(&file);
    let outcome = Outcome::of(&mut run).succeeded();
    let again = Profile::read(&file).runs()[0]["lost"]["table_full"].as_u64().unwrap();
    assert!(again > 1000, "{again} touches were reported again");
    let lines: u64 = outcome.stdout.trim().parse().unwrap();
    // Made, and read.
    assert!((1..=4).contains(&lines), "{lines} lines of one file");
}
