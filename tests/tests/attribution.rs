//! Whose container it is: engines beside Docker and Podman, containers inside
//! containers, user namespaces.
//!
//! Every image has a name that nothing else on the machine uses, and only that
//! one is asked for.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use integration_tests::containerd::Containerd;
use integration_tests::engine::{Container, ControlGroup, Image, docker, output, unique};
use integration_tests::images;
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, profile_file, profiler};
use integration_tests::until;

/// The scratch image under a name of its own, and its config's digest.
#[track_caller]
fn image(stem: &str) -> (Image, String) {
    let image = Image::future(stem);
    docker(["tag", &images::scratch().name, &image.name]);
    let digest = docker(["image", "inspect", "--format={{.Id}}", &image.name]);
    (image, digest)
}

/// A bundle of runc in `directory` with the image's files.
#[track_caller]
fn bundle(directory: &Path, image: &Image, arguments: &[&str]) {
    let rootfs = directory.join("rootfs");
    fs::create_dir_all(&rootfs).unwrap();
    let container = docker(["create", &image.name]);
    let pipe = r#"docker export "$0" | tar -C "$1" -xf -"#;
    output(Command::new("sh").args(["-c", pipe, &container]).arg(&rootfs));
    docker(["rm", &container]);
    output(Command::new("runc").arg("spec").current_dir(directory));
    configure(directory, |spec| {
        spec["process"]["args"] = arguments.into();
        spec["process"]["terminal"] = false.into();
        // Not every root may raise its own limits.
        spec["process"].as_object_mut().unwrap().remove("rlimits");
    });
}

fn configure(bundle: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let file = bundle.join("config.json");
    let mut spec = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut spec);
    fs::write(&file, spec.to_string()).unwrap();
}

/// `profiler run --image REFERENCE -- sh -c SCRIPT sh WORDS…`.
fn run(directory: &Path, reference: &str, script: &str, words: &[&str]) -> Command {
    let mut command = profiler(["run", "--force", "--image", reference, "-o"]);
    command.arg(profile_file(directory)).args(["--", "sh", "-c", script, "sh"]).args(words);
    command
}

/// The profile that [`run`] left, with nothing lost and the program and the
/// file it read in it.
#[track_caller]
fn profile(directory: &Path) -> Profile {
    let profile = Profile::read(&profile_file(directory));
    assert_eq!(profile.lost(), []);
    let paths = profile.paths();
    assert!(paths.contains("/toolbox") && paths.contains("/etc/read.conf"), "{paths:#?}");
    assert!(!paths.contains("/etc/unread.conf"), "{paths:#?}");
    assert!(paths.iter().all(|path| !path.contains("rootfs")), "not the image's: {paths:#?}");
    profile
}

const RUNC: &str = r#"runc run --bundle "$1" "$2" </dev/null"#;

#[test]
fn a_bare_runc_container_is_known_by_its_bundle() {
    let directory = tempfile::tempdir().unwrap();
    let (image, _) = image("runc");
    let place = directory.path().join("bundle");
    bundle(&place, &image, &["/toolbox", "cat", "/etc/read.conf"]);
    let reference = place.to_str().unwrap();
    let id = unique("runc");
    // Two in a row, of one name and so of one control group path.
    let script = format!("{RUNC}; {RUNC}");
    Outcome::of(&mut run(directory.path(), reference, &script, &[reference, &id])).succeeded();
    let profile = profile(directory.path());
    assert_eq!(profile.image(), reference);
    assert_eq!(profile.0["image"]["id"], "");
    let containers = profile.runs()[0]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 2, "{containers:?}");
    assert!(containers.iter().all(|one| one.as_str().unwrap().starts_with(&format!("/{id}#"))));
}

