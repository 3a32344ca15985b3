//! `profiler verify` and `profiler minimize --verify`: an application whose
//! first tests use a part of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use integration_tests::engine::{Image, PodmanImage, docker, unique};
use integration_tests::images;
use integration_tests::program::{Outcome, profiler};
use serde_json::Value;
use tempfile::TempDir;

/// What no test of the first set asks for: a file, a locale, a module that is
/// imported when it is needed, a library, a script by its name.
const SECOND: [&str; 5] = [
    "page:about",
    "language:de_DE.UTF-8",
    "module:colorsys",
    "library:libbz2.so.1.0",
    "helper:report-monthly",
];

/// The application, and its small image by a profile of the first tests.
struct Bench {
    directory: TempDir,
    image: Image,
    profile: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let (directory, image) = (tempfile::tempdir().unwrap(), images::requests().own());
        let profile = directory.path().join("first.json");
        let bench = Self { directory, image, profile };
        bench.profile(&["page:index", "helper:report-daily"], &bench.profile);
        bench
    }

    fn profile(&self, requests: &[&str], to: &Path) {
        let mut command = profiler(["--quiet", "run", "--image", &self.image.name, "-o"]);
        command.arg(to).arg("--").args(tests(requests)).env("PROFILER_IMAGE", &self.image.name);
        Outcome::of(&mut command).succeeded();
    }

    fn minimized(&self) -> Image {
        let small = Image::future("small");
        let output = format!("docker-daemon:{}", small.name);
        let mut command = profiler(["minimize", &self.image.name, "--output", &output]);
        Outcome::of(command.arg("--profile").arg(&self.profile)).succeeded();
        small
    }

    fn verify(&self, small: &str, options: &[&str], command: &[String]) -> Outcome {
        let mut verify = profiler(["verify", "--original", &self.image.name, small]);
        verify.args(options).arg("--").args(command);
        Outcome::of(&mut verify)
    }

    fn heal(&self, output: &str, options: &[&str], command: &[String]) -> Outcome {
        let mut minimize = profiler(["minimize", &self.image.name, "--output", output]);
        minimize.arg("--profile").arg(&self.profile).arg("--verify").args(options);
        Outcome::of(minimize.arg("--").args(command))
    }

    fn report(&self) -> PathBuf {
        self.directory.path().join("report.json")
    }
}

