//! Containers that mean harm, each beside a neighbour that does not: the
//! profiler survives, both profiles load, nothing of one is in the other, the
//! neighbour's is whole, and what is missing from the other is counted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use integration_tests::engine::{Container, Image, output, unique};
use integration_tests::images;
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, binary, profiler};
use integration_tests::watch::Watch;
use serde_json::Value;
use tempfile::TempDir;

/// Files the neighbour opens.
const KNOWN: usize = 500;

/// Where the hostile container's files are. The container runtime looks at
/// some names in every container, so not all of the neighbour's are its own.
const HOSTILE: [&str; 13] = [
    "/hostile",
    "/odd",
    "/deep",
    "/wide",
    "/mine",
    "/posed",
    "/posing",
    "/race",
    "/made",
    "/abyss",
    "/flood",
    "/etc/shadow",
    "/etc/absent",
];

/// A network would only take time.
const ALONE: [&str; 2] = ["--network", "none"];

/// What mounting takes.
const MAY_MOUNT: [&str; 6] = [
    "--cap-add",
    "SYS_ADMIN",
    "--security-opt",
    "seccomp=unconfined",
    "--security-opt",
    "apparmor=unconfined",
];

type Bytes = BTreeSet<Vec<u8>>;

/// A profile's byte path: a string, or base64 of what is not UTF-8.
fn bytes(value: &Value) -> Vec<u8> {
    match value.as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => STANDARD.decode(value["base64"].as_str().expect("base64")).expect("base64"),
    }
}

/// The entries of a list that are not known to be the container runtime's. Of
/// names only the first task's name tells.
fn own(profile: &Profile, list: &str, key: &str) -> Bytes {
    let entries = profile.0[list].as_array().expect("a list").iter();
    let runtimes = |entry: &Value| match entry.get("path") {
        Some(_) => entry["runtime"] == true,
        None => entry["comm"].as_str().is_some_and(|comm| comm.starts_with("runc:")),
    };
    entries.filter(|entry| !runtimes(entry)).map(|entry| bytes(&entry[key])).collect()
}

/// All paths, names and failed look-ups, whoever touched them: a program that
/// changed its root can look like the container runtime.
fn everything(profile: &Profile) -> [Bytes; 3] {
    [("paths", "path"), ("names", "name"), ("missing", "name")].map(|(list, key)| {
        let entries = profile.0[list].as_array().expect("a list").iter();
        entries.map(|entry| bytes(&entry[key])).collect()
    })
}

fn paths(profile: &Profile) -> Bytes {
    own(profile, "paths", "path")
}

fn has(set: &Bytes, path: &str) -> bool {
    set.contains(path.as_bytes())
}

fn shown(set: &Bytes) -> Vec<String> {
    set.iter().take(50).map(|path| path.escape_ascii().to_string()).collect()
}

/// A hostile container and its neighbour under one profiler.
struct Pair {
    watch: Watch,
    hostile: Container,
    neighbour: Container,
    images: [Image; 2],
    /// Last, because the profiler ends by a file in it.
    directory: TempDir,
}

impl Pair {
    /// Starts both; the neighbour opens a file every `pause` microseconds.
    #[track_caller]
    fn start(options: &[&str], verb: &[&str], pause: u32) -> Self {
        let images = [images::hostile(), images::neighbour(KNOWN)];
        let directory = tempfile::tempdir().unwrap();
        let watch = Watch::start_of(directory.path(), &[&images[0], &images[1]]);
        let hostile = Container::start(&[&ALONE, options, &[&images[0].name], verb].concat());
        let (count, pause) = (KNOWN.to_string(), pause.to_string());
        let neighbour = Container::start(
            &[&ALONE[..], &[&images[1].name, "visit", "/known", &count, &pause]].concat(),
        );
        Self { directory, images, watch, hostile, neighbour }
    }