/// The second container comes and goes while the profiler sleeps, so that its
/// touches are there and its state is not.
#[test]
fn a_bare_runc_container_that_nobody_could_look_at_makes_the_profile_incomplete() {
    let directory = tempfile::tempdir().unwrap();
    let (image, _) = image("runc");
    let place = directory.path().join("bundle");
    bundle(&place, &image, &["/toolbox", "cat", "/etc/read.conf"]);
    let reference = place.to_str().unwrap();
    let id = unique("runc");
    let script =
        format!("{RUNC}; set -- \"$1\" \"$2-2\"; kill -STOP $PPID; {RUNC}; kill -CONT $PPID");
    let outcome = Outcome::of(&mut run(directory.path(), reference, &script, &[reference, &id]));
    let outcome = outcome.succeeded();
    assert!(outcome.stderr.contains(&format!("container /{id}-2#")), "{outcome:#?}");
    let profile = Profile::read(&profile_file(directory.path()));
    assert_eq!(profile.runs()[0]["containers"].as_array().unwrap().len(), 1);
    let lost = profile.lost();
    assert!(matches!(&lost[..], [(cause, 2..)] if cause == "unattributed"), "{lost:?}");

    // Not where it cannot be of the image asked for.
    let (image, _) = self::image("other");
    let script = format!("kill -STOP $PPID; {RUNC}; kill -CONT $PPID; docker run --rm \"$3\"");
    let words = [reference, &id, &image.name];
    let mut command = run(directory.path(), &image.name, &script, &words);
    Outcome::of(&mut command).succeeded();
    assert_eq!(Profile::read(&profile_file(directory.path())).lost(), []);
}

#[test]
fn one_name_used_by_two_bundles_gives_two_profiles() {
    let directory = tempfile::tempdir().unwrap();
    let (image, _) = image("runc");
    let (one, other) = (directory.path().join("one"), directory.path().join("other"));
    bundle(&one, &image, &["/toolbox", "cat", "/etc/read.conf"]);
    bundle(&other, &image, &["/toolbox", "cat", "/etc/unread.conf"]);
    let id = unique("runc");
    let script = r#"for b in "$1" "$2"; do runc run --bundle "$b" "$3" </dev/null; done"#;
    let words = [one.to_str().unwrap(), other.to_str().unwrap(), &id];
    let outcome = Outcome::of(&mut run(directory.path(), words[0], script, &words)).succeeded();
    assert!(profile_file(directory.path()).exists(), "{outcome:#?}");
    profile(directory.path());
}

#[test]
fn a_control_group_of_the_users_choice_and_a_user_namespace() {
    let directory = tempfile::tempdir().unwrap();
    let (image, _) = image("runc");
    let place = directory.path().join("bundle");
    bundle(&place, &image, &["/toolbox", "cat", "/etc/read.conf"]);
    let id = unique("runc");
    let parent = ControlGroup(format!("/{id}-parent"));
    configure(&place, |spec| {
        spec["linux"]["cgroupsPath"] = format!("{}/leaf", parent.0).into();
        let mapping = serde_json::json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        spec["linux"]["uidMappings"] = mapping.clone();
        spec["linux"]["gidMappings"] = mapping;
        spec["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(serde_json::json!({"type": "user"}));
    });
    // The mapped root has to reach the rootfs.
    output(Command::new("chmod").arg("a+rx").args([directory.path(), &place]));
    output(Command::new("chown").args(["-R", "100000:100000"]).arg(place.join("rootfs")));
    let reference = place.to_str().unwrap();
    Outcome::of(&mut run(directory.path(), reference, RUNC, &[reference, &id])).succeeded();
    let profile = profile(directory.path());
    let container = profile.runs()[0]["containers"][0].as_str().unwrap().to_owned();
    assert!(container.starts_with(&format!("/{id}-parent/leaf#")), "{container}");
}

#[test]
fn a_running_runc_container_is_recorded_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let (image, _) = image("runc");
    let place = directory.path().join("bundle");
    bundle(&place, &image, &["/toolbox", "sleep", "60"]);
    let id = unique("runc");
    // The container would hold a pipe open.
    let detached = Command::new("runc")
        .args(["run", "--detach", "--bundle"])
        .arg(&place)
        .arg(&id)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(detached.unwrap().success());
    let file = profile_file(directory.path());
    let outcome =
        Outcome::of(profiler(["record", "--container", &id, "--duration", "1", "-o"]).arg(&file));
    output(Command::new("runc").args(["delete", "--force", &id]));
    outcome.succeeded();
    let paths = Profile::read(&file).paths();
    assert!(paths.contains("/toolbox"), "{paths:#?}");
}