/// A command that sends each request to a container of its own, all of them
/// whatever comes of the others.
fn tests(requests: &[&str]) -> Vec<String> {
    let script = r#"status=0
        for request; do docker run --rm "$PROFILER_IMAGE" $request || status=1; done
        exit $status"#;
    ["sh", "-c", script, "sh"].iter().chain(requests).map(|&word| word.to_owned()).collect()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn id(name: &str) -> Option<String> {
    let inspect = ["image", "inspect", "--format={{.Id}}", name];
    let output = Command::new("docker").args(inspect).output().unwrap();
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Waits until a command has made this file: images are opened first.
fn running(ready: &Path) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !ready.exists() {
        assert!(Instant::now() < deadline, "the command does not run");
        sleep(Duration::from_millis(50));
    }
}

/// Images that rounds would leave behind.
fn left_behind() -> Vec<String> {
    let all = docker(["images", "--format={{.Repository}}:{{.Tag}}"]);
    all.lines().filter(|line| line.starts_with("profiler-verify-")).map(str::to_owned).collect()
}

/// Whether the second name of what a lent name meant is still there.
fn is_kept(name: &str) -> bool {
    id(&format!("{name}:before-profiler-latest")).is_some()
}

#[test]
fn each_path_that_a_second_set_of_tests_misses_is_named_with_its_package() {
    let bench = Bench::new();
    let small = bench.minimized();
    let report = bench.report();
    let options = ["--report", report.to_str().unwrap()];
    let outcome = bench.verify(&small.name, &options, &tests(&SECOND));
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    println!("{}", outcome.stdout);
    assert!(outcome.stderr.contains("the command failed with status 1, and"), "{outcome:#?}");
    let report = read(&report);
    assert_eq!((&report["passed"], &report["status"]), (&false.into(), &1.into()));
    let misses = report["misses"].as_array().unwrap();
    let files = |of: &Value| of.as_array().unwrap().clone();
    let gone: Vec<Value> = misses.iter().flat_map(|miss| files(&miss["files"])).collect();
    let package = |path: &str| {
        let found = gone.iter().find(|gone| gone["path"] == path);
        let found = found.unwrap_or_else(|| panic!("{path} is not in {report:#}"));
        found["package"].as_str().map(str::to_owned)
    };
    assert_eq!(package("/app/templates/about.html"), None);
    assert_eq!(package("/usr/local/bin/report-monthly"), None);
    let library = package("/usr/lib/x86_64-linux-gnu/libbz2.so.1.0.4");
    assert_eq!(library.as_deref(), Some("libbz2-1.0"));
    assert!(
        gone.iter().any(|gone| gone["path"].as_str().unwrap().contains("/locale/de_DE.utf8/")),
        "{report:#}"
    );
    let miss = misses.iter().find(|miss| miss["name"] == "/app/templates/about.html").unwrap();
    assert_eq!((&miss["comm"], &miss["kinds"][0]), (&"python3".into(), &"open".into()));
    assert!(miss["exe"].as_str().unwrap().starts_with("/usr/bin/python3"), "{miss}");

    // The import made no lookup fail: Python lists the directory.
    let notes = report["notes"].as_array().unwrap();
    let import =
        notes.iter().find(|note| note["gone"][0]["path"] == "/usr/lib/python3.11/colorsys.py");
    let import = import.unwrap_or_else(|| panic!("{notes:#?}"));
    assert_eq!((&import["why"], &import["path"]), (&"imported".into(), &"/app/app.py".into()));
    assert_eq!(import["gone"][0]["package"], "libpython3.11-stdlib");
    assert!(outcome.stdout.contains("colorsys.py of libpython3.11-stdlib"), "{outcome:#?}");

    // What the first tests use is there.
    let first = bench.verify(&small.name, &[], &tests(&["page:index", "helper:report-daily"]));
    assert_eq!(first.succeeded().stderr.lines().count(), 1);
}

#[test]
fn the_healing_loop_ends_with_an_image_that_passes() {
    let bench = Bench::new();
    let healed = Image::future("healed");
    let report = bench.report();
    let output = format!("docker-daemon:{}", healed.name);
    let options = ["--report", report.to_str().unwrap()];
    let outcome = bench.heal(&output, &options, &tests(&SECOND)).succeeded();
    println!("{}", outcome.stderr);
    assert!(outcome.stderr.contains("profiler: round 1: command failed (1), "), "{outcome:#?}");
    assert_eq!(left_behind(), [""; 0]);
    let report = read(&report);
    let rounds = report["rounds"].as_array().unwrap();
    assert!(rounds.len() > 1, "{rounds:#?}");
    let last = rounds.last().unwrap();
    assert_eq!((&last["status"], last["misses"].as_array().unwrap().len()), (&0.into(), 0));
    assert_eq!(report["output"]["id"].as_str(), id(&healed.name).as_deref());
    let kept = report["kept"].as_array().unwrap();
    let page = kept.iter().find(|kept| kept["path"] == "/app/templates/about.html").unwrap();
    assert_eq!(page["rule"], "healed");
    assert_eq!(page["detail"], "looked up by python3 in round 1");

    bench.verify(&healed.name, &[], &tests(&SECOND)).succeeded();
    assert!(healed.size() < bench.image.size() / 2, "{} of {}", healed.size(), bench.image.size());
    // What nobody asked for is not there.
    let other = bench.verify(&healed.name, &[], &tests(&["page:contact"]));
    assert_eq!(other.code, 1, "{other:#?}");
    assert!(other.stdout.contains("/app/templates/contact.html"), "{other:#?}");
}

#[test]
fn healing_that_cannot_succeed_leaves_no_image() {
    let bench = Bench::new();
    let output = bench.directory.path().join("out.tar");
    let to = format!("oci-archive:{}", output.display());
    let whatever = bench.heal(&to, &[], &tests(&["exit:3"]));
    assert_eq!(whatever.code, 1, "{whatever:#?}");
    assert!(whatever.stderr.contains("no lookup was missed"), "{whatever:#?}");
    // What the user excludes stays out.
    let excluded =
        bench.heal(&to, &["--exclude", "/app/templates/about.html"], &tests(&SECOND[..1]));
    assert_eq!(excluded.code, 1, "{excluded:#?}");
    assert!(excluded.stderr.contains("nothing new can be added"), "{excluded:#?}");
    let rounds = bench.heal(&to, &["--max-rounds", "1"], &tests(&SECOND[..1]));
    assert_eq!(rounds.code, 1, "{rounds:#?}");
    assert!(rounds.stderr.contains("--max-rounds"), "{rounds:#?}");
    let elsewhere = bench.heal(&to, &[], &["true".to_owned()]);
    assert_eq!(elsewhere.code, 1, "{elsewhere:#?}");
    assert!(elsewhere.stderr.contains("did not start"), "{elsewhere:#?}");
    assert!(!output.exists());
    assert_eq!(left_behind(), [""; 0]);

    // The same file is written when all is well.
    bench.heal(&to, &[], &tests(&["page:index"])).succeeded();
    assert!(output.exists());
}

#[test]
fn a_miss_is_told_although_the_tests_pass_and_a_volume_is_none() {
    let bench = Bench::new();
    let small = bench.minimized();
    let passed = bench.verify(&small.name, &[], &tests(&["optional:/app/optional.conf"]));
    assert_eq!(passed.code, 1, "{passed:#?}");
    assert!(passed.stderr.contains("the command passed, but 1 name is missing"), "{passed:#?}");
    assert!(passed.stdout.contains("/app/optional.conf"), "{passed:#?}");

    let over = bench.directory.path().join("over");
    fs::create_dir(&over).unwrap();
    let volume = format!("{}:/app/templates", over.display());
    let script =
        r#"docker run --rm --volume "$0" "$PROFILER_IMAGE" optional:/app/templates/about.html"#;
    let command = ["sh", "-c", script, &volume].map(str::to_owned);
    bench.verify(&small.name, &[], &command).succeeded();

    // Missing in the original as well.
    bench.verify(&small.name, &[], &tests(&["optional:/app/none.conf"])).succeeded();
    // The original misses nothing.
    bench.verify(&bench.image.name, &[], &tests(&SECOND)).succeeded();
}

#[test]
fn what_runs_nothing_of_the_image_proves_nothing() {
    let bench = Bench::new();
    let command = ["true".to_owned()];
    let name = &bench.image.name;
    bench.verify(name, &[], &command).refused(1, &["did not start", name, "$PROFILER_IMAGE"]);
    bench.verify("oci:nowhere", &[], &command).refused(2, &["oci:nowhere"]);
    // A ring of one page, which the start of Python fills while nobody reads.
    let script = r#"
        kill -STOP $PPID
        docker run --rm "$PROFILER_IMAGE" page:index; status=$?
        kill -CONT $PPID
        docker run --rm "$PROFILER_IMAGE" page:index && exit $status"#;
    let command = ["sh", "-c", script].map(str::to_owned);
    let lossy = bench.verify(name, &["--ring-size", "1"], &command);
    assert_eq!(lossy.code, 1, "{lossy:#?}");
    assert!(lossy.stderr.contains("not known in full"), "{lossy:#?}");
}

#[test]
fn a_name_is_lent_to_the_small_image_and_given_back() {
    let bench = Bench::new();
    let small = bench.minimized();
    let (there, new) = (Image::future("lent"), Image::future("new"));
    docker(["tag", &bench.image.name, &there.name]);
    let before = id(&there.name);
    let lent = |name: &str, request: &str| {
        let script = r#"docker run --rm "$0" "$1" && docker image inspect --format='{{.Id}}' "$0""#;
        let command = ["sh", "-c", script, name, request].map(str::to_owned);
        bench.verify(&small.name, &["--as", name], &command)
    };
    for name in [&there.name, &new.name] {
        let passed = lent(name, "page:index").succeeded();
        assert!(passed.stdout.contains(&id(&small.name).unwrap()), "{passed:#?}");
        assert!(passed.stderr.contains("undo it: docker "), "{passed:#?}");
        assert_eq!(lent(name, "page:about").code, 1);
        assert_eq!(lent(name, "exit:3").code, 1);
    }
    assert_eq!((id(&there.name), id(&new.name)), (before.clone(), None));
    assert!(!is_kept(&there.name));

    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        for name in [&there.name, &new.name] {
            let ready = bench.directory.path().join("ready");
            let _ = fs::remove_file(&ready);
            let script = r#": > "$0"; exec sleep 60"#;
            let mut child = profiler(["verify", "--original", &bench.image.name, &small.name])
                .args(["--as", name, "--", "sh", "-c", script])
                .arg(&ready)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            running(&ready);
            assert_eq!(id(name), id(&small.name));
            // SAFETY: a plain system call; the child was not waited for.
            assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
            assert_eq!(child.wait().unwrap().code(), Some(1));
            let expected = if *name == there.name { before.clone() } else { None };
            assert_eq!(id(name), expected, "after signal {signal}");
        }
    }
    // One that was killed: the next one knows what the name meant.
    let ready = bench.directory.path().join("again");
    let script = r#": > "$0"; exec sleep 5"#;
    let mut child = profiler(["verify", "--original", &bench.image.name, &small.name])
        .args(["--as", &there.name, "--", "sh", "-c", script])
        .arg(&ready)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    running(&ready);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(id(&there.name), id(&small.name));
    assert!(is_kept(&there.name));
    lent(&there.name, "page:index").succeeded();
    assert_eq!(id(&there.name), before);
    assert!(!is_kept(&there.name));
}

