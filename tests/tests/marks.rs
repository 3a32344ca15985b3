//! `profiler mark`: which test touched what, to the touch, and that nothing a
//! client does disturbs the run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use integration_tests::engine::{Image, unique};
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, binary, profile_file, profiler};
use integration_tests::watch::Watch;
use integration_tests::{images, scanner, schema, until};

/// Files of the image, `/data/0` and so on.
const FILES: usize = 200;

/// Busybox with files to touch, under a name of its own.
fn image() -> Image {
    let dockerfile = "FROM scratch\n\
        COPY busybox /bin/busybox\n\
        COPY data /data\n\
        COPY etc /etc\n\
        RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
        CMD [\"sh\"]\n";
    let image = images::build("marks", dockerfile, |context| {
        fs::copy("/bin/busybox", context.join("busybox")).expect("a static busybox");
        for (directory, names) in [
            ("etc", vec!["read.conf".to_owned()]),
            ("data", (0..FILES).map(|number| number.to_string()).collect()),
        ] {
            fs::create_dir(context.join(directory)).expect("a directory");
            for name in names {
                fs::write(context.join(directory).join(&name), name).expect("a file");
            }
        }
    });
    image.own()
}

/// A shell in a container that touches what it is told.
struct Service {
    name: String,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Service {
    fn start(image: &Image) -> Self {
        let name = unique("marks");
        let mut child = Command::new("docker")
            .args(["run", "--rm", "--interactive", "--name", &name, &image.name, "sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("docker starts");
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut service = Self { name, child, stdin, stdout: BufReader::new(stdout) };
        service.run(":");
        service
    }

    /// Runs a line of shell and waits until it is through.
    fn run(&mut self, line: &str) {
        writeln!(self.stdin, "{line}; echo through").expect("a shell that reads");
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).expect("a shell that answers");
        assert_eq!(answer, "through\n", "{line}");
    }

    /// Opens a file, by the shell itself.
    fn open(&mut self, path: &str) {
        self.run(&format!("true < {path}"));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", &self.name]).output();
        let _ = self.child.wait();
    }
}

/// A client that keeps its connection.
struct Marks(BufReader<UnixStream>);

impl Marks {
    fn connect(socket: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(socket).expect("a run that listens")))
    }

    fn ask(&mut self, line: &str) -> String {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).expect("a run that reads");
        let mut answer = String::new();
        self.0.read_line(&mut answer).expect("an answer");
        answer
    }

    #[track_caller]
    fn begin(&mut self, name: &str) {
        assert_eq!(self.ask(&format!("mark {name}")), "ok\n");
    }
}

fn set<const N: usize>(names: [&str; N]) -> Option<BTreeSet<String>> {
    Some(names.map(String::from).into())
}

#[track_caller]
fn checked(file: &Path) -> Profile {
    let profile = Profile::read(file);
    assert_eq!(schema::findings(&profile.0), [] as [&str; 0], "not what the schema says");
    assert_eq!(profile.lost(), [], "events were lost");
    profile
}

