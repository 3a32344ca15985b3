//! Plans over images made here.

use super::*;
use crate::image::tests::{Tar, image};
use crate::image::{SourceImage, Tree};
use crate::profile::{ImageId, Kind, NameEntry, PathEntry, Profile, Run};

fn profile(image: &SourceImage, paths: &[(&str, Kind)], names: &[(&str, Kind)]) -> Profile {
    let mut profile = Profile::new(ImageId { id: image.id.clone(), ..ImageId::default() });
    profile.runs.push(Run { exit_status: Some(0), ..Run::default() });
    profile.paths = paths
        .iter()
        .map(|&(path, kind)| PathEntry {
            path: path.into(),
            kinds: [kind].into(),
            comm: "sh".into(),
            ..PathEntry::default()
        })
        .collect();
    profile.names = names
        .iter()
        .map(|&(name, kind)| NameEntry {
            name: name.into(),
            kinds: [kind].into(),
            comm: "sh".into(),
            ..NameEntry::default()
        })
        .collect();
    profile
}

fn kept(image: &SourceImage, profile: &Profile, policy: &Policy) -> Vec<String> {
    let tree = Tree::build(&image.layers).unwrap();
    let plan = plan(image, &tree, std::slice::from_ref(profile), policy).unwrap();
    let mut paths: Vec<String> = plan
        .kept
        .keys()
        .map(|&id| String::from_utf8_lossy(&tree.path(id)).into_owned())
        .filter(|path| path != "/")
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_link_walked_is_kept() {
    // Slim's /bin -> usr/bin was lost, and nothing started.
    let image = image(vec![
        Tar::new()
            .link("bin", "usr/bin")
            .dir("usr")
            .dir("usr/bin")
            .file("usr/bin/dash", "x")
            .file("usr/bin/other", "x")
            .link("usr/bin/sh", "dash")
            .link("usr/bin/ash", "dash")
            .bytes(),
    ]);
    let profile = profile(&image, &[("/usr/bin/dash", Kind::Exec)], &[("/bin/sh", Kind::Exec)]);
    assert_eq!(
        kept(&image, &profile, &Policy::default()),
        ["/bin", "/usr", "/usr/bin", "/usr/bin/dash", "/usr/bin/sh"]
    );
}

#[test]
fn an_interpreter_is_kept_with_what_env_looks_up() {
    let image = image(vec![
        Tar::new()
            .entry(tar::EntryType::Regular, "app", "", 0o755, b"#!/usr/bin/env -S python3 -u\n")
            .entry(tar::EntryType::Regular, "usr/bin/env", "", 0o755, b"x")
            .entry(tar::EntryType::Regular, "usr/bin/python3.11", "", 0o755, b"x")
            .link("usr/bin/python3", "python3.11")
            .file("usr/bin/perl", "x")
            .bytes(),
    ]);
    let profile = profile(&image, &[("/app", Kind::Exec)], &[]);
    assert_eq!(
        kept(&image, &profile, &Policy::default()),
        ["/app", "/usr", "/usr/bin", "/usr/bin/env", "/usr/bin/python3", "/usr/bin/python3.11"]
    );
}

#[test]
fn libraries_come_by_the_images_own_rules() {
    let program = std::fs::read("/bin/true").unwrap();
    let libc = std::fs::read("/lib/x86_64-linux-gnu/libc.so.6").unwrap();
    let executable = |tar: Tar, name: &str, data: &[u8]| {
        tar.entry(tar::EntryType::Regular, name, "", 0o755, data)
    };
    let mut tar = executable(Tar::new(), "app", &program);
    tar = executable(tar, "opt/odd/libc.so.6", &libc);
    tar = executable(tar, "opt/odd/libother.so", &libc);
    // Of the right name, but for no machine at all.
    tar = executable(tar, "opt/fake/libc.so.6", b"\x7fELF");
    tar = executable(tar, "lib64/ld-linux-x86-64.so.2", &libc);
    let image = image(vec![
        tar.file("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n")
            .file("etc/ld.so.conf.d/a.conf", "/opt/fake\n/opt/odd # here\n")
            .bytes(),
    ]);
    let profile = profile(&image, &[("/app", Kind::Exec)], &[]);
    assert_eq!(
        kept(&image, &profile, &Policy::default()),
        ["/app", "/lib64", "/lib64/ld-linux-x86-64.so.2", "/opt", "/opt/odd", "/opt/odd/libc.so.6"]
    );
}

#[test]
fn what_a_run_made_is_not_shipped_but_its_directory_is() {
    let image = image(vec![Tar::new().dir("var").dir("var/cache").file("app", "x").bytes()]);
    let profile = profile(
        &image,
        &[("/app", Kind::Exec), ("/var/cache/made/file", Kind::Open)],
        &[("/var/cache/made", Kind::Modify)],
    );
    assert_eq!(kept(&image, &profile, &Policy::default()), ["/app", "/var", "/var/cache"]);
    let tree = Tree::build(&image.layers).unwrap();
    let plan = plan(&image, &tree, &[profile], &Policy::default()).unwrap();
    assert!(plan.unshipped[b"/var/cache/made/file".as_slice()].contains("run time"));
}

#[test]
fn readlink_keeps_the_link_and_not_the_target() {
    let image = image(vec![Tar::new().file("target", "x").link("link", "target").bytes()]);
    let profile = profile(&image, &[], &[("/link", Kind::Readlink)]);
    assert_eq!(kept(&image, &profile, &Policy::default()), ["/link"]);
}

#[test]
fn patterns_include_and_exclude_and_must_fit() {
    let image = image(vec![
        Tar::new()
            .file("app", "x")
            .file("etc/ssl/certs/a.pem", "x")
            .file("etc/ssl/private/k", "x")
            .bytes(),
    ]);
    let profile = profile(&image, &[("/app", Kind::Exec)], &[]);
    let policy = |include: &str, exclude: &str| {
        let list = |text: &str| text.split_whitespace().map(Pattern::given).collect::<Vec<_>>();
        Policy::new(list(include), list(exclude)).unwrap()
    };
    let all = kept(&image, &profile, &policy("/etc/ssl", ""));
    assert!(all.contains(&"/etc/ssl/private/k".to_owned()), "{all:?}");
    let some = kept(&image, &profile, &policy("/etc/ssl/**", "private"));
    assert!(some.contains(&"/etc/ssl/certs/a.pem".to_owned()), "{some:?}");
    assert!(!some.iter().any(|path| path.contains("private")), "{some:?}");
    let tree = Tree::build(&image.layers).unwrap();
    let error = plan(&image, &tree, &[profile], &policy("/etc/sll/*", "")).unwrap_err();
    assert!(error.to_string().contains("/etc/sll/*"), "{error}");
}

#[test]
fn profiles_that_make_broken_images_are_refused() {
    let image = image(vec![Tar::new().file("app", "x").bytes()]);
    let good = profile(&image, &[("/app", Kind::Exec)], &[]);
    let none = Allow::default();
    let refusal = |profile: Profile, allow: Allow| check(&image, &[profile], allow).err();
    assert_eq!(refusal(good.clone(), none), None);

    let mut other = good.clone();
    other.image.id = "sha256:other".into();
    assert!(matches!(refusal(other.clone(), none), Some(Refusal::Mismatch { .. })));
    assert_eq!(refusal(other, Allow { mismatch: true, ..none }), None);

    let mut lossy = good.clone();
    lossy.runs[0].lost.ring_full = 1;
    assert!(matches!(refusal(lossy.clone(), none), Some(Refusal::Incomplete { .. })));
    assert_eq!(refusal(lossy, Allow { incomplete: true, ..none }), None);

    let mut red = good.clone();
    red.runs[0].exit_status = Some(3);
    assert!(matches!(refusal(red.clone(), none), Some(Refusal::Failed { status: 3, .. })));
    assert_eq!(refusal(red, Allow { failed: true, ..none }), None);

    let thin = profile(&image, &[("/app", Kind::Stat)], &[]);
    assert!(matches!(refusal(thin.clone(), none), Some(Refusal::Thin { .. })));
    assert_eq!(refusal(thin, Allow { thin: true, ..none }), None);
}
