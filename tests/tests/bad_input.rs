//! Bad input: one line with the cause and the next step, exit status 2 (125
//! from `run`, 1 where a check refused), and nothing half-written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use integration_tests::engine::{Image, docker, output};
use integration_tests::images;
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, binary, profile_file, profile_of, profiler};
use tempfile::TempDir;

/// An image with a good profile, in a directory that tests compare.
struct Bench {
    directory: TempDir,
    image: Image,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = images::scratch();
        let run = ["docker", "run", "--rm", &image.name, "cat", "/etc/read.conf"];
        profile_of(directory.path(), &image, &run);
        Self { directory, image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn profile(&self) -> PathBuf {
        profile_file(self.directory.path())
    }

    /// Changes the profile's JSON.
    fn edit(&self, change: impl FnOnce(&mut serde_json::Value)) {
        let mut profile = Profile::read(&self.profile());
        change(&mut profile.0);
        profile.write(&self.profile());
    }

    fn minimize(&self, source: &str) -> Command {
        let output = format!("oci-archive:{}", self.path("out.tar").display());
        let mut command = profiler(["minimize", source, "--output", &output, "--profile"]);
        command.arg(self.profile());
        command
    }

    /// Runs `command`, which must refuse and leave the directory as it is.
    #[track_caller]
    fn refuses(&self, command: &mut Command, code: i32, words: &[&str]) {
        let before = names(self.directory.path());
        Outcome::of(command).refused(code, words);
        assert_eq!(names(self.directory.path()), before, "something was left behind");
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_missing_profile() {
    let bench = Bench::new();
    fs::remove_file(bench.profile()).unwrap();
    bench.refuses(&mut bench.minimize(&bench.image.name), 2, &["profile.json", "No such file"]);
    let mut export = profiler(["export", "--format", "paths"]);
    bench.refuses(export.arg(bench.profile()), 2, &["profile.json", "No such file"]);
}

#[test]
fn a_truncated_profile() {
    let bench = Bench::new();
    let text = fs::read(bench.profile()).unwrap();
    fs::write(bench.profile(), &text[..text.len() / 2]).unwrap();
    bench.refuses(&mut bench.minimize(&bench.image.name), 2, &["profile.json", "damaged"]);
    let mut export = profiler(["export", "--format", "paths"]);
    bench.refuses(export.arg(bench.profile()), 2, &["profile.json", "damaged"]);
}

#[test]
fn a_profile_of_a_newer_format() {
    let bench = Bench::new();
    bench.edit(|profile| profile["version"] = json!(99));
    bench.refuses(&mut bench.minimize(&bench.image.name), 2, &["99"]);
}

#[test]
fn a_profile_of_another_image() {
    let bench = Bench::new();
    let other = images::busybox(true);
    bench.refuses(&mut bench.minimize(&other.name), 2, &["--allow-mismatch"]);
    // Allowed by name: the next tag of the same application.
    let next = images::build("scratch-next", "FROM profiler-test/scratch\nENV NEXT=1\n", |_| {});
    bench.refuses(&mut bench.minimize(&next.name), 2, &["--allow-mismatch"]);
    Outcome::of(bench.minimize(&next.name).arg("--allow-mismatch")).succeeded();
    assert!(bench.path("out.tar").exists());
}

#[test]
fn an_unknown_image() {
    let bench = Bench::new();
    let name = "profiler-test/no-such-image:1";
    bench.refuses(&mut bench.minimize(name), 2, &[name]);
    let archive = format!("docker-archive:{}", bench.path("absent.tar").display());
    bench.refuses(&mut bench.minimize(&archive), 2, &["absent.tar"]);
    let layout = format!("oci:{}", bench.path("absent").display());
    bench.refuses(&mut bench.minimize(&layout), 2, &["absent"]);
}

#[test]
fn an_archive_cut_in_half() {
    let bench = Bench::new();
    let archive = bench.path("image.tar");
    docker(["save".as_ref(), "-o".as_ref(), archive.as_os_str(), bench.image.name.as_ref()]);
    let whole = fs::metadata(&archive).unwrap().len();
    fs::OpenOptions::new().write(true).open(&archive).unwrap().set_len(whole / 2).unwrap();
    let source = format!("docker-archive:{}", archive.display());
    bench.refuses(&mut bench.minimize(&source), 2, &["image.tar"]);
}

#[test]
fn an_engine_that_does_not_run() {
    let bench = Bench::new();
    let mut minimize = bench.minimize(&bench.image.name);
    minimize.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    bench.refuses(&mut minimize, 2, &["/nonexistent/docker.sock"]);
}

#[test]
fn no_permission_to_profile() {
    let bench = Bench::new();
    // Where an ordinary user can reach it.
    let program = bench.path("profiler");
    fs::copy(binary(), &program).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(bench.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["run", "-o", "/tmp/profiler-test-never.json", "--", "true"])
        .env_remove("RUST_BACKTRACE");
    bench.refuses(&mut command, 125, &[]);
    assert!(!Path::new("/tmp/profiler-test-never.json").exists());
}

#[test]
fn no_btf() {
    let bench = Bench::new();
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg(r#"mount -t tmpfs none /sys/kernel/btf && exec "$0" run -o "$1" -- true"#)
        .arg(binary())
        .arg(bench.path("never.json"))
        .env_remove("RUST_BACKTRACE");
    bench.refuses(&mut command, 125, &["BTF"]);
}

#[test]
fn an_output_that_exists() {
    let bench = Bench::new();
    fs::write(bench.path("out.tar"), "mine").unwrap();
    bench.refuses(&mut bench.minimize(&bench.image.name), 2, &["out.tar", "exists"]);
    assert_eq!(fs::read(bench.path("out.tar")).unwrap(), b"mine");
}

#[test]
fn a_profile_that_exists_is_not_replaced_and_the_command_not_started() {
    let bench = Bench::new();
    let before = fs::read(bench.profile()).unwrap();
    let mut command = profiler(["run", "-o"]);
    command.arg(bench.profile()).args(["--", "touch"]).arg(bench.path("started"));
    bench.refuses(&mut command, 125, &["profile.json", "exists"]);
    assert_eq!(fs::read(bench.profile()).unwrap(), before);
}

/// A file system of 256 KiB, unmounted at the end.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        output(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=256k", "none"])
                .arg(directory.path()),
        );
        Self(directory)
    }

    /// Leaves not a byte.
    fn fill(&self) {
        let full = fs::write(self.0.path().join("ballast"), vec![0; 512 << 10]);
        assert!(full.is_err(), "the small disk took more than it holds");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_under_minimize() {
    let bench = Bench::new();
    let disk = SmallDisk::new();
    for transport in ["oci-archive", "docker-archive", "oci"] {
        let output = format!("{transport}:{}", disk.0.path().join("out").display());
        let mut command =
            profiler(["minimize", &bench.image.name, "--output", &output, "--profile"]);
        bench.refuses(command.arg(bench.profile()), 2, &["No space left"]);
        assert_eq!(names(disk.0.path()), Vec::<String>::new(), "left by {transport}");
    }
}

#[test]
fn a_full_disk_under_run() {
    let bench = Bench::new();
    let disk = SmallDisk::new();
    disk.fill();
    let mut command = profiler(["--quiet", "run", "-o"]);
    command.arg(disk.0.path().join("p.json")).args(["--", "sh", "-c"]);
    command.args([r#"docker run --rm "$0" >/dev/null"#, &bench.image.name]);
    bench.refuses(&mut command, 125, &["p.json"]);
    assert_eq!(names(disk.0.path()), ["ballast"]);
}

#[test]
fn a_profile_with_lost_events() {
    let bench = Bench::new();
    bench.edit(|profile| profile["runs"][0]["lost"]["ring_full"] = json!(3));
    let image = &bench.image.name;
    bench.refuses(&mut bench.minimize(image), 1, &["lost 3", "--allow-incomplete"]);
    Outcome::of(bench.minimize(image).arg("--allow-incomplete")).succeeded();
}

#[test]
fn a_profile_of_failed_tests() {
    let bench = Bench::new();
    bench.edit(|profile| profile["runs"][0]["exit_status"] = json!(3));
    let image = &bench.image.name;
    bench.refuses(&mut bench.minimize(image), 1, &["--allow-failed"]);
    Outcome::of(bench.minimize(image).arg("--allow-failed")).succeeded();
}

#[test]
fn a_profile_in_which_nothing_ran() {
    let bench = Bench::new();
    bench.edit(|profile| {
        for part in ["paths", "names", "missing"] {
            profile[part] = json!([]);
        }
    });
    bench.refuses(&mut bench.minimize(&bench.image.name), 1, &["--allow-thin"]);
}

#[test]
fn unknown_options_are_usage_errors() {
    for arguments in [
        &["minimize", "x", "--no-such-option"][..],
        &["run", "--no-such-option", "--", "true"],
        &["run"],
        &["no-such-verb"],
    ] {
        let outcome = Outcome::of(&mut profiler(arguments));
        assert_eq!(outcome.code, 2, "{arguments:?}: {outcome:#?}");
    }
}