/// `profiler run` around a command that finds the program in its PATH.
fn run_of(image: &Image, file: &Path) -> Command {
    let path =
        format!("{}:{}", binary().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = profiler(["run", "--image", &image.name, "-o"]);
    command.arg(file).arg("--").env("PATH", path).env("IMAGE", &image.name);
    command
}

#[test]
fn each_path_and_missing_name_has_exactly_the_marks_that_touched_it() {
    let directory = tempfile::tempdir().unwrap();
    let (image, file) = (image(), profile_file(directory.path()));
    let script = r#"
        service=$(docker run -d "$IMAGE" sh -c 'true < /data/0; true < /data/1; echo up; sleep 60')
        until docker logs "$service" | grep -q up; do sleep 0.1; done
        profiler mark one
        docker exec "$service" cat /data/2 /data/3
        profiler mark two
        docker exec "$service" cat /data/1 /data/absent || :
        profiler mark three
        docker exec "$service" sh -c 'cat /data/3 /data/4; test -e /data/absent/x; test -e /nowhere' || :
        profiler mark --end
        docker exec "$service" sh -c 'true < /data/5'
        profiler mark one
        docker exec "$service" cat /data/6
        profiler mark idle
        docker rm --force "$service"
    "#;
    Outcome::of(run_of(&image, &file).args(["sh", "-ec", script])).succeeded();
    let profile = checked(&file);
    assert_eq!(profile.0["marks"], serde_json::json!(["", "idle", "one", "three", "two"]));
    for (path, marks) in [
        ("/data/0", set([""])),
        ("/data/1", set(["", "two"])),
        ("/data/2", set(["one"])),
        ("/data/3", set(["one", "three"])),
        ("/data/4", set(["three"])),
        ("/data/5", set([""])),
        ("/data/6", set(["one"])),
        ("/data/7", None),
        ("/bin/busybox", set(["", "one", "two", "three"])),
    ] {
        assert_eq!(profile.marks("paths", path), marks, "{path}");
    }
    assert_eq!(profile.marks("missing", "/data/absent"), set(["two"]));
    assert_eq!(profile.marks("missing", "/nowhere"), set(["three"]));
    // The runtime looks for the program, too, which is no test's doing; the
    // third test's shell has a cat of its own.
    assert_eq!(profile.marks("names", "/bin/cat"), set(["one", "two"]));

    let shown = Outcome::of(profiler(["show"]).arg(&file)).succeeded().stdout;
    let line = |name: &str| {
        let line = shown.lines().find(|line| line.ends_with(&format!("  {name}")));
        line.unwrap_or_else(|| panic!("{name}: {shown}")).split_whitespace().collect::<Vec<_>>()
    };
    // /data/2, /data/3, /data/6 and busybox; the first and the third alone.
    assert_eq!(line("one")[..2], ["4", "2"], "{shown}");
    assert_eq!(line("idle")[..2], ["0", "0"], "{shown}");
    let why = |path: &str| Outcome::of(profiler(["show", "--why", path]).arg(&file)).succeeded();
    let told = why("/data/3").stdout;
    assert!(told.contains("in the test one\n") && told.contains("in the test three\n"), "{told}");
    assert!(!told.contains("outside of marks") && !told.contains("the test two"), "{told}");
    assert!(why("/data/1").stdout.contains("outside of marks\n    in the test two\n"));
    assert!(why("/nowhere").stdout.contains("in the test three\n"));
}

#[test]
fn two_hundred_marks_in_a_row_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let image = image();
    let watch = Watch::start_of(directory.path(), &[&image]);
    let mut service = Service::start(&image);
    let mut marks = Marks::connect(&watch.socket());
    let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut missing: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for number in 0..200 {
        let name = format!("test {number}");
        marks.begin(&name);
        let mut line = String::from(":");
        // One of its own, one that every seventh touches, one that all do.
        for file in [number % 150, 150 + number % 7, 199] {
            line += &format!("; true < /data/{file}; test -e /none/{file}");
            expected.entry(format!("/data/{file}")).or_default().insert(name.clone());
            missing.entry(format!("/none/{file}")).or_default().insert(name.clone());
        }
        service.run(&line);
    }
    drop(service);
    let profile = watch.finish();
    assert_eq!(schema::findings(&profile.0), [] as [&str; 0]);
    for (list, expected) in [("paths", &expected), ("missing", &missing)] {
        for (path, tests) in expected {
            assert_eq!(profile.marks(list, path).as_ref(), Some(tests), "{path}");
        }
    }
    assert_eq!(profile.0["marks"].as_array().unwrap().len(), 201);
}

#[test]
fn a_touch_just_before_or_after_a_mark_is_never_on_the_wrong_side() {
    let directory = tempfile::tempdir().unwrap();
    let image = image();
    let watch = Watch::start_of(directory.path(), &[&image]);
    let socket = watch.socket();
    let mut service = Service::start(&image);
    let mut marks = Marks::connect(&socket);
    let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = String::new();
    for number in 0..400 {
        let (before, after) = (number % FILES, (number * 7 + 3) % FILES);
        let mut touch = |file: usize, test: &str| {
            service.open(&format!("/data/{file}"));
            expected.entry(format!("/data/{file}")).or_default().insert(test.to_owned());
        };
        touch(before, &current);
        // Names come again, and now and then none goes on.
        current = match number % 50 {
            49 => String::new(),
            _ => (number % 130).to_string(),
        };
        match (number % 10, current.as_str()) {
            (0, name) if !name.is_empty() => {
                Outcome::of(profiler(["mark", name]).env("PROFILER_SOCKET", &socket)).succeeded();
            }
            (_, "") => assert_eq!(marks.ask("end"), "ok\n"),
            (_, name) => marks.begin(name),
        }
        touch(after, &current);
    }
    drop(service);
    let profile = watch.finish();
    assert_eq!(profile.lost(), []);
    for (path, tests) in &expected {
        assert_eq!(profile.marks("paths", path).as_ref(), Some(tests), "{path}");
    }
}