#[test]
fn podmans_images_are_verified_and_healed_there() {
    let bench = Bench::new();
    let script = r#"podman --runtime runc --cgroup-manager cgroupfs run --rm \
        --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$PROFILER_IMAGE" "$0""#;
    let command = ["sh", "-c", script, "page:about"].map(str::to_owned);
    let healed = PodmanImage { name: format!("localhost/{}", unique("healed")) };
    let reference = format!("containers-storage:{}", healed.name);
    bench.heal(&reference, &[], &command).succeeded();
    bench.verify(&reference, &[], &command).succeeded();
    let other = ["sh", "-c", script, "page:contact"].map(str::to_owned);
    let outcome = bench.verify(&reference, &[], &other);
    assert_eq!(outcome.code, 1, "{outcome:#?}");
    assert!(outcome.stdout.contains("/app/templates/contact.html"), "{outcome:#?}");
}

/// Requests as users would make them, some more often than others.
struct Population {
    requests: Vec<String>,
    state: u64,
}

impl Population {
    fn new(seed: u64) -> Self {
        let pages = ["index", "about", "contact", "help", "news", "terms", "team", "press"];
        let requests = pages.iter().map(|name| format!("page:{name}"));
        let of = |kind: &str, names: &[&str]| {
            names.iter().map(|name| format!("{kind}:{name}")).collect::<Vec<_>>()
        };
        let requests = requests
            .chain(of("helper", &["report-daily", "report-monthly", "report-yearly"]))
            .chain(of("module", &["colorsys", "sched", "wave", "filecmp", "stringprep"]))
            .chain(of("library", &["libbz2.so.1.0", "liblzma.so.5", "libz.so.1"]))
            .chain(of("language", &["de_DE.UTF-8", "fr_FR.UTF-8", "es_ES.UTF-8"]));
        Self { requests: requests.collect(), state: seed }
    }

