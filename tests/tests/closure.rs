//! What an image needs beyond what its tests touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use integration_tests::engine::{Image, docker, output};
use integration_tests::images;
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, minimize, profile_file, profiler};
use serde_json::{Value, json};

/// Profiles a command in a container of the image, whatever else runs.
#[track_caller]
fn profile(directory: &Path, image: &Image, arguments: &[&str]) {
    let file = profile_file(directory);
    let run = ["--", "docker", "run", "--rm", "--network=none", &image.name];
    Outcome::of(
        profiler(["run", "--image", &image.name, "-o"]).arg(file).args(run).args(arguments),
    )
    .succeeded();
}

/// Writes a profile by hand: that these programs were executed by these names.
#[track_caller]
fn profile_by_hand(directory: &Path, image: &Image, programs: &[(&str, &str)]) {
    let entry = |key: &str, path: &str| json!({ key: path, "kinds": ["exec"], "comm": "test" });
    let id = docker(["image", "inspect", "--format={{.Id}}", &image.name]);
    let document = json!({
        "version": 1,
        "image": { "reference": image.name, "id": id },
        "runs": [{
            "command": [], "exit_status": 0, "started": "", "ended": "", "kernel": "",
            "tier": "", "containers": [],
            "lost": {
                "ring_full": 0, "path_too_deep": 0, "missed_runs": 0, "unattributed": 0,
                "unreadable": 0
            }
        }],
        "paths": programs.iter().map(|(_, path)| entry("path", path)).collect::<Value>(),
        "names": programs.iter().map(|(name, _)| entry("name", name)).collect::<Value>(),
        "missing": [],
    });
    fs::write(profile_file(directory), document.to_string()).unwrap();
}

/// Kept paths with rule and reason, and the warnings.
fn report(directory: &Path) -> (BTreeMap<String, String>, Vec<Value>) {
    let text = fs::read(directory.join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&text).unwrap();
    let kept = report["kept"].as_array().unwrap().iter().map(|entry| {
        let text = |key: &str| entry[key].as_str().unwrap().to_owned();
        (text("path"), format!("{}: {}", text("rule"), text("detail")))
    });
    (kept.collect(), report["warnings"].as_array().unwrap().clone())
}

/// Runs a command in a container without a network.
#[track_caller]
fn run(image: &Image, user: &str, arguments: &[&str]) -> String {
    let fixed = ["run", "--rm", "--network=none", "--user", user, &image.name];
    docker(fixed.iter().chain(arguments))
}

#[test]
fn an_interpreter_and_loader_closure_is_computed_for_the_images_own_architecture() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::arm64();
    // A program, and a script whose interpreter nothing else names.
    let programs = [("/bin/ls", "/usr/bin/ls"), ("/usr/bin/ldd", "/usr/bin/ldd")];
    profile_by_hand(directory.path(), &image, &programs);
    let result = minimize(directory.path(), &image);
    let (kept, warnings) = report(directory.path());
    assert_eq!(warnings, [] as [Value; 0]);
    for (path, reason) in [
        ("/lib", "link: /lib/ld-linux-aarch64.so.1"),
        ("/usr/bin/bash", "script: interpreter of /usr/bin/ldd"),
        ("/usr/lib/ld-linux-aarch64.so.1", "link: /lib/ld-linux-aarch64.so.1"),
    ] {
        assert_eq!(kept.get(path).map(String::as_str), Some(reason), "{path} of {kept:#?}");
    }
    assert!(!kept.keys().any(|path| path.contains("x86")), "{kept:#?}");
    let platform = docker(["image", "inspect", "--format={{.Os}}/{{.Architecture}}", &result.name]);
    assert_eq!(platform, "linux/arm64");

    // Another reader of ELF files finds nothing that is not there.
    let root = directory.path().join("root");
    fs::create_dir(&root).unwrap();
    let container = docker(["create", "--platform=linux/arm64", &result.name, "x"]);
    let script = r#"docker export "$0" | tar -x -C "$1""#;
    output(Command::new("sh").args(["-c", script, &container]).arg(&root));
    docker(["rm", &container]);
    let script = r#"cd "$0" && for name in $(
            find usr -type f -exec readelf -d {} + 2>/dev/null |
            sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u
        ); do
            echo "$name $(find usr -name "$name" | wc -l)"
        done"#;
    let needed = output(Command::new("sh").args(["-c", script]).arg(&root));
    assert!(needed.contains("libc.so.6 ") && needed.contains("libtinfo.so.6 "), "{needed}");
    assert!(!needed.lines().any(|line| line.ends_with(" 0")), "{needed}");
}

#[test]
fn a_closure_that_was_only_computed_runs() {
    let directory = tempfile::tempdir().unwrap();
    let image = Image { name: images::base(), temporary: false };
    let programs = [("/bin/sh", "/usr/bin/dash"), ("/bin/ls", "/usr/bin/ls")];
    profile_by_hand(directory.path(), &image, &programs);
    let result = minimize(directory.path(), &image);
    assert_eq!(run(&result, "0", &["sh", "-c", "ls -d /bin/sh"]), "/bin/sh");
}

#[test]
fn a_non_root_user_is_still_known() {
    let directory = tempfile::tempdir().unwrap();
    let image = Image { name: images::base(), temporary: false };
    profile_by_hand(directory.path(), &image, &[("/usr/bin/id", "/usr/bin/id")]);
    let result = minimize(directory.path(), &image);
    assert_eq!(run(&result, "www-data", &["id", "-un"]), "www-data");
    assert_eq!(run(&result, "games:users", &["id", "-gn"]), "users");
}

#[test]
fn tls_works_though_the_bundle_was_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::python();
    profile(directory.path(), &image, &["python3", "-c", "import ssl; print(ssl.OPENSSL_VERSION)"]);
    let touched = Profile::read(&profile_file(directory.path())).paths();
    assert!(!touched.contains("/etc/ssl/certs/ca-certificates.crt"), "the test has touched it");
    let result = minimize(directory.path(), &image);
    let script = "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])";
    let authorities = run(&result, "0", &["python3", "-c", script]);
    assert_eq!(authorities, run(&image, "0", &["python3", "-c", script]));
    assert!(authorities.parse::<u32>().unwrap() > 50, "{authorities}");
}

#[test]
fn python_metadata_of_a_touched_module_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::flask();
    // The way to read metadata is touched, and flask's own is not.
    let script = "import flask, importlib.metadata as m; print(m.version('pip'))";
    profile(directory.path(), &image, &["python3", "-c", script]);
    let touched = Profile::read(&profile_file(directory.path())).paths();
    let metadata = |path: &String| path.contains("/jinja2-") && path.ends_with("/METADATA");
    assert!(!touched.iter().any(metadata), "the test has touched it");
    let result = minimize(directory.path(), &image);
    let script = "import flask, importlib.metadata as m; print(m.version('flask'), \
                  m.version('jinja2'), m.entry_points(group='flask.commands'))";
    let versions = |image: &Image| run(image, "app", &["python3", "-c", script]);
    assert_eq!(versions(&result), versions(&image));
}

#[test]
fn host_names_that_are_not_ascii_are_encoded_though_no_test_had_one() {
    let directory = tempfile::tempdir().unwrap();
    let image = images::python();
    profile(directory.path(), &image, &["python3", "-c", "import unicodedata, re"]);
    let result = minimize(directory.path(), &image);
    let script = "print('b\\u00fccher.example'.encode('idna'))";
    assert_eq!(run(&result, "0", &["python3", "-c", script]), "b'xn--bcher-kva.example'");
}
