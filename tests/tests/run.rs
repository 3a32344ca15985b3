//! `profiler run`: what it watches, and that it keeps its hands off.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use integration_tests::engine::{Container, docker, podman};
use integration_tests::images;
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, profile_file, profile_of, profiler};
use integration_tests::until;
use integration_tests::watch::Watch;

#[test]
fn the_commands_exit_status_is_passed_through() {
    let directory = tempfile::tempdir().unwrap();
    let file = profile_file(directory.path());
    let image = images::scratch();
    for status in ["0", "1", "42"] {
        let run = ["docker", "run", "--rm", &image.name, "exit", status];
        let outcome = Outcome::of(profiler(["run", "-o"]).arg(&file).arg("--").args(run));
        assert_eq!(outcome.code.to_string(), status, "{outcome:#?}");
        let profile = Profile::read(&file);
        assert_eq!(profile.runs()[0]["exit_status"].to_string(), status);
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_command_killed_by_a_signal_gives_128_and_its_number() {
    let directory = tempfile::tempdir().unwrap();
    let outcome = Outcome::of(profiler(["run", "-o"]).arg(profile_file(directory.path())).args([
        "--",
        "sh",
        "-c",
        "kill -TERM $$",
    ]));
    assert_eq!(outcome.code, 128 + libc::SIGTERM, "{outcome:#?}");
}

#[test]
fn a_command_that_is_not_there_gives_125_or_127() {
    let directory = tempfile::tempdir().unwrap();
    let outcome = Outcome::of(
        profiler(["run", "-o"])
            .arg(profile_file(directory.path()))
            .args(["--", "no-such-program-anywhere"]),
    );
    assert!([125, 127].contains(&outcome.code), "{outcome:#?}");
    assert!(outcome.stderr.contains("no-such-program-anywhere"), "{outcome:#?}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn the_commands_output_is_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch();
    let script = r#"printf 'no newline'; docker run --rm "$0" hello; printf 'to stderr' >&2"#;
    let outcome =
        Outcome::of(profiler(["--quiet", "run", "-o"]).arg(profile_file(directory.path())).args([
            "--",
            "sh",
            "-c",
            script,
            &image.name,
        ]))
        .succeeded();
    assert_eq!(outcome.stdout, "no newlinehello from hello\n");
    assert_eq!(outcome.stderr, "to stderr");
}

#[test]
fn containers_that_live_20_ms_are_seen_from_their_first_instruction() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch();
    let script = r#"for turn in 1 2 3 4 5; do docker run --rm "$0" cat /etc/read.conf; done"#;
    let profile = profile_of(directory.path(), &image, &["sh", "-c", script, &image.name]);
    let paths = profile.paths();
    assert!(paths.contains("/toolbox") && paths.contains("/etc/read.conf"), "{paths:#?}");
    assert!(!paths.contains("/etc/unread.conf"), "{paths:#?}");
    assert!(profile.kinds("/toolbox").contains("exec"), "{:?}", profile.kinds("/toolbox"));
    let containers = profile.runs()[0]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 5);
}

#[test]
fn docker_exec_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch();
    let watch = Watch::start(directory.path());
    let container = Container::start(&["--no-healthcheck", &image.name, "sleep", "60"]);
    docker(["exec", &container.id, "/probe", "cat", "/etc/read.conf"]);
    let paths = watch.finish().paths();
    assert!(paths.contains("/probe") && paths.contains("/etc/read.conf"), "{paths:#?}");
}

#[test]
fn a_healthcheck_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch();
    let watch = Watch::start(directory.path());
    let container = Container::start(&[&image.name, "sleep", "60"]);
    until("the container is healthy", || {
        docker(["inspect", "--format={{.State.Health.Status}}", &container.id]) == "healthy"
    });
    let paths = watch.finish().paths();
    assert!(paths.contains("/probe") && paths.contains("/etc/probe.conf"), "{paths:#?}");
}

#[test]
fn what_a_volume_brings_in_is_not_in_the_profile() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("secret"), "not the image's\n").unwrap();
    let image = images::scratch();
    let volume = format!("{}:/mounted", directory.path().display());
    let run = ["docker", "run", "--rm", "--volume", &volume, &image.name, "cat", "/mounted/secret"];
    let paths = profile_of(directory.path(), &image, &run).paths();
    assert!(!paths.contains("/mounted/secret") && !paths.contains("/secret"), "{paths:#?}");
}

#[test]
fn other_processes_of_the_host_are_not_in_the_profile() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch();
    let script = r#"docker run --rm "$0"; cat /etc/hostname /etc/fstab >/dev/null 2>&1; true"#;
    let paths = profile_of(directory.path(), &image, &["sh", "-c", script, &image.name]).paths();
    assert!(!paths.contains("/etc/fstab") && !paths.contains("/bin/sh"), "{paths:#?}");
}

