//! What is written is valid and loads everywhere, whatever the transport; what
//! is damaged is told.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration_tests::engine::{Image, PodmanImage, docker, output, podman, unique};
use integration_tests::images;
use integration_tests::program::{Outcome, profile_file, profiler};
use integration_tests::registry::{Registry, skopeo_copy};

/// Runs an image under Docker in a directory that then holds its profile;
/// what the image says.
#[track_caller]
fn profile(directory: &Path, image: &Image) -> String {
    let file = profile_file(directory);
    let mut run = profiler(["run", "--image", &image.name, "-o"]);
    run.arg(&file).args(["--", "docker", "run", "--rm", &image.name]);
    Outcome::of(&mut run).succeeded().stdout.trim().to_owned()
}

#[track_caller]
fn minimize(directory: &Path, source: &str, output: &str) {
    let mut command = profiler(["minimize", source, "--output", output, "--profile"]);
    Outcome::of(command.arg(profile_file(directory))).succeeded();
}

#[track_caller]
fn validate(reference: &str) {
    let outcome = Outcome::of(&mut profiler(["validate", reference])).succeeded();
    assert_eq!(outcome.stdout, "", "{reference}");
}

/// Gives an image to every engine and tool, and runs it where it can be run.
/// Layouts and archives are given as they are, what is in a store or registry
/// is fetched from there.
#[track_caller]
fn loads_everywhere(directory: &Path, reference: &str, says: &str) {
    validate(reference);
    let layout = directory.join(unique("copy"));
    let copy = format!("{}:copy", layout.display());
    // skopeo reads it all, and checks the digests it is told.
    skopeo_copy(&with_tag(reference), &format!("oci:{copy}"));
    let bundle = directory.join(unique("bundle"));
    output(Command::new("umoci").args(["unpack", "--image", &copy]).arg(&bundle));
    assert!(bundle.join("rootfs/usr/share/words").is_file(), "{reference} by umoci");

    let by_docker = Image::future("everywhere");
    match reference.split_once(':') {
        Some(("docker-daemon", name)) => docker(["tag", name, &by_docker.name]),
        Some(("docker-archive", _)) => {
            let (file, name) = archive_and_name(reference);
            docker(["load", "--input", file]);
            docker(["tag", name, &by_docker.name]);
            docker(["rmi", name])
        }
        Some(("docker", name)) => {
            let name = name.trim_start_matches("//");
            docker(["pull", "--quiet", name]);
            docker(["tag", name, &by_docker.name]);
            docker(["rmi", name])
        }
        _ => {
            let to = format!("docker-daemon:{}:latest", by_docker.name);
            skopeo_copy(&with_tag(reference), &to);
            String::new()
        }
    };
    assert_eq!(by_docker.run(&[]), says, "{reference} under Docker");

    let by_podman = PodmanImage { name: format!("localhost/{}:latest", unique("everywhere")) };
    match reference.split_once(':') {
        Some(("containers-storage", name)) => {
            output(Command::new("podman").args(["tag", name, &by_podman.name]));
        }
        Some(("docker", name)) => {
            let mut pull = Command::new("podman");
            let name = name.trim_start_matches("//");
            output(pull.args(["pull", "--quiet", "--tls-verify=false", name]));
            output(Command::new("podman").args(["tag", name, &by_podman.name]));
            output(Command::new("podman").args(["untag", &by_podman.name, name]));
        }
        _ => skopeo_copy(&with_tag(reference), &format!("containers-storage:{}", by_podman.name)),
    }
    assert_eq!(output(podman().args(["--rm", &by_podman.name])), says, "{reference} under Podman");
}

/// A reference as skopeo wants it: names in the daemon with a tag.
fn with_tag(reference: &str) -> String {
    let tagless = reference.starts_with("docker-daemon:") && reference.matches(':').count() == 1;
    format!("{reference}{}", if tagless { ":latest" } else { "" })
}

/// File and image name of `docker-archive:FILE:NAME:TAG`.
fn archive_and_name(reference: &str) -> (&str, &str) {
    let rest = reference.trim_start_matches("docker-archive:");
    rest.split_once(':').expect("a file and a name")
}

#[test]
fn what_is_written_is_valid_and_loads_everywhere() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().display();
    let registry = Registry::start();
    let source = images::busybox(false).own();
    let says = profile(directory.path(), &source);
    let name = Image::future("valid");
    let stored = PodmanImage { name: format!("localhost/{}:latest", unique("valid")) };
    for output in [
        format!("docker-daemon:{}", name.name),
        format!("docker-archive:{place}/docker.tar:{}:1", unique("archive")),
        format!("oci:{place}/layout:1"),
        format!("oci-archive:{place}/oci.tar:1"),
        format!("containers-storage:{}", stored.name),
        registry.reference("team/valid:1"),
    ] {
        minimize(directory.path(), &source.name, &output);
        loads_everywhere(directory.path(), &output, &says);
    }
}