#[test]
fn a_containerd_container_has_the_images_reference_and_digest() {
    let directory = tempfile::tempdir().unwrap();
    let containerd = Containerd::start();
    let (image, digest) = image("ctr");
    let name = containerd.import(&image.name, "default");
    let script = r#"ctr run --rm "$1" "$2" /toolbox cat /etc/read.conf"#;
    let id = unique("ctr");
    let mut command = run(directory.path(), &name, script, &[&name, &id]);
    Outcome::of(containerd.tell(&mut command)).succeeded();
    let profile = profile(directory.path());
    assert_eq!(profile.image(), name);
    assert_eq!(profile.0["image"]["id"], digest.as_str());
    assert!(!profile.0["image"]["diff_ids"].as_array().unwrap().is_empty());
    // The same image elsewhere takes the profile.
    let result = integration_tests::program::minimize(directory.path(), &image);
    assert_eq!(result.run(&["cat", "/etc/read.conf"]), "read.conf");

    // And one that runs already.
    output(&mut containerd.ctr(&["run", "--detach", &name, &id, "/toolbox", "sleep", "60"]));
    let file = directory.path().join("recorded.json");
    let mut record = profiler(["record", "--container", &id, "--duration", "1", "-o"]);
    Outcome::of(containerd.tell(record.arg(&file))).succeeded();
    let recorded = Profile::read(&file);
    assert_eq!(recorded.0["image"]["id"], digest.as_str());
    assert!(recorded.paths().contains("/toolbox"));
}

#[test]
fn a_pods_container_is_found_by_the_container_runtime_interface() {
    let directory = tempfile::tempdir().unwrap();
    let containerd = Containerd::start();
    let (image, digest) = image("cri");
    let name = containerd.import(&image.name, "k8s.io");
    let script = r#": > "$1/attached"; until test -e "$1/through"; do sleep 0.05; done"#;
    let place = directory.path().to_str().unwrap();
    let mut command = run(directory.path(), &name, script, &[place]);
    let mut child = containerd.tell(&mut command).spawn().unwrap();
    until("the profiler is attached", || directory.path().join("attached").exists());
    let pod = containerd.pod(&unique("pod"), &name, &["cat", "/etc/read.conf"]);
    std::thread::sleep(std::time::Duration::from_secs(1));
    fs::File::create(directory.path().join("through")).unwrap();
    assert!(child.wait().unwrap().success());
    containerd.remove(&pod);
    let profile = profile(directory.path());
    assert_eq!(profile.image(), name);
    assert_eq!(profile.0["image"]["id"], digest.as_str());
    assert!(!profile.0["image"]["diff_ids"].as_array().unwrap().is_empty());
    assert_eq!(profile.runs()[0]["containers"], serde_json::json!([pod.container]));
}