    /// Waits for both, ends the profiler, asserts what always must hold.
    #[track_caller]
    fn finish(self) -> Profiles {
        assert_eq!(self.neighbour.wait(), 0, "the neighbour's status");
        let status = self.hostile.wait();
        let log = || Outcome::of(Command::new("docker").args(["logs", &self.hostile.id]));
        assert_eq!(status, 0, "the hostile container did not get through: {:#?}", log());
        let profiles = self.watch.finish_several();
        assert_eq!(profiles.len(), 2, "a profile an image");
        let of = |image: &Image| {
            let found = profiles.iter().find(|profile| profile.image().contains(&image.name));
            found.expect("a profile of each image").clone()
        };
        let [hostile, neighbour] = self.images.each_ref().map(of);

        let expected: Bytes = (0..KNOWN)
            .map(|n| format!("/known/{n}").into_bytes())
            .chain([b"/neighbour".to_vec()])
            .collect();
        let seen = paths(&neighbour);
        let absent: Bytes = expected.difference(&seen).cloned().collect();
        assert!(absent.is_empty(), "the neighbour starved of {:?}", shown(&absent));
        let foreign: Bytes = seen.difference(&expected).cloned().collect();
        assert!(foreign.is_empty(), "the neighbour was given {:?}", shown(&foreign));
        let lists = [("paths", "path"), ("names", "name"), ("missing", "name")];
        for (list, key) in lists {
            for path in own(&hostile, list, key) {
                let stolen = path.starts_with(b"/known") || path.starts_with(b"/neighbour");
                assert!(!stolen, "{list} of the hostile container: {}", path.escape_ascii());
            }
            for name in own(&neighbour, list, key) {
                let stolen = HOSTILE.iter().any(|place| name.starts_with(place.as_bytes()));
                assert!(!stolen, "{list} of the neighbour: {}", name.escape_ascii());
            }
        }
        Profiles { directory: self.directory, images: self.images, hostile, neighbour }
    }
}

/// What came of a [`Pair`].
struct Profiles {
    directory: TempDir,
    images: [Image; 2],
    hostile: Profile,
    neighbour: Profile,
}

impl Profiles {
    /// Asserts that the hostile container's profile is whole, and the
    /// neighbour's.
    #[track_caller]
    fn whole(&self) {
        assert_eq!(self.hostile.lost(), []);
        assert_eq!(self.neighbour.lost(), []);
    }

    /// Asserts that the hostile container's profile has all of `expected`, or
    /// says that it is not whole; then `minimize` must refuse it.
    #[track_caller]
    fn whole_or_counted(&self, expected: &Bytes) {
        let absent: Bytes = expected.difference(&paths(&self.hostile)).cloned().collect();
        let lost = self.hostile.lost();
        eprintln!("{} of {} absent, lost {lost:?}", absent.len(), expected.len());
        if !absent.is_empty() {
            assert_ne!(
                lost,
                [],
                "{} are missing and none counted: {:?}",
                absent.len(),
                shown(&absent)
            );
        }
        if !lost.is_empty() {
            let output = format!("oci-archive:{}", self.directory.path().join("x.tar").display());
            let file = self.file();
            Outcome::of(
                profiler(["minimize", &self.images[0].name, "--output", &output, "--profile"])
                    .arg(file),
            )
            .refused(1, &["--allow-incomplete"]);
        }
    }

    /// The hostile image's profile as a file.
    fn file(&self) -> PathBuf {
        let file = self.directory.path().join("hostile.json");
        self.hostile.write(&file);
        file
    }
}

/// Asserts that nothing in `text` could steer a terminal.
#[track_caller]
fn harmless(what: &str, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let bad: BTreeSet<char> = text.chars().filter(|&c| c.is_control() && c != '\n').collect();
    assert!(bad.is_empty(), "{what} has {bad:?}: {}", text.escape_debug());
}