/// A code block of the documentation as it is.
fn snippet(language: &str) -> String {
    let text = include_str!("../../docs/marks.md");
    let start = text.split_once(&format!("```{language}\n")).expect("a snippet").1;
    start.split_once("```").expect("its end").0.to_owned()
}

#[test]
fn the_snippets_of_the_documentation_do_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let (image, file) = (image(), profile_file(directory.path()));
    Outcome::of(run_of(&image, &file).args(["sh", "-ec", &snippet("sh")])).succeeded();
    let profile = checked(&file);
    assert_eq!(profile.marks("paths", "/etc/read.conf"), set(["reads the configuration"]));
    assert_eq!(profile.marks("missing", "/etc/absent.conf"), set(["looks for what is not there"]));
    // The same outside of a run.
    let path =
        format!("{}:{}", binary().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut outside = Command::new("sh");
    outside.args(["-ec", &snippet("sh")]).env("PATH", path).env("IMAGE", &image.name);
    Outcome::of(outside.env_remove("PROFILER_SOCKET")).succeeded();

    let file = directory.path().join("python.json");
    let script = r#"
        python3 -c "$1"
        docker run --rm "$IMAGE" cat /etc/read.conf
    "#;
    let python = ["sh", "-ec", script, "sh", &snippet("python")];
    Outcome::of(run_of(&image, &file).args(python)).succeeded();
    assert_eq!(checked(&file).marks("paths", "/etc/read.conf"), set(["by hand"]));
}

#[test]
fn the_pytest_plugin_marks_each_test_and_is_silent_outside_of_a_run() {
    let directory = tempfile::tempdir().unwrap();
    let (image, file) = (image(), profile_file(directory.path()));
    let suite = r#"
import subprocess
import pytest

def touch(service, path):
    return subprocess.run(["docker", "exec", service, "cat", path]).returncode

@pytest.fixture(scope="module")
def service():
    import os
    run = ["docker", "run", "--detach", os.environ["IMAGE"], "sleep", "60"]
    service = subprocess.check_output(run, text=True).strip()
    assert touch(service, "/data/0") == 0
    yield service
    subprocess.run(["docker", "rm", "--force", service], check=True)

def test_one(service):
    assert touch(service, "/data/1") == 0

@pytest.mark.parametrize("word", ["a b", "ä", "long" * 100])
def test_two(service, word):
    assert touch(service, "/data/2") == 0
    assert touch(service, "/absent") == 1

class TestThree:
    def test_fails(self, service):
        assert touch(service, "/data/3") == 1
"#;
    fs::write(directory.path().join("test_suite.py"), suite).unwrap();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let pytest = |command: &mut Command| {
        command.args([
            "python3",
            "-m",
            "pytest",
            "-p",
            "pytest_profiler",
            "-p",
            "no:cacheprovider",
        ]);
        let path = [docs.clone(), scanner::python_packages()];
        command.env("PYTHONPATH", std::env::join_paths(path).unwrap());
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        Outcome::of(command.current_dir(directory.path()))
    };
    let outcome = pytest(&mut run_of(&image, &file));
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    assert!(outcome.stdout.contains("1 failed, 4 passed in"), "{outcome:#?}");
    let profile = checked(&file);
    let one = "test_suite.py::test_one";
    assert_eq!(profile.marks("paths", "/data/0"), set([one]));
    assert_eq!(profile.marks("paths", "/data/1"), set([one]));
    assert_eq!(profile.marks("paths", "/data/3"), set(["test_suite.py::TestThree::test_fails"]));
    let two = profile.marks("paths", "/data/2").unwrap();
    assert_eq!(two.len(), 3, "{two:?}");
    assert!(two.contains("test_suite.py::test_two[a b]"), "{two:?}");
    assert!(
        two.iter().any(|name| name.len() <= 256 && name.contains("longlong") && name.contains('~'))
    );
    assert_eq!(profile.marks("missing", "/absent"), Some(two));

    let mut outside = Command::new("env");
    let outcome = pytest(outside.env("IMAGE", &image.name).env_remove("PROFILER_SOCKET"));
    assert!(outcome.stdout.contains("1 failed, 4 passed in"), "{outcome:#?}");
}