/// What a runtime inside a container of Docker does, step by step (this needs
/// fewer privileges than one): its container has a control group below the
/// outer one's and a rootfs of its own, whose files must not be taken for the
/// outer image's.
#[test]
fn a_container_inside_a_container_does_not_mix_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let (inner, _) = image("nested-inner");
    let place = directory.path().join("bundle");
    bundle(&place, &inner, &[]);
    let outer = Image::future("nested-outer");
    docker(["tag", &images::base(), &outer.name]);
    let inside = r#"set -e
        mount -t tmpfs none /mnt
        cp -a /bundle/rootfs/. /mnt
        cat /etc/hostname
        top=$(findmnt --noheadings --types cgroup2 --output TARGET | head -n 1)
        group=$top$(sed -n s/^0:://p /proc/self/cgroup)/nested
        mkdir "$group"
        echo $$ > "$group/cgroup.procs"
        exec unshare --mount chroot /mnt /toolbox cat /etc/read.conf"#;
    let script = r#"docker run --rm --cap-add SYS_ADMIN --cgroupns host \
        --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
        --volume /sys/fs/cgroup:/sys/fs/cgroup --volume "$1:/bundle:ro" "$2" sh -c "$3""#;
    let words = [place.to_str().unwrap(), &outer.name, inside];
    let outcome = Outcome::of(&mut run(directory.path(), &outer.name, script, &words)).succeeded();
    assert!(outcome.stdout.contains("read.conf"), "{outcome:#?}");
    let profile = Profile::read(&profile_file(directory.path()));
    assert_eq!(profile.image(), outer.name);
    assert_eq!(profile.lost(), []);
    let paths = profile.paths();
    for name in ["/cat", "/findmnt", "/chroot"] {
        assert!(paths.iter().any(|path| path.ends_with(name)), "{name} is not in {paths:#?}");
    }
    for path in ["/toolbox", "/etc/read.conf"] {
        assert!(!paths.contains(path), "{path} is the inner container's: {paths:#?}");
    }
}

#[test]
fn docker_with_a_control_group_parent_of_the_users_choice() {
    let directory = tempfile::tempdir().unwrap();
    let (image, digest) = image("parent");
    let group = ControlGroup(format!("/{}", unique("parent")));
    let parent = format!("--cgroup-parent={}", group.0);
    let script = r#"docker run --rm "$1" "$2" cat /etc/read.conf"#;
    let words = [parent.as_str(), &image.name];
    Outcome::of(&mut run(directory.path(), &image.name, script, &words)).succeeded();
    assert_eq!(profile(directory.path()).0["image"]["id"], digest.as_str());
}

/// A container that is gone with its image before the profiler can ask counts
/// where it may have been of an image asked for, by the name it was made with.
#[test]
fn a_container_that_is_gone_with_its_image_counts_where_it_may_be_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let (wanted, _) = image("wanted");
    let script = r#"kill -STOP $PPID
        docker run --rm "$1" cat /etc/unread.conf
        docker image rm "$1"
        kill -CONT $PPID
        docker run --rm "$2" cat /etc/read.conf"#;
    for is_asked_for in [false, true] {
        let (gone, _) = image("gone");
        let mut command = profiler(["run", "--force", "--image", &wanted.name]);
        if is_asked_for {
            command.args(["--image", &gone.name]);
        }
        command.arg("-o").arg(profile_file(directory.path()));
        command.args(["--", "sh", "-c", script, "sh", &gone.name, &wanted.name]);
        let outcome = Outcome::of(&mut command).succeeded();
        let profile = Profile::read(&profile_file(directory.path()));
        assert_eq!(profile.image(), wanted.name);
        let lost = profile.lost();
        match &lost[..] {
            [] if !is_asked_for => {}
            [(cause, 2..)] if is_asked_for => assert_eq!(cause, "unattributed"),
            _ => panic!("asked for: {is_asked_for}, lost: {lost:?}, {outcome:#?}"),
        }
    }
}

#[test]
fn a_container_that_ran_before_is_not_of_this_run() {
    let directory = tempfile::tempdir().unwrap();
    let (image, _) = image("earlier");
    let container = Container::start(&[&image.name, "sleep", "60"]);
    let script = r#"docker exec "$1" /toolbox cat /etc/read.conf"#;
    Outcome::of(&mut run(directory.path(), &image.name, script, &[&container.id]));
    assert!(!profile_file(directory.path()).exists());
}