/// The odd names the fixture makes, as it makes them.
fn odd_names() -> Bytes {
    let mut names: Bytes = [
        &b"new\nline"[..],
        b"\n",
        b"ends\r",
        b"\x1b[2J\x1b]0;title\x07red\x1b[31m",
        b"\x9b31m",
        b"not\xff\xfeutf8\xc0\xaf",
        b"cut\xe2\x82",
        b"back\\slash\"quote'",
        b" leading and trailing ",
        b"-option",
        b"$(id)`id`",
        "\u{202e}backwards".as_bytes(),
        &[b'n'; 255],
        &[0xff; 255],
    ]
    .map(<[u8]>::to_vec)
    .into();
    names.extend((1..=255).filter(|&b| b != b'/' && b != b'.').map(|b| vec![b'b', b]));
    names
}

#[test]
fn odd_names_are_kept_byte_for_byte_and_never_reach_a_terminal() {
    let profiles = Pair::start(&[], &["names", "/odd"], 1000).finish();
    profiles.whole();
    let below = |directory: &[u8]| -> Bytes {
        odd_names().iter().map(|name| [directory, name].concat()).collect()
    };
    let seen = paths(&profiles.hostile);
    for (what, expected) in [("of the image", below(b"/odd/")), ("made", below(b"/made/"))] {
        let absent: Bytes = expected.difference(&seen).cloned().collect();
        assert!(absent.is_empty(), "names {what}: {:?}", shown(&absent));
    }
    let missing = own(&profiles.hostile, "missing", "name");
    let absent: Bytes = below(b"/made/absent/").difference(&missing).cloned().collect();
    assert!(absent.is_empty(), "failed look-ups: {:?}", shown(&absent));

    // What people read: the summary, the warnings, the refusals.
    let file = profiles.file();
    let directory = profiles.directory.path();
    let report = directory.join("report.json");
    let target = format!("oci-archive:{}", directory.join("min.tar").display());
    let minimized = profiler(["-v", "minimize", &profiles.images[0].name, "--output", &target])
        .arg("--report")
        .arg(&report)
        .arg("--profile")
        .arg(&file)
        .output()
        .unwrap();
    assert!(minimized.status.success(), "{}", String::from_utf8_lossy(&minimized.stderr));
    harmless("minimize's stdout", &minimized.stdout);
    harmless("minimize's stderr", &minimized.stderr);
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let kept: Bytes =
        report["kept"].as_array().unwrap().iter().map(|entry| bytes(&entry["path"])).collect();
    let absent: Bytes = below(b"/odd/").difference(&kept).cloned().collect();
    assert!(absent.is_empty(), "not kept: {:?}", shown(&absent));
    let warnings = report["warnings"].as_array().unwrap();
    assert!(!warnings.is_empty(), "the closure has something to say of the odd files");

    for format in ["paths", "dockerfile"] {
        let exported = profiler(["export", "--format", format]).arg(&file).output().unwrap();
        harmless(&format!("stderr of export --format {format}"), &exported.stderr);
    }
    let exported = profiler(["export", "--format", "paths0"]).arg(&file).output().unwrap();
    assert!(exported.status.success());
    let listed: Bytes = exported
        .stdout
        .split(|&byte| byte == 0)
        .map(|path| [b"/", path.strip_prefix(b"/").unwrap_or(path)].concat())
        .collect();
    let absent: Bytes = below(b"/odd/").difference(&listed).cloned().collect();
    assert!(absent.is_empty(), "not exported: {:?}", shown(&absent));
}

#[test]
fn a_command_with_an_odd_name_is_told_without_its_escapes() {
    let command = "\x1b[31mno-such\ncommand";
    let outcome = Outcome::of(&mut profiler(["run", "--", command]));
    harmless("run's stderr", outcome.stderr.as_bytes());
    outcome.refused(125, &["no-such"]);
    let outcome = Outcome::of(&mut profiler([
        "minimize",
        "\x1b[31mx",
        "--output",
        "y",
        "--profile",
        "\x1b[31m",
    ]));
    harmless("minimize's stderr", outcome.stderr.as_bytes());
}

