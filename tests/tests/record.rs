//! `profiler record`: containers that are running already.

use std::process::Stdio;
use std::time::{Duration, Instant};

use integration_tests::engine::{Container, docker};
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, profile_file, profiler};
use integration_tests::{images, until};

#[test]
fn what_was_open_and_what_is_opened_is_recorded_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch();
    let container = Container::start(&["--no-healthcheck", &image.name, "sleep", "60"]);
    let pid = container.pid();
    let file = profile_file(directory.path());
    let mut child = profiler(["record", "--container", &container.id, "--duration", "5", "-o"])
        .arg(&file)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    // Until the recording ends, whenever it attached.
    until("the recording ends", || {
        docker(["exec", &container.id, "/probe", "cat", "/etc/read.conf"]);
        child.try_wait().unwrap().is_some()
    });
    assert!(child.wait().unwrap().success());
    assert_eq!(container.pid(), pid, "the container was restarted");

    let profile = Profile::read(&file);
    assert!(profile.image().contains(&image.name), "{}", profile.image());
    let paths = profile.paths();
    for expected in ["/toolbox", "/probe", "/etc/read.conf"] {
        assert!(paths.contains(expected), "{expected} is not in {paths:#?}");
    }
    assert!(!paths.contains("/etc/unread.conf"), "{paths:#?}");
}

#[test]
fn a_container_is_found_by_its_name_and_the_duration_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch();
    let name = integration_tests::engine::unique("recorded");
    let _container = Container::start(&["--name", &name, &image.name, "sleep", "60"]);
    let file = profile_file(directory.path());
    let start = Instant::now();
    Outcome::of(profiler(["record", "--container", &name, "--duration", "1", "-o"]).arg(&file))
        .succeeded();
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(8), "{took:?}");
    assert!(Profile::read(&file).paths().contains("/toolbox"));
}

/// The shell was executed before anybody looked.
#[test]
fn the_executable_of_a_process_that_ran_before_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::busybox(true);
    let script = "while read word < /usr/share/words; do :; done";
    let container = Container::start(&["--network", "none", &image.name, "sh", "-c", script]);
    let file = profile_file(directory.path());
    let mut record = profiler(["record", "--container", &container.id, "--duration", "1", "-o"]);
    Outcome::of(record.arg(&file)).succeeded();
    let profile = Profile::read(&file);
    let entries = profile.0["paths"].as_array().unwrap();
    let exe_of = |path: &str| {
        let found = entries.iter().find(|entry| entry["path"] == path);
        found.unwrap_or_else(|| panic!("{path} is not in {entries:#?}"))["exe"].clone()
    };
    for path in ["/usr/share/words", "/bin/busybox"] {
        assert_eq!(exe_of(path), "/bin/busybox", "{path}");
    }
}

#[test]
fn a_container_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = profile_file(directory.path());
    Outcome::of(
        profiler(["record", "--container", "no-such-container", "--duration", "1", "-o"])
            .arg(&file),
    )
    .refused(2, &["no-such-container"]);
    assert!(!file.exists());
}
