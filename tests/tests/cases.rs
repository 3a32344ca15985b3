//! The forty cases in real containers: a profile holds exactly what the table
//! says. `cases run --list` tells what each is about.

use std::fs;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use integration_tests::cases::image::{check, image, import, permissions};
use integration_tests::engine::{Image, unique};
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, profile_file, profiler};
use integration_tests::until;

/// Makes two images of the cases different ones.
const FIRST: &str = "LABEL cases=first";

/// `profiler run` of a shell script, watching containers of these images;
/// they are the script's `$1`, `$2`.
#[track_caller]
fn profiled(output: &Path, images: &[&Image], script: &str) -> Outcome {
    let mut command = profiler(["run", "-o"]);
    command.arg(output);
    for image in images {
        command.args(["--image", &image.name]);
    }
    command.args(["--", "sh", "-e", "-c", script, "sh"]);
    command.args(images.iter().map(|image| &image.name));
    Outcome::of(&mut command).succeeded()
}

/// Asserts that nothing was lost, and that these cases are as the table says.
#[track_caller]
fn as_the_table_says(profile: &Path, options: &[&str], cases: &[&str]) {
    assert_eq!(Profile::read(profile).lost(), [], "events were lost");
    let outcome = check(profile, options, cases);
    assert_eq!(outcome.code, 0, "\n{}{}", outcome.stdout, outcome.stderr);
    print!("{}", outcome.stdout);
}

/// Performs the cases that any container can, checks the profile, and returns
/// what the container said. `host` is the daemon's socket, if not the usual.
#[track_caller]
fn usual_cases(directory: &Path, image: &str, host: Option<&str>) -> String {
    let file = profile_file(directory);
    let mut command = profiler(["run", "--image", image, "-o"]);
    command.arg(&file).args(["--", "docker", "run", "--rm", "--network=none"]);
    command.args(permissions()).args([image, "/bin/cases", "run"]);
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    let outcome = Outcome::of(&mut command).succeeded();
    let ran = directory.join("ran");
    fs::write(&ran, &outcome.stdout).unwrap();
    as_the_table_says(&file, &["--ran", ran.to_str().unwrap()], &[]);
    outcome.stdout
}

#[test]
fn what_any_container_can_do() {
    let directory = tempfile::tempdir().unwrap();
    usual_cases(directory.path(), &image(FIRST).name, None);
}

/// A second Docker daemon, whose containers' rootfs is a directory of the
/// host's filesystem. It gets a network namespace of its own: a daemon told
/// to make no bridge removes the one that is there, which is the first's.
struct Daemon {
    process: Child,
    host: String,
}

impl Daemon {
    #[track_caller]
    fn start(directory: &Path) -> Self {
        let host = format!("unix://{}", directory.join("socket").display());
        let log = File::create(directory.join("log")).unwrap();
        let process = Command::new("unshare")
            .args(["--net", "dockerd"])
            .args(["--storage-driver=vfs", "--bridge=none", "--iptables=false"])
            .args(["--ip6tables=false", "--host", &host, "--data-root"])
            .arg(directory.join("data"))
            .arg("--exec-root")
            .arg(directory.join("exec"))
            .arg("--pidfile")
            .arg(directory.join("pid"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd starts");
        let daemon = Self { process, host };
        until("the second daemon answers", || {
            daemon.docker().arg("info").output().is_ok_and(|output| output.status.success())
        });
        daemon
    }

    fn docker(&self) -> Command {
        let mut docker = Command::new("docker");
        docker.env("DOCKER_HOST", &self.host);
        docker
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SAFETY: a process of this test's, not waited for yet. It takes its
        // helpers along.
        unsafe { libc::kill(self.process.id() as i32, libc::SIGTERM) };
        let _ = self.process.wait();
    }
}

#[test]
fn a_rootfs_that_shares_the_hosts_superblock() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(directory.path());
    import(daemon.docker(), "cases", FIRST);
    let said = usual_cases(directory.path(), "cases:latest", Some(&daemon.host));
    // Overlays have no file handles; here there are.
    assert!(said.contains("05 ok"), "{said}");
}

#[test]
fn case_23_paths_longer_than_a_record_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(FIRST);
    let file = profile_file(directory.path());
    profiled(&file, &[&image], r#"docker run --rm "$1" /bin/cases run --part beyond 23"#);
    let profile = Profile::read(&file);
    // 80 components of 255 bytes, each reached through a descriptor.
    let longest = profile.paths().iter().map(String::len).max().unwrap();
    let whole = longest > 80 * 255;
    let lost = profile.lost();
    let counted = lost.iter().any(|(cause, _)| cause == "path_too_deep");
    assert!(whole != counted, "longest path of {longest} bytes, lost: {lost:?}");
    assert!(lost.iter().all(|(cause, _)| cause == "path_too_deep"), "{lost:?}");
}

#[test]
fn case_28_mounts() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(FIRST);
    let bind = directory.path().join("bind");
    fs::create_dir(&bind).unwrap();
    fs::write(bind.join("file"), "").unwrap();
    let file = profile_file(directory.path());
    let script = format!(
        "docker run --rm --volume {}:/case/28/bind --volume /case/28/volume \
         --tmpfs /case/28/tmpfs \"$1\" /bin/cases run 28",
        bind.display()
    );
    profiled(&file, &[&image], &script);
    as_the_table_says(&file, &[], &["28"]);
    let profile = Profile::read(&file);
    let mounts = profile.runs()[0]["mounts"].as_array().unwrap();
    for point in ["/case/28/bind", "/case/28/volume", "/case/28/tmpfs"] {
        assert!(mounts.iter().any(|mount| mount == point), "{point} is not in {mounts:#?}");
    }
}

