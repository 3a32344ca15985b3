//! An independent observer saw no image file that the profile lacks.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use integration_tests::engine::{Image, docker, output};
use integration_tests::oracle::Gated;
use integration_tests::watch::Watch;
use integration_tests::{images, until};

/// Regular files of the image, by path.
#[track_caller]
fn files_of(image: &Image, directory: &Path) -> BTreeSet<String> {
    let archive = directory.join("rootfs.tar");
    let container = docker(["create", &image.name, "true"]);
    docker(["export".as_ref(), "--output".as_ref(), archive.as_os_str(), container.as_ref()]);
    docker(["rm", &container]);
    let mut archive = tar::Archive::new(std::fs::File::open(&archive).unwrap());
    let entries = archive.entries().unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| !entry.header().entry_type().is_dir())
        .map(|entry| format!("/{}", entry.path().unwrap().display()))
        .collect()
}

/// Runs `command` in `image` under both observers, `drive`s it, and compares.
/// At least `at_least` must have been seen: an observer that saw nothing
/// proves nothing.
#[track_caller]
fn compare(
    image: &Image,
    options: &[&str],
    command: &[&str],
    at_least: &[&str],
    drive: impl FnOnce(&Gated),
) {
    let directory = tempfile::tempdir().unwrap();
    let in_image = files_of(image, directory.path());
    let watch = Watch::start(directory.path());
    let gated = Gated::start(image, directory.path(), options, command);
    drive(&gated);
    let seen: BTreeSet<String> = gated.finish().intersection(&in_image).cloned().collect();
    let profile = watch.finish();

    for path in at_least {
        assert!(seen.contains(*path), "the observer itself did not see {path}: {seen:#?}");
    }
    assert_eq!(profile.lost(), []);
    let paths = profile.paths();
    let absent: Vec<_> = seen.difference(&paths).collect();
    assert!(absent.is_empty(), "{} of {} files absent: {absent:#?}", absent.len(), seen.len());
    eprintln!("{}: {} files seen, all in the profile", image.name, seen.len());
}

/// Asks for the page on a published port until it comes.
#[track_caller]
fn fetch(gated: &Gated, port: &str) {
    let address = docker(["port", &gated.container.id, port]);
    let url = format!("http://{}/", address.lines().next().unwrap());
    until("the server answers", || {
        let mut curl = Command::new("curl");
        let answer = curl.args(["--fail", "--silent", "--output", "/dev/null", &url]).status();
        answer.is_ok_and(|status| status.success())
    });
    output(Command::new("curl").args(["--silent", "--output", "/dev/null", &url]));
}

#[test]
fn nginx_under_http() {
    compare(
        &images::nginx(),
        &["--publish", "127.0.0.1::80"],
        &["nginx", "-g", "daemon off;"],
        &["/usr/sbin/nginx", "/etc/nginx/nginx.conf", "/etc/passwd"],
        |gated| fetch(gated, "80"),
    );
}

#[test]
fn flask_under_http() {
    compare(
        &images::flask(),
        &["--publish", "127.0.0.1::8000"],
        &["gunicorn", "--bind", "0.0.0.0:8000", "app:app"],
        &["/home/app/app.py", "/usr/local/bin/gunicorn"],
        |gated| fetch(gated, "8000"),
    );
}

#[test]
fn a_shell_script_with_pipes_and_subshells() {
    let script = r#"
        set -e
        (cd /etc && cat os-release | grep -c . ) | tr -d '\n' > /tmp/count
        names=$(find /usr/share/doc -maxdepth 1 | sort | head -n 5)
        for name in $names; do (basename "$name" | wc -c & wait); done
        { ls /usr/bin; ls /usr/lib; } | sed -n 's/^a//p' | while read -r line; do :; done
        cat <(cat /etc/../etc/debian_version) | cut -c1
        exec sort /etc/group
    "#;
    compare(
        &Image { name: images::base(), temporary: false },
        &[],
        &["bash", "-c", script],
        &["/usr/bin/bash", "/usr/bin/sed", "/etc/debian_version", "/etc/group"],
        |gated| assert_eq!(gated.container.wait(), 0),
    );
}

#[test]
fn the_observer_itself_sees_opens_and_executions() {
    let directory = tempfile::tempdir().unwrap();
    let image = Image { name: images::base(), temporary: false };
    let gated = Gated::start(&image, directory.path(), &[], &["cat", "/etc/os-release"]);
    assert_eq!(gated.container.wait(), 0);
    let seen = gated.finish();
    for path in ["/usr/bin/cat", "/usr/lib/os-release"] {
        assert!(seen.contains(path), "{seen:#?}");
    }
}
