//! `profiler watch`: what containers of a minimized image look for in vain, as
//! it happens.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use integration_tests::engine::{Container, Image, docker};
use integration_tests::program::{Outcome, minimize, profile_file, profiler};
use integration_tests::{images, until};
use serde_json::Value;
use tempfile::TempDir;

/// Debian, of which a shell and `sleep` were touched; and what is left.
struct Pair {
    directory: TempDir,
    original: Image,
    small: Image,
}

impl Pair {
    #[track_caller]
    fn make() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let dockerfile = format!("FROM {}\nLABEL purpose=watch\n", images::base());
        let original = images::build("watched", &dockerfile, |_| {}).own();
        let mut run = profiler(["run", "--image", &original.name, "-o"]);
        run.arg(profile_file(directory.path())).args(["--", "docker", "run", "--rm"]);
        run.args([&original.name, "sh", "-c", "test -e /etc/hostname; sleep 0.1; true"]);
        Outcome::of(&mut run).succeeded();
        let small = minimize(directory.path(), &original);
        Self { directory, original, small }
    }

    /// `profiler watch` on what was made from the original.
    #[track_caller]
    fn watch(&self, arguments: &[&str]) -> Watching {
        Watching::start(self.directory.path(), &self.original, arguments)
    }
}

/// A container that waits.
#[track_caller]
fn idle(image: &Image) -> Container {
    Container::start(&["--network", "none", &image.name, "sh", "-c", "sleep 300; true"])
}

/// Has a shell in a container look whether a file is there.
#[track_caller]
fn look_for(container: &Container, name: &str) -> bool {
    let script = format!("test -e {name} && echo yes; true");
    docker(["exec", &container.id, "sh", "-c", &script]) == "yes"
}

/// A running `profiler watch`.
struct Watching {
    child: Child,
    lines: PathBuf,
    metrics: String,
}

impl Watching {
    #[track_caller]
    fn start(directory: &Path, original: &Image, arguments: &[&str]) -> Self {
        let lines = directory.join("lines.json");
        let _ = fs::remove_file(&lines);
        let mut child = profiler(["watch", "--metrics", "127.0.0.1:0", "--original"])
            .args([&original.name, "--profile"])
            .arg(profile_file(directory))
            .arg("--output")
            .arg(&lines)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut words = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = words.next().unwrap().unwrap();
        let metrics = first.strip_prefix("profiler: metrics at http://").expect("an address");
        let metrics = metrics.strip_suffix("/metrics").unwrap().to_owned();
        let second = words.next().unwrap().unwrap();
        assert!(second.contains("watching"), "{second}");
        // Nobody else reads the pipe.
        std::thread::spawn(move || words.for_each(drop));
        Self { child, lines, metrics }
    }

    /// What was told so far.
    fn told(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.lines).unwrap();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// What was told of a container, once there is something.
    #[track_caller]
    fn told_of(&self, container: &Container, count: usize) -> Vec<Value> {
        let of = |told: Vec<Value>| -> Vec<Value> {
            told.into_iter().filter(|line| line["container"] == container.id).collect()
        };
        let start = Instant::now();
        while of(self.told()).len() < count {
            let waited = start.elapsed();
            assert!(waited < Duration::from_secs(20), "{} of {count}", of(self.told()).len());
            std::thread::sleep(Duration::from_millis(20));
        }
        of(self.told())
    }

    /// Asks by HTTP; status line and body.
    fn ask(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.metrics).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// The value of a series.
    #[track_caller]
    fn metric(&self, series: &str) -> Option<u64> {
        let (status, text) = self.ask("/metrics");
        assert_eq!(status, "HTTP/1.1 200 OK");
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map(|value| value.parse().expect("a number"))
    }

