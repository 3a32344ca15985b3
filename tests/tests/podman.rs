//! The same under Podman.

use std::process::Command;

use integration_tests::engine::{Container, PodmanImage, output, podman};
use integration_tests::images;
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, profile_file, profiler};
use integration_tests::watch::Watch;

#[test]
fn a_podman_container_is_profiled_and_its_image_minimized() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::scratch();
    let there = PodmanImage::from_docker(&image);
    let watch = Watch::start_of(directory.path(), &[&there.image()]);
    output(podman().args(["--rm", &there.name, "cat", "/etc/read.conf"]));
    let profile = watch.finish();
    assert_eq!(profile.lost(), []);
    let paths = profile.paths();
    assert!(paths.contains("/toolbox") && paths.contains("/etc/read.conf"), "{paths:#?}");
    assert!(!paths.contains("/etc/unread.conf"), "{paths:#?}");

    // Both engines name an image by the digest of its config, so a profile
    // from one is good for the other.
    let result = integration_tests::program::minimize(directory.path(), &image);
    assert_eq!(result.run(&["cat", "/etc/read.conf"]), "read.conf");
}

#[test]
fn podman_exec_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let there = PodmanImage::from_docker(&images::scratch());
    let watch = Watch::start_of(directory.path(), &[&there.image()]);
    let container = Container::start_podman(&[&there.name, "sleep", "60"]);
    output(Command::new("podman").args([
        "--runtime",
        "runc",
        "exec",
        &container.id,
        "/probe",
        "cat",
        "/etc/read.conf",
    ]));
    let paths = watch.finish().paths();
    assert!(paths.contains("/probe") && paths.contains("/etc/read.conf"), "{paths:#?}");
}

#[test]
fn a_running_podman_container_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let there = PodmanImage::from_docker(&images::scratch());
    let container = Container::start_podman(&[&there.name, "sleep", "60"]);
    let file = profile_file(directory.path());
    Outcome::of(
        profiler(["record", "--container", &container.id, "--duration", "1", "-o"]).arg(&file),
    )
    .succeeded();
    assert!(Profile::read(&file).paths().contains("/toolbox"));
}

#[test]
fn nginx_under_podman_gives_what_it_gives_under_docker() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::nginx();
    let there = PodmanImage::from_docker(&image);
    let watch = Watch::start_of(directory.path(), &[&there.image()]);
    output(podman().args(["--rm", &there.name, "nginx", "-t"]));
    let by_podman = watch.finish().paths();
    let watch = Watch::start_of(directory.path(), &[&image]);
    integration_tests::engine::docker(["run", "--rm", &image.name, "nginx", "-t"]);
    let by_docker = watch.finish().paths();
    let differ: Vec<_> = by_podman
        .symmetric_difference(&by_docker)
        // What an engine itself puts into or mounts over a container.
        .filter(|path| !["/etc", "/run", "/dev", "/proc", "/sys"].contains(&path.as_str()))
        .filter(|path| {
            !["/run/", "/dev/", "/proc/", "/sys/", "/etc/host", "/etc/resolv", "/etc/mtab"]
                .iter()
                .any(|prefix| path.starts_with(prefix))
        })
        .collect();
    assert!(differ.is_empty(), "{differ:#?}");
}