#[test]
fn hostile_clients_neither_hold_the_run_up_nor_change_its_marks() {
    let directory = tempfile::tempdir().unwrap();
    let image = image();
    let watch = Watch::start_of(directory.path(), &[&image]);
    let socket = watch.socket();
    let mut service = Service::start(&image);
    let mut marks = Marks::connect(&socket);
    marks.begin("a");
    service.open("/data/0");
    // Silent ones, as many as are taken and more.
    let silent: Vec<_> = (0..300).filter_map(|_| UnixStream::connect(&socket).ok()).collect();
    for line in ["", "mark ", "mark \u{1b}[2J", "mark", "start x", "end x", "\u{0}"] {
        assert!(marks.ask(line).starts_with("error: "), "{line:?}");
    }
    marks.begin("b");
    service.open("/data/1");
    drop(silent);
    // A line without an end.
    let endless = std::thread::spawn({
        let socket = socket.clone();
        move || {
            let block = vec![b'x'; 1 << 20];
            for _ in 0..20 {
                let Ok(mut stream) = UnixStream::connect(&socket) else { continue };
                let sent = (0..1024).take_while(|_| stream.write_all(&block).is_ok()).count();
                assert!(sent < 64, "{sent} MiB were taken");
            }
        }
    });
    // One that writes and never reads.
    let mut deaf = UnixStream::connect(&socket).unwrap();
    deaf.set_nonblocking(true).unwrap();
    while deaf.write(&[b'\n'; 4096]).is_ok() {}
    for number in 0..100 {
        marks.begin(&format!("c {number}"));
        service.open("/data/2");
    }
    endless.join().unwrap();
    assert!(marks.ask(&format!("mark {}", "x".repeat(300))).starts_with("error: "));
    drop(service);
    let profile = watch.finish();
    drop(deaf);
    assert!(!socket.parent().unwrap().exists(), "the socket is left");
    assert_eq!(profile.marks("paths", "/data/0"), set(["a"]));
    assert_eq!(profile.marks("paths", "/data/1"), set(["b"]));
    assert_eq!(profile.marks("paths", "/data/2").unwrap().len(), 100);
    assert_eq!(profile.0["marks"].as_array().unwrap().len(), 103);
}

#[test]
fn marks_outside_of_a_run_are_an_error_unless_told() {
    let directory = tempfile::tempdir().unwrap();
    let noted = directory.path().join("socket");
    let script = r#"printf %s "$PROFILER_SOCKET" > "$1""#;
    let mut run = profiler(["run", "--image", "no-such-image", "-o"]);
    run.arg(profile_file(directory.path())).args(["--", "sh", "-c", script, "sh"]);
    Outcome::of(run.arg(&noted)).succeeded();
    let socket = PathBuf::from(fs::read_to_string(&noted).unwrap());
    assert!(socket.is_absolute() && !socket.parent().unwrap().exists(), "{}", socket.display());
    // An old client: its run is over.
    let old = |arguments: &[&str]| {
        Outcome::of(profiler(["mark"]).args(arguments).env("PROFILER_SOCKET", &socket))
    };
    old(&["x"]).refused(2, &["has ended", "profiler run"]);
    let silent = old(&["--if-running", "x"]).succeeded();
    assert_eq!((silent.stdout.as_str(), silent.stderr.as_str()), ("", ""));
    let bare = |arguments: &[&str]| {
        Outcome::of(profiler(["mark"]).args(arguments).env_remove("PROFILER_SOCKET"))
    };
    bare(&["x"]).refused(2, &["PROFILER_SOCKET", "--if-running"]);
    bare(&["--end"]).refused(2, &["PROFILER_SOCKET"]);
    bare(&["--end", "--if-running"]).succeeded();
    for arguments in [&[][..], &["x", "--end"], &[""], &["a\nb"], &["  "], &[&"x".repeat(257)]] {
        let outcome = bare(arguments);
        assert_eq!(outcome.code, 2, "{arguments:?}: {outcome:#?}");
    }
}