#[test]
fn several_images_give_a_directory_with_a_profile_each() {
    let directory = tempfile::tempdir().unwrap();
    let profiles = directory.path().join("profiles");
    let (one, two) = (images::scratch(), images::busybox(true));
    let script = r#"docker run --rm "$0" && docker run --rm "$1""#;
    Outcome::of(
        profiler(["run", "-o"])
            .arg(&profiles)
            .args(["--", "sh", "-c", script, &one.name, &two.name]),
    )
    .succeeded();
    let mut images: Vec<String> = fs::read_dir(&profiles)
        .expect("a directory")
        .map(|entry| Profile::read(&entry.unwrap().path()).image().to_owned())
        .collect();
    images.sort();
    assert_eq!(images.len(), 2, "{images:?}");
    assert!(images[0].contains(&two.name) && images[1].contains(&one.name), "{images:?}");
}

#[test]
fn an_image_option_narrows_to_that_image() {
    let directory = tempfile::tempdir().unwrap();
    let file = profile_file(directory.path());
    let (one, two) = (images::scratch(), images::busybox(true));
    let script = r#"docker run --rm "$0" && docker run --rm "$1""#;
    Outcome::of(
        profiler(["run", "--image", &one.name, "-o"])
            .arg(&file)
            .args(["--", "sh", "-c", script, &one.name, &two.name]),
    )
    .succeeded();
    assert!(Profile::read(&file).image().contains(&one.name));
}

#[test]
fn ctrl_c_reaches_the_command_and_leaves_a_profile_marked_interrupted() {
    let directory = tempfile::tempdir().unwrap();
    let file = profile_file(directory.path());
    let image = images::scratch();
    let script = r#"
        trap 'echo interrupted; exit 7' INT
        docker run --rm "$0" cat /etc/read.conf
        : > "$1"
        while :; do sleep 0.1; done
    "#;
    let started = directory.path().join("started");
    let mut child = profiler(["run", "-o"])
        .arg(&file)
        .args(["--", "sh", "-c", script, &image.name])
        .arg(&started)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A group of its own, so that the signal goes where a terminal's
        // would: to the program and its command, not to the tests.
        .process_group(0)
        .spawn()
        .unwrap();
    until("the command runs", || started.exists());
    let group = i32::try_from(child.id()).unwrap();
    // SAFETY: sending a signal touches no memory of this process.
    assert_eq!(unsafe { libc::kill(-group, libc::SIGINT) }, 0);
    let status = child.wait().unwrap();
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert!(stdout.ends_with("interrupted\n"), "{stdout:?}");
    assert!([Some(7), Some(130)].contains(&status.code()), "{status}");

    let profile = Profile::read(&file);
    assert_eq!(profile.runs()[0]["interrupted"], true);
    assert!(profile.paths().contains("/etc/read.conf"));
    let output = format!("oci-archive:{}", directory.path().join("out.tar").display());
    Outcome::of(profiler(["minimize", &image.name, "--output", &output, "--profile"]).arg(&file))
        .refused(1, &["interrupted", "--allow-incomplete"]);
    assert!(!directory.path().join("out.tar").exists());
}

#[test]
fn a_run_without_containers_says_so_and_keeps_the_status() {
    let directory = tempfile::tempdir().unwrap();
    let outcome = Outcome::of(
        profiler(["run", "-o"]).arg(profile_file(directory.path())).args(["--", "true"]),
    );
    assert!(outcome.stderr.contains("container"), "{outcome:#?}");
    assert!(!profile_file(directory.path()).exists());
}

#[test]
fn options_after_the_command_belong_to_the_command() {
    let directory = tempfile::tempdir().unwrap();
    let outcome = Outcome::of(
        profiler(["run", "-o"])
            .arg(profile_file(directory.path()))
            .args(["--", "echo", "-o", "--image", "x"]),
    );
    assert_eq!(outcome.stdout, "-o --image x\n");
}

#[test]
fn nothing_is_left_behind_in_the_engine() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch();
    let before = integration_tests::engine::containers();
    profile_of(directory.path(), &image, &["docker", "run", "--rm", &image.name]);
    assert_eq!(integration_tests::engine::containers(), before);
}

#[test]
fn docker_and_podman_in_one_run_fold_into_one_profile_of_the_image() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch();
    integration_tests::engine::output(Command::new("sh").args([
        "-c",
        r#"docker save "$0" | podman load --quiet"#,
        &image.name,
    ]));
    let watch = Watch::start(directory.path());
    docker(["run", "--rm", &image.name, "cat", "/etc/read.conf"]);
    let name = format!("localhost/{}", image.name);
    integration_tests::engine::output(podman().args(["--rm", &name, "cat", "/etc/unread.conf"]));
    let paths = watch.finish().paths();
    assert!(paths.contains("/etc/read.conf") && paths.contains("/etc/unread.conf"), "{paths:#?}");
}