#[test]
fn a_list_on_a_terminal_does_not_steer_it() {
    let image = images::hostile();
    let directory = tempfile::tempdir().unwrap();
    let watch = Watch::start_of(directory.path(), &[&image]);
    let container = Container::start(&["--network", "none", &image.name, "visit", "/", "0", "0"]);
    assert_eq!(container.wait(), 0);
    let mut profile = watch.finish();
    // One name that a line-wise list can hold and a terminal obeys.
    let mut entry = profile.0["paths"][0].clone();
    entry["path"] = "/odd/\x1b[2J\x1b]0;title\x07red\x1b[31m".into();
    profile.0["paths"].as_array_mut().unwrap().push(entry);
    let file = directory.path().join("changed.json");
    profile.write(&file);
    // `script` gives the program a terminal.
    let line = format!("{} export --format paths {}", binary().display(), file.display());
    let shown = Outcome::of(Command::new("script").args(["-q", "-e", "-c", &line, "/dev/null"]));
    harmless("a list on a terminal", shown.stdout.replace("\r\n", "\n").as_bytes());
}

#[test]
fn names_of_4095_bytes_and_200_levels_are_whole() {
    let profiles = Pair::start(&[], &["long", "/odd"], 1000).finish();
    profiles.whole();
    let seen = paths(&profiles.hostile);
    let deep = format!("{}/file", (0..200).fold("/deep".to_owned(), |path, _| path + "/d"));
    let wide = "w".repeat(250);
    let wide = format!("{}/file", (0..15).fold("/wide".to_owned(), |path, _| path + "/" + &wide));
    for path in [&*deep, &*wide, "/etc/passwd", "/odd/new\nline"] {
        assert!(has(&seen, path), "{} is absent", path.escape_debug());
    }
    assert!(!has(&seen, "/etc/shadow"), "a name too long opened something");
    let missing = own(&profiles.hostile, "missing", "name");
    assert!(missing.iter().any(|name| name.len() == 4095 && name.ends_with(b"/etc/absent")));
    // Names are what was spoken, whole.
    let names = own(&profiles.hostile, "names", "name");
    let longest = names.iter().map(Vec::len).max();
    assert_eq!(longest, Some(4095), "{:?}", names.iter().map(Vec::len).collect::<Vec<_>>());
}

/// A path of 400 levels of 100 bytes is longer than any record.
#[test]
fn a_path_deeper_than_a_record_is_whole_or_counted() {
    let profiles = Pair::start(&[], &["deep", "400", "100"], 1000).finish();
    let bottom = format!(
        "{}/bottom",
        (0..400).fold("/abyss".to_owned(), |path, _| path + "/" + &"l".repeat(100))
    );
    profiles.whole_or_counted(&[bottom.into_bytes(), b"/mine/passwd".to_vec()].into());
    assert!(has(&paths(&profiles.hostile), "/mine/passwd"), "what follows is recorded");
    // Never a piece of it under a wrong name.
    for path in paths(&profiles.hostile) {
        let fits = !path.ends_with(b"/bottom") || path.starts_with(b"/abyss/");
        assert!(fits, "a piece: {}", path.escape_ascii());
    }
}

/// `PROFILER_TEST_FLOOD` sets the number of failed look-ups, one million
/// unless told; a twentieth as many files are made.
#[test]
fn a_flood_of_names_starves_no_neighbour_and_is_counted() {
    let lookups: u64 = match std::env::var("PROFILER_TEST_FLOOD") {
        Ok(number) => number.parse().expect("PROFILER_TEST_FLOOD is a number"),
        Err(_) => 1_000_000,
    };
    let files = lookups / 20;
    let verb = ["flood", &lookups.to_string(), &files.to_string()];
    let profiles = Pair::start(&[], &verb, 8000).finish();
    let expected: Bytes =
        (0..files).map(|n| format!("/flood/{}/{n}", n / 5000).into_bytes()).collect();
    let missing = own(&profiles.hostile, "missing", "name").len() as u64;
    let counts: u64 = profiles.hostile.runs()[0]["lost"]
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    eprintln!("{missing} of {lookups} failed look-ups kept, {counts} in all counts");
    assert!(missing >= lookups || counts > 0, "failed look-ups left out silently");
    profiles.whole_or_counted(&expected);
    // Nothing was lost of the neighbour's, so its profile must not say so.
    assert_eq!(profiles.neighbour.lost(), [], "the neighbour pays for the flood");
}