#[test]
fn the_socket_is_gone_after_a_signal() {
    // Under nohup(1) the command would be deaf to it, and so it should.
    // SAFETY: no handler is set.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
        let directory = tempfile::tempdir().unwrap();
        let noted = directory.path().join("socket");
        let script =
            r#"printf %s "$PROFILER_SOCKET" > "$1.part"; mv "$1.part" "$1"; exec sleep 60"#;
        let mut run = profiler(["run", "--image", "no-such-image", "-o"]);
        run.arg(profile_file(directory.path())).args(["--", "sh", "-c", script, "sh"]);
        let mut child = run.arg(&noted).stdin(Stdio::null()).spawn().unwrap();
        until("the command runs", || noted.exists());
        let socket = PathBuf::from(fs::read_to_string(&noted).unwrap());
        assert!(socket.exists());
        // SAFETY: sending a signal touches no memory of this process.
        assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(128 + signal), "{status}");
        assert!(!socket.parent().unwrap().exists(), "left after signal {signal}");
    }
}

#[test]
fn merged_profiles_and_their_coverage_know_a_test_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let image = image();
    let run = |name: &str, tests: &[(&str, &[usize])]| {
        let watch = Watch::start_of(directory.path(), &[&image]);
        let mut service = Service::start(&image);
        service.open("/data/100");
        let mut marks = Marks::connect(&watch.socket());
        for (test, files) in tests {
            marks.begin(test);
            files.iter().for_each(|file| service.open(&format!("/data/{file}")));
        }
        drop(service);
        let file = directory.path().join(name);
        watch.finish().write(&file);
        file
    };
    let profiles = [
        run("1.json", &[("b", &[1, 2]), ("c", &[2, 3, 100])]),
        run("2.json", &[("a", &[2, 5]), ("b", &[1]), ("d", &[6, 7])]),
    ];
    let merged = directory.path().join("merged.json");
    let reversed = directory.path().join("reversed.json");
    Outcome::of(profiler(["merge", "-o"]).arg(&merged).args(&profiles)).succeeded();
    Outcome::of(profiler(["merge", "-o"]).arg(&reversed).args(profiles.iter().rev())).succeeded();
    assert_eq!(fs::read(&merged).unwrap(), fs::read(&reversed).unwrap());
    let profile = checked(&merged);
    assert_eq!(profile.0["marks"], serde_json::json!(["", "a", "b", "c", "d"]));
    for (file, marks) in [
        (1, set(["b"])),
        (2, set(["a", "b", "c"])),
        (3, set(["c"])),
        (5, set(["a"])),
        (6, set(["d"])),
        (100, set(["", "c"])),
    ] {
        assert_eq!(profile.marks("paths", &format!("/data/{file}")), marks, "{file}");
    }
    let coverage = |arguments: &[&str], profiles: &[PathBuf]| {
        let mut command = profiler(["coverage", "--format", "json"]);
        let outcome = Outcome::of(command.args(arguments).args(profiles)).succeeded();
        serde_json::from_str::<serde_json::Value>(&outcome.stdout).unwrap()
    };
    let of_two = coverage(&[], &profiles);
    assert_eq!(of_two["by"], "mark");
    let alone: Vec<_> =
        of_two["runs"].as_array().unwrap().iter().map(|run| &run["alone"]).collect();
    assert_eq!(alone, [1, 1, 1, 2], "{of_two:#}");
    assert_eq!(of_two, coverage(&[], std::slice::from_ref(&merged)));
    assert_eq!(coverage(&["--by", "run"], &profiles)["by"], "run");
    Outcome::of(profiler(["coverage", "--fail-on", "unseen>0.9"]).arg(&merged))
        .refused(1, &["the next test", "more tests"]);
    let table = Outcome::of(profiler(["coverage"]).arg(&merged)).succeeded().stdout;
    assert!(table.contains("(outside of marks)") && table.contains("the next test"), "{table}");

    let plain = directory.path().join("plain.json");
    let mut unmarked = Profile::read(&profiles[0]);
    unmarked.0.as_object_mut().unwrap().remove("marks");
    for list in ["paths", "names", "missing"] {
        let entries = unmarked.0[list].as_array_mut().unwrap();
        entries.iter_mut().for_each(|entry| drop(entry.as_object_mut().unwrap().remove("marks")));
    }
    unmarked.write(&plain);
    Outcome::of(profiler(["coverage", "--by", "mark"]).arg(&plain))
        .refused(2, &["no profile has marks"]);
}
