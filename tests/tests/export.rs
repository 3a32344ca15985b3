//! `profiler export`: lists and files that other builders take unchanged.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration_tests::engine::{Image, docker, output};
use integration_tests::images;
use integration_tests::program::{Outcome, profile_file, profile_of, profiler};

/// A profile of the image reading `/etc/read.conf`.
fn profiled(directory: &Path) -> Image {
    let image = images::scratch();
    let run = ["docker", "run", "--rm", &image.name, "cat", "/etc/read.conf"];
    profile_of(directory, &image, &run);
    image
}

/// Unpacks the image's file system.
fn rootfs(image: &Image, directory: &Path) -> std::path::PathBuf {
    let root = directory.join("rootfs");
    fs::create_dir(&root).unwrap();
    let container = docker(["create", &image.name]);
    let archive = directory.join("rootfs.tar");
    docker(["export".as_ref(), "--output".as_ref(), archive.as_os_str(), container.as_ref()]);
    docker(["rm", &container]);
    output(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&root));
    root
}

#[test]
fn gnu_tar_takes_the_path_lists() {
    let directory = tempfile::tempdir().unwrap();
    let image = profiled(directory.path());
    let root = rootfs(&image, directory.path());
    for (format, null) in [("paths", None), ("paths0", Some("--null"))] {
        let list = directory.path().join(format);
        Outcome::of(
            profiler(["export", "--format", format, "--image", &image.name, "-o"])
                .arg(&list)
                .arg(profile_file(directory.path())),
        )
        .succeeded();
        let packed = directory.path().join("packed.tar");
        output(
            Command::new("tar")
                .arg("-C")
                .arg(&root)
                .args(["--no-recursion", "--absolute-names"])
                .args(["--transform", "s,^/,,"])
                .arg("-cf")
                .arg(&packed)
                .args(null)
                .arg("--files-from")
                .arg(relative(&list, null.is_some())),
        );
        let names = output(Command::new("tar").arg("-tf").arg(&packed));
        assert!(names.lines().any(|name| name.ends_with("etc/read.conf")), "{names}");
        assert!(!names.contains("unread.conf") && !names.contains("ballast"), "{names}");
    }
}

/// The list as it stands when its names are relative; else with the leading
/// slash taken off, as a caller with a rootfs elsewhere does.
fn relative(list: &Path, null: bool) -> std::path::PathBuf {
    let separator = if null { '\0' } else { '\n' };
    let text = fs::read_to_string(list).unwrap();
    let names = text.split_terminator(separator).map(|name| match name.trim_start_matches('/') {
        "" => ".",
        name => name,
    });
    let copy = list.with_extension("relative");
    fs::write(&copy, names.map(|name| format!("{name}{separator}")).collect::<String>()).unwrap();
    copy
}

#[test]
fn the_lists_go_to_stdout_sorted_and_without_doubles() {
    let directory = tempfile::tempdir().unwrap();
    let image = profiled(directory.path());
    let outcome = Outcome::of(
        profiler(["export", "--format", "paths", "--image", &image.name])
            .arg(profile_file(directory.path())),
    )
    .succeeded();
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let mut sorted = lines.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(lines, sorted);
    assert!(lines.iter().any(|line| line.ends_with("toolbox")), "{lines:?}");
}

#[test]
fn docker_builds_the_dockerfile_into_an_image_that_works() {
    let directory = tempfile::tempdir().unwrap();
    let image = profiled(directory.path());
    let context = directory.path().join("context");
    fs::create_dir(&context).unwrap();
    Outcome::of(
        profiler(["export", "--format", "dockerfile", "--image", &image.name, "-o"])
            .arg(context.join("Dockerfile"))
            .arg(profile_file(directory.path())),
    )
    .succeeded();
    let result = Image::future("export");
    docker([
        "build".as_ref(),
        "--quiet".as_ref(),
        "--tag".as_ref(),
        result.name.as_ref(),
        context.as_os_str(),
    ]);
    assert_eq!(result.run(&["cat", "/etc/read.conf"]), "read.conf");
    assert!(result.size() + (1 << 20) <= image.size(), "the unread ballast was kept");
}

#[test]
fn an_unknown_format_is_refused() {
    let outcome = Outcome::of(&mut profiler(["export", "--format", "punch-cards", "p.json"]));
    assert_eq!(outcome.code, 2, "{outcome:#?}");
    assert!(outcome.stderr.contains("dockerfile"), "the formats are not listed: {outcome:#?}");
}

#[test]
fn the_dockerfile_takes_nothing_of_the_builder_and_keeps_capabilities() {
    use integration_tests::faithful::Case;
    let base = images::base();
    let case = Case::build(
        "export",
        &format!(
            "FROM {base}\n\
             RUN apt-get update && apt-get install -y --no-install-recommends libcap2-bin \
              && cp /usr/bin/id /srv/id && setcap cap_chown+ep /srv/id && chmod 4755 /srv/id\n\
             ADD etc.tar /\n"
        ),
        |context| {
            let mut builder = tar::Builder::new(fs::File::create(context.join("etc.tar")).unwrap());
            for name in ["hosts", "hostname"] {
                let mut header = tar::Header::new_gnu();
                header.set_mode(0o640);
                header.set_size(10);
                header.set_mtime(0);
                builder
                    .append_data(&mut header, format!("etc/{name}"), &b"the image\n"[..])
                    .unwrap();
            }
            builder.finish().unwrap();
        },
    );
    case.profile(&["--user", "nobody"], &["sh", "-c", "/srv/id --user; getcap /srv/id"]);
    let directory = tempfile::tempdir().unwrap();
    Outcome::of(
        profiler(["export", "--format", "dockerfile", "--image", &case.image.name, "-o"])
            .arg(directory.path().join("Dockerfile"))
            .arg(case.profile_file()),
    )
    .succeeded();
    let result = Image::future("export-tar");
    docker([
        "build".as_ref(),
        "--quiet".as_ref(),
        "--tag".as_ref(),
        result.name.as_ref(),
        directory.path().as_os_str(),
    ]);
    let layers = integration_tests::faithful::layers_of(&result);
    let entry = |path: &str| {
        let found = integration_tests::faithful::all(&layers, path.as_bytes());
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        found[0].clone()
    };
    for name in ["etc/hosts", "etc/hostname"] {
        let entry = entry(name);
        assert_eq!(entry.data, b"the image\n", "{name} is the builder's");
        assert_eq!(entry.mode, 0o640, "{name}");
    }
    let below = |prefix: &str| {
        let below = layers.iter().flatten().filter(|e| e.path.starts_with(prefix.as_bytes()));
        below.map(|e| String::from_utf8_lossy(&e.path).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(below("proc/"), Vec::<String>::new());
    assert_eq!(below("dev/"), Vec::<String>::new());
    let program = entry("srv/id");
    assert_eq!(program.mode, 0o4755);
    assert!(program.xattrs.contains_key("security.capability"), "{program:?}");
}