/// A container that runs a case which waits for a word on its stdin.
struct Waiting {
    client: Child,
    name: String,
    said: BufReader<std::process::ChildStdout>,
}

impl Waiting {
    /// Starts it.
    fn start(image: &Image, cases: &[&str]) -> Self {
        let name = unique("waiting");
        let mut client = Command::new("docker")
            .args(["run", "--interactive", "--rm", "--name", &name, &image.name])
            .args(["/bin/cases", "run"])
            .args(cases)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("docker starts");
        let said = BufReader::new(client.stdout.take().expect("a pipe"));
        Self { client, name, said }
    }

    /// Waits until it says this.
    #[track_caller]
    fn says(&mut self, line: &str) {
        let mut said = String::new();
        self.said.read_line(&mut said).expect("a line");
        assert_eq!(said.trim_end(), line);
    }

    /// Lets it go on.
    #[track_caller]
    fn go_on(&mut self) {
        self.client.stdin.as_mut().expect("a pipe").write_all(b".").expect("it reads");
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", &self.name]).output();
        let _ = self.client.wait();
    }
}

#[test]
fn case_35_late_attach() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(FIRST);
    let file = profile_file(directory.path());
    let mut container = Waiting::start(&image, &["35"]);
    container.says("waiting");

    let mut recording = profiler(["record", "--container", &container.name, "-o"])
        .arg(&file)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It tells when it is attached.
    let mut words = BufReader::new(recording.stderr.take().unwrap());
    let mut line = String::new();
    words.read_line(&mut line).unwrap();
    assert!(line.contains("recording"), "{line}");

    container.go_on();
    container.says("touched");
    // SAFETY: a process of this test's, not waited for yet.
    assert_eq!(unsafe { libc::kill(recording.id() as i32, libc::SIGINT) }, 0);
    assert!(recording.wait().unwrap().success());
    container.go_on();
    container.says("35 ok");
    as_the_table_says(&file, &[], &["35"]);
}

#[test]
fn case_36_a_container_that_lives_for_milliseconds() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(FIRST);
    let file = profile_file(directory.path());
    let script = r#"for i in 1 2 3 4 5; do docker run --rm "$1" /bin/cases run 36; done"#;
    profiled(&file, &[&image], script);
    as_the_table_says(&file, &[], &["36"]);
    let profile = Profile::read(&file);
    assert_eq!(profile.runs()[0]["containers"].as_array().unwrap().len(), 5);
}

#[test]
fn case_37_docker_exec() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(FIRST);
    let file = profile_file(directory.path());
    let name = unique("exec");
    let script = format!(
        "trap 'docker rm --force {name}' EXIT
         docker run --detach --interactive --name {name} \"$1\" /bin/cases run --part main 37
         until docker logs {name} | grep -q waiting; do sleep 0.05; done
         docker exec {name} /bin/cases run --part exec 37"
    );
    profiled(&file, &[&image], &script);
    as_the_table_says(&file, &[], &["37"]);
}

#[test]
fn case_38_the_runtimes_cloned_program() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(FIRST);
    let file = profile_file(directory.path());
    profiled(&file, &[&image], r#"docker run --rm "$1" /bin/cases run 38"#);
    as_the_table_says(&file, &[], &["38"]);
}

#[test]
fn case_39_numbers_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let images = [image(FIRST), image("LABEL cases=second")];
    let profiles = directory.path().join("profiles");
    let script = r#"
        for i in 1 2 3 4 5; do
            docker run --rm "$1" /bin/cases run --part first 39
            docker run --rm "$2" /bin/cases run --part second 39
        done"#;
    profiled(&profiles, &[&images[0], &images[1]], script);
    let files: Vec<PathBuf> =
        fs::read_dir(&profiles).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for (image, part) in images.iter().zip(["first", "second"]) {
        let file = files
            .iter()
            .find(|file| Profile::read(file).image().contains(&image.name))
            .unwrap_or_else(|| panic!("no profile of {}", image.name));
        as_the_table_says(file, &["--part", part], &["39"]);
    }
}