#[test]
fn a_fork_bomb_within_its_limit_disturbs_nothing() {
    let profiles = Pair::start(&["--pids-limit", "100"], &["forks", "3"], 4000).finish();
    profiles.whole();
    let seen = paths(&profiles.hostile);
    assert!(has(&seen, "/hostile"), "{:?}", shown(&seen));
    let missing = own(&profiles.hostile, "missing", "name");
    assert!(missing.iter().any(|name| name.starts_with(b"/etc/")), "{:?}", shown(&missing));
}

#[test]
fn renames_that_race_the_walk_invent_no_path() {
    let profiles = Pair::start(&[], &["races", "4"], 4000).finish();
    // A path that kept changing, or a record too many, may be lost to those
    // who race, if it is counted; never to others.
    profiles.whole_or_counted(&Bytes::new());
    assert_eq!(profiles.neighbour.lost(), [], "the neighbour pays for the races");
    let seen = paths(&profiles.hostile);
    let mut real: Bytes = ["/race", "/race/one", "/race/two", "/race/two/a", "/race/two/a/b"]
        .into_iter()
        .chain(["/race/two/a/b/c", "/race/two/a/b/c/d"])
        .map(|path| path.as_bytes().to_vec())
        .collect();
    for directory in ["/race/one/left-side", "/race/two/a/b/c/d/right"] {
        for inner in ["", "/x", "/x/z", "/x/z/f", "/y", "/y/z", "/y/z/f"] {
            real.insert(format!("{directory}{inner}").into_bytes());
        }
    }
    let raced: Bytes = seen.iter().filter(|path| path.starts_with(b"/race/")).cloned().collect();
    let invented: Bytes = raced.difference(&real).cloned().collect();
    assert!(!raced.is_empty(), "nothing was opened");
    assert!(invented.is_empty(), "never there: {:?}", shown(&invented));
    // The image's file is known, whatever it was called at the moment.
    let names = own(&profiles.hostile, "names", "name");
    assert!(has(&seen, "/race-file/one") || has(&names, "/race-file/one"), "{:?}", shown(&seen));
}

/// Runs the pose and returns the hostile container's paths, names and failed
/// look-ups.
#[track_caller]
fn pose(options: &[&str], how: &[&str]) -> (Profiles, [Bytes; 3]) {
    let options = [&MAY_MOUNT, options].concat();
    let profiles = Pair::start(&options, &[&["pose"], how].concat(), 1000).finish();
    profiles.whole();
    let lists = everything(&profiles.hostile);
    (profiles, lists)
}

#[test]
fn a_directory_mounted_over_another_is_known_by_its_own_place() {
    let (_, [paths, ..]) = pose(&[], &["bind"]);
    // The runtime itself looks for users in /etc/passwd.
    assert!(has(&paths, "/mine/passwd"), "{:?}", shown(&paths));
}

#[test]
fn a_file_mounted_over_another_is_known_by_its_own_place() {
    let (_, [paths, ..]) = pose(&[], &["bind-file"]);
    assert!(has(&paths, "/mine/passwd") && !has(&paths, "/etc/shadow"), "{:?}", shown(&paths));
}

#[test]
fn a_changed_root_does_not_change_the_place_of_files() {
    let (_, [paths, names, _]) = pose(&[], &["chroot"]);
    assert!(has(&paths, "/posed/etc/shadow"), "{:?}", shown(&paths));
    assert!(!has(&paths, "/etc/shadow") && !has(&names, "/etc/shadow"), "{:?}", shown(&names));
}