#[test]
fn the_same_image_comes_out_of_every_transport() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().display();
    let registry = Registry::start();
    let source = images::scratch().own();
    profile(directory.path(), &source);
    let from = format!("docker-daemon:{}:latest", source.name);
    let stored = PodmanImage::from_docker(&source);
    registry.fill(&from, "source:1");
    docker(["save", "--output", &format!("{place}/docker.tar"), &source.name]);
    let mut digests = Vec::new();
    for (number, source) in [
        source.name.clone(),
        format!("docker-archive:{place}/docker.tar"),
        format!("containers-storage:{}", stored.name),
        registry.reference("source:1"),
    ]
    .iter()
    .enumerate()
    {
        validate(source);
        let output = registry.reference(&format!("small:{number}"));
        minimize(directory.path(), source, &output);
        // Layers kept whole are stored as the source has them, so it is the
        // config that must be the same, and with it the unpacked layers.
        let manifest = registry.manifest("small", &number.to_string());
        digests.push(manifest["config"]["digest"].as_str().unwrap().to_owned());
    }
    assert_eq!(digests, vec![digests[0].clone(); 4]);
}

#[test]
fn a_profile_made_under_podman_is_good_for_its_storage() {
    let directory = tempfile::tempdir().unwrap();
    let stored = PodmanImage::from_docker(&images::scratch().own());
    let file = profile_file(directory.path());
    let mut run = profiler(["run", "--image", &stored.name, "-o"]);
    run.arg(&file).arg("--").arg("podman").args(podman().get_args());
    run.args(["--rm", &stored.name, "cat", "/etc/read.conf"]);
    Outcome::of(&mut run).succeeded();
    let small = PodmanImage { name: format!("localhost/{}:latest", unique("storage")) };
    let (from, to) =
        ([&stored, &small]).map(|image| format!("containers-storage:{}", image.name)).into();
    minimize(directory.path(), &from, &to);
    validate(&to);
    let says = output(podman().args(["--rm", &small.name, "cat", "/etc/read.conf"]));
    assert_eq!(says, "read.conf");

    // A name that is taken stays as it is unless told otherwise.
    let mut again = profiler(["minimize", &from, "--output", &to, "--profile"]);
    Outcome::of(again.arg(&file)).refused(2, &["exists", "--force"]);
    Outcome::of(again.arg("--force")).succeeded();
}

#[test]
fn the_storage_is_read_through_skopeo_where_there_is_no_podman() {
    let directory = tempfile::tempdir().unwrap();
    let source = images::scratch().own();
    let expected = profile(directory.path(), &source);
    let stored = PodmanImage::from_docker(&source);
    let small = PodmanImage { name: format!("localhost/{}:latest", unique("storage")) };
    let skopeo = output(Command::new("sh").args(["-c", "command -v skopeo"]));
    let programs = directory.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let from = format!("containers-storage:{}", stored.name);
    let to = format!("containers-storage:{}", small.name);
    let minimize = || {
        let mut command = profiler(["minimize", &from, "--output", &to, "--profile"]);
        command.arg(profile_file(directory.path())).env("PATH", &programs);
        command
    };
    Outcome::of(&mut minimize()).refused(2, &["needs podman or skopeo", "install"]);
    std::os::unix::fs::symlink(skopeo, programs.join("skopeo")).unwrap();
    Outcome::of(&mut minimize()).succeeded();
    Outcome::of(profiler(["validate", &to]).env("PATH", &programs)).succeeded();
    assert_eq!(output(podman().args(["--rm", &small.name])), expected);
}

#[test]
fn an_image_the_storage_has_not_is_said() {
    let reference = format!("containers-storage:{}", unique("none"));
    Outcome::of(&mut profiler(["validate", &reference])).refused(2, &[&reference, "podman images"]);
}

#[test]
fn ordinary_images_are_valid() {
    let (nginx, busybox) = (images::nginx(), images::busybox(true));
    for image in [&images::base(), &nginx.name, &busybox.name] {
        validate(image);
    }
}

#[test]
fn every_finding_is_told_and_what_cannot_be_read_is_another_status() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout");
    let reference = format!("oci:{}:1", layout.display());
    skopeo_copy(&with_tag(&format!("docker-daemon:{}", images::scratch().name)), &reference);
    validate(&reference);
    let mut damaged = 0;
    for blob in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            // The time stamp in gzip's header.
            bytes[5] ^= 1;
            fs::write(&path, bytes).unwrap();
            damaged += 1;
        }
    }
    let words = format!("{damaged} findings");
    let outcome = Outcome::of(&mut profiler(["validate", &reference])).refused(1, &[&words]);
    assert_eq!(outcome.stdout.lines().count(), damaged, "{outcome:#?}");
    let outcome = Outcome::of(&mut profiler(["validate", "--format", "json", &reference]));
    let findings: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(findings.as_array().unwrap().len(), damaged);
    assert!(findings[0]["place"].as_str().unwrap().starts_with("layer sha256:"));
    fs::write(layout.join("index.json"), "{").unwrap();
    Outcome::of(&mut profiler(["validate", &reference])).refused(2, &["index.json"]);
}