    /// Ends it as an operator would.
    #[track_caller]
    fn terminate(mut self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: sending a signal touches no memory of this process.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
        let start = Instant::now();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{status}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_lookup_of_what_was_removed_is_told_while_the_container_runs_and_nothing_else_is() {
    let pair = Pair::make();
    let earlier = idle(&pair.small);
    let watching = pair.watch(&[]);
    let later = idle(&pair.small);
    let unrelated = idle(&pair.original);
    for container in [&earlier, &later] {
        assert!(look_for(container, "/bin/sh"));
        assert!(!look_for(container, "/usr/bin/never-there"));
        assert!(!look_for(container, "/bin/perl"));
        let told = watching.told_of(container, 1);
        let [line] = &told[..] else { panic!("{told:#?}") };
        assert_eq!(line["name"], "/bin/perl");
        assert_eq!(line["path"], "/usr/bin/perl");
        assert_eq!(line["package"], "perl-base");
        assert_eq!((&line["comm"], &line["exe"]), (&"sh".into(), &"/usr/bin/dash".into()));
        assert_eq!(
            (&line["kind"], &line["image"]),
            (&"stat".into(), &pair.small.name.clone().into())
        );
        let time = line["time"].as_str().unwrap();
        let now = docker(["exec", &unrelated.id, "date", "--utc", "+%FT%T.999Z"]);
        assert!(time <= now.as_str() && time[..13] == now[..13], "{time}, now {now}");
        let name = docker(["inspect", "--format={{.Name}}", &container.id]);
        assert_eq!(name.trim_start_matches('/'), line["container_name"]);
    }
    // The original's own containers may remove what they like.
    docker(["exec", &unrelated.id, "rm", "/usr/bin/perl"]);
    assert!(!look_for(&unrelated, "/usr/bin/perl"));
    // Again, which is told by nobody, and another one, which is.
    assert!(!look_for(&later, "/bin/perl"));
    assert!(!look_for(&later, "/usr/bin/tac"));
    assert_eq!(watching.told_of(&later, 2)[1]["package"], "coreutils");
    assert_eq!(watching.told().len(), 3, "{:#?}", watching.told());
    watching.terminate();
}

#[test]
fn counts_are_scraped_by_http_and_idle_clients_hold_up_nothing() {
    let pair = Pair::make();
    let watching = pair.watch(&[]);
    let removed = |package: &str| {
        let image = &pair.small.name;
        format!(r#"profiler_removed_lookups_total{{image="{image}",package="{package}"}}"#)
    };
    let one = idle(&pair.small);
    let two = idle(&pair.small);
    for container in [&one, &two] {
        look_for(container, "/usr/bin/perl");
        watching.told_of(container, 1);
    }
    look_for(&one, "/usr/bin/tac");
    watching.told_of(&one, 2);
    assert_eq!(watching.metric(&removed("perl-base")), Some(2));
    assert_eq!(watching.metric(&removed("coreutils")), Some(1));
    assert_eq!(watching.metric(r#"profiler_events_lost_total{cause="ring_full"}"#), Some(0));
    let containers = |count| watching.metric("profiler_containers_watched") == Some(count);
    until("both are counted", || containers(2));
    drop(two);
    until("the one that ended is not", || containers(1));
    assert_eq!(watching.ask("/").0, "HTTP/1.1 404 Not Found");

    let idlers: Vec<_> = (0..40).map(|_| TcpStream::connect(&watching.metrics).unwrap()).collect();
    look_for(&one, "/usr/bin/sort");
    watching.told_of(&one, 3);
    assert_eq!(watching.metric(&removed("coreutils")), Some(2));
    drop(idlers);
    watching.terminate();
}

#[test]
fn watching_goes_on_over_renewals_and_tells_nothing_twice() {
    let pair = Pair::make();
    let container = idle(&pair.small);
    let watching = pair.watch(&["--renew", "1s"]);
    let names = ["/usr/bin/perl", "/usr/bin/tac", "/usr/bin/sort"];
    for turn in 1..=names.len() {
        for name in &names[..turn] {
            look_for(&container, name);
        }
        watching.told_of(&container, turn);
        let renewals = || watching.metric("profiler_renewals_total").unwrap();
        let before = renewals();
        until("all is attached anew", || renewals() > before);
    }
    let told = watching.told();
    let told: Vec<_> = told.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(told, names);
    watching.terminate();
}

#[test]
fn only_images_that_are_named_are_watched_where_any_is() {
    let pair = Pair::make();
    let other = pair.small.own();
    let watching = pair.watch(&["--image", &other.name]);
    let (named, unnamed) = (idle(&other), idle(&pair.small));
    look_for(&unnamed, "/usr/bin/perl");
    look_for(&named, "/usr/bin/perl");
    watching.told_of(&named, 1);
    assert_eq!(watching.told().len(), 1, "{:#?}", watching.told());
    watching.terminate();
}

#[test]
fn what_cannot_be_used_is_named() {
    let pair = Pair::make();
    let profile = profile_file(pair.directory.path());
    let watch = |original: &str| {
        let mut watch = profiler(["--quiet", "watch", "--original", original, "--profile"]);
        watch.arg(&profile);
        watch
    };
    // The profile is of the original.
    Outcome::of(&mut watch(&pair.small.name)).refused(2, &[&pair.original.name, "--original"]);
    Outcome::of(&mut watch("no-such-image-anywhere")).refused(2, &["no-such-image-anywhere"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    Outcome::of(watch(&pair.original.name).args(["--metrics", &address]))
        .refused(2, &[&address, "--metrics"]);
    Outcome::of(watch(&pair.original.name).args(["--output", "/none/lines.json"]))
        .refused(2, &["/none/lines.json", "--output"]);
}