    /// A number from 0 to 1 (Knuth's MMIX generator).
    fn number(&mut self) -> f64 {
        self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.state >> 33) as f64 / (1u64 << 31) as f64
    }

    /// The request of rank r comes with a weight of 1/r.
    fn request(&mut self) -> String {
        let weights: Vec<f64> = (1..=self.requests.len()).map(|rank| 1.0 / rank as f64).collect();
        let mut at = self.number() * weights.iter().sum::<f64>();
        let hit = weights.iter().position(|weight| {
            at -= weight;
            at < 0.0
        });
        self.requests[hit.unwrap_or(0)].clone()
    }

    fn test(&mut self) -> Vec<String> {
        (0..2).map(|_| self.request()).collect()
    }
}

#[test]
fn held_out_tests_surprise_as_often_as_the_estimate_says() {
    const RUNS: usize = 14;
    const SECOND: usize = 4;
    const HELD_OUT: usize = 16;
    let mut population = Population::new(1);
    let mut bench = Bench::new();
    let mut profiles = Vec::new();
    let words = |test: &[String]| tests(&test.iter().map(String::as_str).collect::<Vec<_>>());
    let mut second = Vec::new();
    for number in 0..RUNS + SECOND {
        let test = population.test();
        let profile = bench.directory.path().join(format!("{number}.json"));
        let requests: Vec<&str> = test.iter().map(String::as_str).collect();
        bench.profile(&requests, &profile);
        profiles.push(profile);
        if number >= RUNS {
            second.extend(test);
        }
    }
    // The image knows the second set by healing only, the estimate by profiles.
    let merged = bench.directory.path().join("merged.json");
    let mut merge = profiler(["merge", "-o"]);
    Outcome::of(merge.arg(&merged).args(&profiles[..RUNS])).succeeded();
    bench.profile = merged;
    let healed = Image::future("healed");
    bench.heal(&format!("docker-daemon:{}", healed.name), &[], &words(&second)).succeeded();

    let mut coverage = profiler(["coverage", "--format", "json", "--image", &bench.image.name]);
    let coverage = Outcome::of(coverage.args(&profiles)).succeeded();
    let coverage: Value = serde_json::from_str(&coverage.stdout).unwrap();
    let estimate = &coverage["estimate"];
    let number = |value: &Value| value.as_f64().unwrap();
    let (low, high) = (number(&estimate["interval"]["low"]), number(&estimate["interval"]["high"]));

    let mut surprised = 0;
    for _ in 0..HELD_OUT {
        let test = population.test();
        let outcome = bench.verify(&healed.name, &[], &words(&test));
        assert!([0, 1].contains(&outcome.code), "{outcome:#?}");
        surprised += outcome.code;
    }
    let share = f64::from(surprised) / HELD_OUT as f64;
    println!(
        "predicted {:.3} ({low:.3} to {high:.3}), seen {surprised} of {HELD_OUT}: {share:.3}",
        number(&estimate["unseen"])
    );
    assert!(surprised > 0, "no test of {HELD_OUT} surprised: nothing was compared");
    assert!((low..=high).contains(&share), "{share} is not in {low} to {high}: {coverage:#}");
}
