//! What is asked for beside the profile: patterns, groups, the policy file,
//! one layer.

use std::fs;
use std::path::Path;

use integration_tests::engine::{Image, docker};
use integration_tests::images;
use integration_tests::program::{Outcome, minimize, profile_file, profiler};

/// The static image, profiled while it reads one file.
#[track_caller]
fn profiled(directory: &Path) -> Image {
    let image = images::scratch();
    Outcome::of(
        profiler(["run", "--image", &image.name, "-o"])
            .arg(profile_file(directory))
            .args(["--", "docker", "run", "--rm", "--network=none", &image.name])
            .args(["cat", "/etc/read.conf"]),
    )
    .succeeded();
    image
}

/// `profiler minimize` with these arguments, into a layout.
#[track_caller]
fn minimized(directory: &Path, image: &Image, arguments: &[&str]) -> Outcome {
    let output = directory.join("result");
    let _ = fs::remove_dir_all(&output);
    Outcome::of(
        profiler(["minimize", &image.name, "--output", &format!("oci:{}", output.display())])
            .arg("--profile")
            .arg(profile_file(directory))
            .arg("--report")
            .arg(directory.join("report.json"))
            .args(arguments),
    )
}

/// Paths that were kept, with the rules they were kept by.
#[track_caller]
fn kept(directory: &Path) -> Vec<(String, String)> {
    let report = fs::read(directory.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let kept = report["kept"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    kept.map(|entry| (text(&entry["path"]), text(&entry["rule"]))).collect()
}

#[test]
fn flags_files_and_the_policy_file_add_up_and_the_last_pattern_wins() {
    let directory = tempfile::tempdir().unwrap();
    let image = profiled(directory.path());
    let file = |name: &str, text: &str| {
        fs::write(directory.path().join(name), text).unwrap();
        directory.path().join(name).display().to_string()
    };
    file("of-policy.txt", "# relative to the policy file\n/etc/unread.conf\n");
    let policy = file(
        "policy.toml",
        "include = ['/etc/b*']\ninclude-from = ['of-policy.txt']\nexclude = ['probe']\nsquash = true\n",
    );
    let list = file("list.txt", "!/etc/unread.conf\n");
    let arguments = ["--policy", &policy, "--include-from", &list];
    minimized(directory.path(), &image, &arguments).succeeded();
    let paths = kept(directory.path());
    let rule = |path: &str| paths.iter().find(|(kept, _)| kept == path).map(|(_, rule)| &**rule);
    assert_eq!(rule("/etc/ballast"), Some("include"), "{paths:?}");
    assert_eq!(rule("/etc/unread.conf"), None, "taken back by the flag: {paths:?}");
    assert_eq!(rule("/probe"), None, "excluded: {paths:?}");
    assert_eq!(rule("/toolbox"), Some("touched"), "{paths:?}");

    let flags = [&arguments[..], &["--include", "unread.conf", "--exclude", "!/probe"]].concat();
    minimized(directory.path(), &image, &flags).succeeded();
    let paths = kept(directory.path());
    let has = |path: &str| paths.iter().any(|(kept, _)| kept == path);
    assert!(has("/etc/unread.conf") && has("/probe"), "flags win: {paths:?}");
}

#[test]
fn a_mistake_in_a_policy_is_named_with_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    let image = profiled(directory.path());
    let path = directory.path().join("mistake");
    let name = path.display().to_string();
    for (text, flag, words) in [
        ("\n# x\n/etc/raed.conf\n", "--include-from", ["/etc/raed.conf", "line 3", "mistake"]),
        ("/etc\n/etc/[a\n", "--include-from", ["/etc/[a", "line 2", "unclosed"]),
        ("\nincldue = ['/etc']\n", "--policy", ["line 2", "incldue", "mistake"]),
        ("keep = ['shells']\n", "--policy", ["line 1", "shells", "zoneinfo"]),
        ("exclude = ['/nothing']\n", "--policy", ["/nothing", "mistake", "fits no path"]),
    ] {
        fs::write(&path, text).unwrap();
        minimized(directory.path(), &image, &[flag, &name]).refused(2, &words);
    }
    let missing = directory.path().join("missing").display().to_string();
    minimized(directory.path(), &image, &["--policy", &missing]).refused(2, &[&missing]);
    minimized(directory.path(), &image, &["--exclude", "/nothing"]).refused(2, &["/nothing"]);
    let outcome = minimized(directory.path(), &image, &["--keep", "certs,shells"]);
    assert_eq!(outcome.code, 2, "{outcome:#?}");
    assert!(outcome.stderr.contains("shells") && outcome.stderr.contains("zoneinfo"));
    assert!(!directory.path().join("result").exists(), "an image was written nevertheless");
}

#[test]
fn a_squashed_image_has_one_layer_and_does_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let image = profiled(directory.path());
    let layers = |image: &Image| {
        let format = "--format={{len .RootFS.Layers}}";
        docker(["image", "inspect", format, &image.name])
    };
    let plain = minimize(directory.path(), &image);
    assert_ne!(layers(&plain), "1", "the source has one layer: the test tests nothing");
    let squashed = Image::future("squashed");
    Outcome::of(
        profiler(["minimize", &image.name, "--squash", "--profile"])
            .arg(profile_file(directory.path()))
            .args(["--output", &squashed.name]),
    )
    .succeeded();
    assert_eq!(layers(&squashed), "1");
    assert_eq!(squashed.run(&["cat", "/etc/read.conf"]), "read.conf");
}

#[test]
fn a_shell_that_was_not_used_is_kept_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let base = images::base();
    let image = images::build(
        "policy-shell",
        &format!("FROM {base}\nCOPY toolbox /toolbox\n"),
        |context| {
            fs::copy(images::toolbox(), context.join("toolbox")).unwrap();
        },
    );
    Outcome::of(
        profiler(["run", "--image", &image.name, "-o"]).arg(profile_file(directory.path())).args([
            "--",
            "docker",
            "run",
            "--rm",
            "--network=none",
            &image.name,
            "/toolbox",
        ]),
    )
    .succeeded();
    let result = Image::future("keep");
    Outcome::of(
        profiler(["minimize", &image.name, "--keep", "shell", "--output", &result.name])
            .arg("--profile")
            .arg(profile_file(directory.path())),
    )
    .succeeded();
    assert_eq!(result.run(&["/bin/sh", "-c", "echo shell"]), "shell");
    assert!(result.size() < 20 << 20, "{} bytes", result.size());
}
