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

/// What `docker image inspect` says of an image.
#[track_caller]
fn inspected(image: &Image, format: &str) -> serde_json::Value {
    let answer =
        docker(["image", "inspect", &format!("--format={{{{json {format}}}}}"), &image.name]);
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn a_debug_twin_in_docker_has_a_shell_and_shares_the_layers() {
    let directory = tempfile::tempdir().unwrap();
    let source = profiled(directory.path());
    let small = Image::future("small");
    let twin = Image { name: format!("{}:debug", small.name), temporary: true };
    Outcome::of(
        profiler(["minimize", &source.name, "--debug-twin", "debug", "--output", &small.name])
            .arg("--profile")
            .arg(profile_file(directory.path())),
    )
    .succeeded();
    let files = docker([
        "run",
        "--rm",
        "--network=none",
        "--entrypoint=sh",
        &twin.name,
        "-c",
        "ls / /etc; id -u",
    ]);
    assert!(files.lines().any(|line| line == "toolbox"), "{files}");
    assert!(!files.contains("unread.conf"), "more than the small image: {files}");
    assert_eq!(twin.run(&["cat", "/etc/read.conf"]), "read.conf", "the entrypoint is another");

    let layers = inspected(&small, ".RootFS.Layers");
    let twins = inspected(&twin, ".RootFS.Layers");
    let (added, shared) = twins.as_array().unwrap().split_last().unwrap();
    assert_eq!(shared, layers.as_array().unwrap(), "the layers are not shared; added: {added}");
    for key in ["Entrypoint", "Cmd", "Healthcheck", "User", "WorkingDir"] {
        let key = format!(".Config.{key}");
        assert_eq!(inspected(&twin, &key), inspected(&source, &key), "{key}");
    }
    assert_eq!(inspected(&small, ".Config"), inspected(&source, ".Config"), "the small one's");

    let container =
        integration_tests::engine::Container::start(&["--network=none", &twin.name, "sleep", "20"]);
    assert_eq!(docker(["exec", &container.id, "sh", "-c", "echo $((6 * 7))"]), "42");
}

#[test]
fn a_debug_twin_in_a_layout_stands_beside_the_small_image() {
    let directory = tempfile::tempdir().unwrap();
    let source = profiled(directory.path());
    let layout = directory.path().join("layout");
    let output = format!("oci:{}:min", layout.display());
    let write = |more: &[&str]| {
        Outcome::of(
            profiler(["minimize", &source.name, "--debug-twin", "debug", "--output", &output])
                .arg("--profile")
                .arg(profile_file(directory.path()))
                .args(more),
        )
    };
    write(&[]).succeeded();
    let (small, small_layers, _) = integration_tests::faithful::from_layout(&layout, "min");
    let (twin, twin_layers, config) = integration_tests::faithful::from_layout(&layout, "debug");
    let shared = inspected(&small, ".RootFS.Layers");
    let layers = inspected(&twin, ".RootFS.Layers");
    assert_eq!(layers.as_array().unwrap().split_last().unwrap().1, shared.as_array().unwrap());
    assert_eq!(twin_layers.len(), small_layers.len() + 1);
    let history = config["history"].as_array().unwrap();
    let real = history.iter().filter(|entry| entry["empty_layer"] != true).count();
    assert_eq!(real, twin_layers.len(), "{history:?}");
    let added = twin_layers.last().unwrap();
    let mut names: Vec<_> = added.iter().map(|entry| entry.path.clone()).collect();
    assert_eq!(names.first().map(Vec::as_slice), Some(b"busybox".as_slice()));
    names.sort();
    names.dedup();
    assert_eq!(names.len(), added.len(), "a name twice");

    write(&[]).refused(2, &["exists", "--force"]);
    let wrong = fs::canonicalize("/bin/true").unwrap().display().to_string();
    write(&["--force", "--debug-busybox", &wrong]).refused(2, &[&wrong, "not static"]);
    write(&["--force", "--debug-busybox", "/bin/busybox"]).succeeded();
    let again = integration_tests::faithful::from_layout(&layout, "debug").0;
    assert_eq!(inspected(&again, ".Id"), inspected(&twin, ".Id"), "another image");
}