/// Asserts that nothing of the false root was taken for the image's.
#[track_caller]
fn nothing_of_the_pose(lists: &[Bytes; 3]) {
    for (list, what) in lists.iter().zip(["paths", "names", "missing"]) {
        for path in ["/etc/shadow", "/posing", "/etc/absent-while-posing"] {
            let taken: Bytes =
                list.iter().filter(|name| name.ends_with(path.as_bytes())).cloned().collect();
            assert!(taken.is_empty(), "{what} taken for the image's: {:?}", shown(&taken));
        }
    }
}

#[test]
fn a_tmpfs_as_root_is_not_the_image() {
    let (_, lists) = pose(&[], &["tmpfs"]);
    nothing_of_the_pose(&lists);
}

#[test]
fn an_overlay_of_its_own_as_root_is_not_the_image() {
    let (_, lists) = pose(&[], &["overlay"]);
    nothing_of_the_pose(&lists);
}

#[test]
fn a_volume_as_root_is_not_the_image_and_takes_nothing_of_the_host() {
    let shared = tempfile::tempdir().unwrap();
    let host = tempfile::tempdir().unwrap();
    std::fs::copy(images::hostile_program(), host.path().join("program")).unwrap();
    for n in 0..10 {
        std::fs::write(host.path().join(n.to_string()), "x").unwrap();
    }
    let volume = format!("{}:/shared", shared.path().display());
    let options = [&MAY_MOUNT[..], &["--volume", &volume]].concat();
    let pair = Pair::start(&options, &["pose", "volume", "/shared"], 1000);
    assert_eq!(pair.hostile.wait(), 0);
    // A process of the host in a namespace and a root of its own, on the
    // filesystem the volume is on.
    host_in_a_root_of_its_own(host.path());
    let profiles = pair.finish();
    profiles.whole();
    let lists = everything(&profiles.hostile);
    let host = host.path().as_os_str().as_encoded_bytes();
    for list in &lists {
        let taken: Bytes = list.iter().filter(|name| name.starts_with(host)).cloned().collect();
        assert!(taken.is_empty(), "files of the host: {:?}", shown(&taken));
    }
    nothing_of_the_pose(&lists);
}

fn host_in_a_root_of_its_own(root: &Path) {
    output(
        Command::new("unshare")
            .args(["--mount", "chroot"])
            .arg(root)
            .args(["/program", "visit", "/", "10", "0"]),
    );
}

/// A container that moves to a control group with its neighbour's name.
#[track_caller]
fn named_as_the_neighbour(how: &str) -> Profiles {
    let images = [images::hostile(), images::neighbour(KNOWN)];
    let directory = tempfile::tempdir().unwrap();
    let watch = Watch::start_of(directory.path(), &[&images[0], &images[1]]);
    let count = KNOWN.to_string();
    let name = unique("neighbour");
    let neighbour =
        Container::start(&["--name", &name, &images[1].name, "visit", "/known", &count, "4000"]);
    let options = [&MAY_MOUNT[..], &["--cgroupns", "private", "--network", "none"]].concat();
    let verb = [images[0].name.as_str(), "pose", how, &neighbour.id];
    let hostile = Container::start(&[&options[..], &verb].concat());
    Pair { directory, images, watch, hostile, neighbour }.finish()
}

#[test]
fn a_control_group_named_as_a_neighbours_is_not_the_neighbour() {
    let profiles = named_as_the_neighbour("cgroup");
    profiles.whole();
    let seen = paths(&profiles.hostile);
    assert!(has(&seen, "/etc/shadow"), "{:?}", shown(&seen));
}

#[test]
fn nor_is_one_with_a_root_of_its_own() {
    let profiles = named_as_the_neighbour("cgroup-root");
    assert_eq!(profiles.neighbour.lost(), []);
    // What is inside of a container and of no known image is told of.
    let lost = profiles.hostile.lost();
    assert!(matches!(&lost[..], [(cause, 1..)] if cause == "unattributed"), "{lost:?}");
    nothing_of_the_pose(&everything(&profiles.hostile));
    nothing_of_the_pose(&everything(&profiles.neighbour));
}
