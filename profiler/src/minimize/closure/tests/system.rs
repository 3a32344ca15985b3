//! Files of the whole image.

use super::*;
use crate::minimize::Group;

#[test]
fn users_groups_and_the_distribution_are_kept() {
    Case::new()
        .files(&["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/nsswitch.conf"])
        .files(&["etc/redhat-release", "etc/alpine-release", "etc/system-release-cpe", "etc/else"])
        .link("etc/os-release", "../usr/lib/os-release")
        .file("usr/lib/os-release", "ID=test\n")
        .kept()
        .by(Rule::System, &["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"])
        .by(Rule::System, &["/usr/lib/os-release", "/etc/redhat-release", "/etc/alpine-release"])
        .by(Rule::System, &["/etc/system-release-cpe", "/etc/nsswitch.conf"])
        .by(Rule::Link, &["/etc/os-release"])
        .not(&["/etc/else"]);
}

#[test]
fn certificate_bundles_of_every_distribution_are_kept_and_single_ones_are_not() {
    let bundles = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        "/var/lib/ca-certificates/ca-bundle.pem",
    ];
    let relative = bundles.map(|path| &path[1..]);
    Case::new()
        .files(&relative)
        .files(&["usr/share/ca-certificates/a.crt", "etc/ssl/certs/java/cacerts"])
        .link("etc/pki/tls/certs/ca-bundle.crt", bundles[2])
        .link("usr/lib/ssl/cert.pem", bundles[0])
        .link("etc/ssl/certs/0a1b2c3d.0", "a.pem")
        .link("etc/ssl/certs/a.pem", "/usr/share/ca-certificates/a.crt")
        .kept()
        .by(Rule::Certs, &bundles)
        .by(Rule::Link, &["/usr/lib/ssl/cert.pem", "/etc/pki/tls/certs/ca-bundle.crt"])
        .not(&["/etc/ssl/certs/a.pem", "/etc/ssl/certs/0a1b2c3d.0", "/etc/ssl/certs/java/cacerts"]);
}

#[test]
fn the_local_zone_and_the_configs_are_kept_and_the_database_is_not() {
    let image = |zone: &str| {
        Case::new()
            .link("etc/localtime", "/usr/share/zoneinfo/Etc/UTC")
            .files(&["etc/timezone", "usr/share/zoneinfo/Etc/UTC", "usr/share/zoneinfo/GMT"])
            .files(&["usr/share/zoneinfo/Europe/Berlin", "usr/share/zoneinfo/Asia/Tokyo"])
            .environment(zone)
            .kept()
    };
    for zone in ["TZ=Europe/Berlin", "TZ=:Europe/Berlin", "TZ=:/usr/share/zoneinfo/Europe/Berlin"] {
        image(zone)
            .by(Rule::Zone, &["/etc/timezone", "/usr/share/zoneinfo/Etc/UTC"])
            .by(Rule::Zone, &["/usr/share/zoneinfo/GMT"])
            .by(Rule::Zone, &["/usr/share/zoneinfo/Europe/Berlin"])
            .not(&["/usr/share/zoneinfo/Asia/Tokyo"]);
    }
    image("A=b").not(&["/usr/share/zoneinfo/Europe/Berlin"]);
    let unused = Case::new().files(&["usr/share/zoneinfo/GMT", "usr/share/zoneinfo/UTC"]);
    unused.kept().not(&["/usr/share/zoneinfo/GMT", "/usr/share/zoneinfo/UTC"]);
}

#[test]
fn a_locale_of_the_config_is_kept_and_the_archive_where_it_has_no_directory() {
    let image = |language: &str| {
        Case::new()
            .files(&["usr/lib/locale/C.utf8/LC_CTYPE", "usr/lib/locale/de_DE.utf8/LC_TIME"])
            .files(&["usr/lib/locale/locale-archive"])
            .environment(language)
            .kept()
    };
    let archive = "/usr/lib/locale/locale-archive";
    image("LANG=C.UTF-8")
        .by(Rule::Locale, &["/usr/lib/locale/C.utf8/LC_CTYPE"])
        .not(&["/usr/lib/locale/de_DE.utf8/LC_TIME", archive]);
    image("LC_ALL=fr_FR.UTF-8").by(Rule::Locale, &[archive]);
    image("LANG=C").not(&["/usr/lib/locale/C.utf8/LC_CTYPE", archive]);
}

#[test]
fn a_touched_locale_is_kept_whole() {
    Case::new()
        .files(&["usr/lib/locale/de_DE.utf8/LC_CTYPE", "usr/lib/locale/de_DE.utf8/LC_TIME"])
        .files(&["usr/lib/locale/de_DE.utf8/LC_MESSAGES/SYS_LC_MESSAGES"])
        .files(&["usr/lib/locale/C.utf8/LC_TIME"])
        .touch("/usr/lib/locale/de_DE.utf8/LC_CTYPE")
        .kept()
        .by(Rule::Locale, &["/usr/lib/locale/de_DE.utf8/LC_TIME"])
        .by(Rule::Locale, &["/usr/lib/locale/de_DE.utf8/LC_MESSAGES/SYS_LC_MESSAGES"])
        .not(&["/usr/lib/locale/C.utf8/LC_TIME"]);
}

#[test]
fn a_touched_conversion_keeps_what_it_is_found_by() {
    let image = || {
        Case::new()
            .library("usr/lib/gconv/CP1252.so")
            .library("usr/lib/gconv/EUC-KR.so")
            .files(&["usr/lib/gconv/gconv-modules.cache", "usr/lib/gconv/gconv-modules"])
            .files(&["usr/lib/gconv/gconv-modules.d/extra.conf"])
    };
    image()
        .touch("/usr/lib/gconv/CP1252.so")
        .kept()
        .by(Rule::Gconv, &["/usr/lib/gconv/gconv-modules.cache", "/usr/lib/gconv/gconv-modules"])
        .by(Rule::Gconv, &["/usr/lib/gconv/gconv-modules.d/extra.conf"])
        .not(&["/usr/lib/gconv/EUC-KR.so"]);
    image().kept().not(&["/usr/lib/gconv/gconv-modules.cache"]);
}

#[test]
fn the_links_of_a_merged_usr_stay_with_their_targets() {
    Case::new()
        .link("bin", "usr/bin")
        .link("lib64", "usr/lib64")
        .files(&["usr/bin/tool", "usr/lib64/lib.so"])
        .touch("/usr/bin/tool")
        .kept()
        .by(Rule::Link, &["/bin"])
        .not(&["/lib64"]);
}

#[test]
fn alternatives_are_kept_link_by_link() {
    Case::new()
        .program("app", b"#!/usr/bin/awk -f\n")
        .link("usr/bin/awk", "/etc/alternatives/awk")
        .link("etc/alternatives/awk", "/usr/bin/mawk")
        .program("usr/bin/mawk", b"x")
        .touch("/app")
        .kept()
        .by(Rule::Link, &["/usr/bin/awk", "/etc/alternatives/awk"])
        .by(Rule::Script, &["/usr/bin/mawk"])
        .silent();
}

#[test]
fn interpreters_that_are_scripts_and_paths_of_env_are_followed() {
    let kept = Case::new()
        .program("app", b"#!/opt/wrap -x\n")
        .program("opt/wrap", b"#! /usr/bin/env -S -i PATH=/own/bin:/bin tool --fast\n")
        .program("usr/bin/env", b"x")
        .program("own/bin/tool", b"x")
        .program("usr/bin/tool", b"x")
        .program("lost", b"#!/usr/bin/env nothing\n")
        .touch("/app")
        .touch("/lost")
        .kept();
    kept.by(Rule::Script, &["/opt/wrap", "/usr/bin/env", "/own/bin/tool"]).not(&["/usr/bin/tool"]);
    assert!(kept.warnings[0].contains("nothing"), "{:?}", kept.warnings);
}

#[test]
fn groups_that_are_asked_for_are_kept_whole() {
    let files = [
        (Group::Shell, "bin/sh"),
        (Group::Shell, "bin/bash"),
        (Group::Certs, "etc/ssl/certs/0a1b2c3d.0"),
        (Group::Zoneinfo, "usr/share/zoneinfo/Asia/Tokyo"),
        (Group::Locale, "usr/share/locale/de/LC_MESSAGES/app.mo"),
        (Group::Nss, "usr/lib/x86_64-linux-gnu/libnss_dns.so.2"),
        (Group::Gconv, "usr/lib/x86_64-linux-gnu/gconv/CP1252.so"),
        (Group::Terminfo, "usr/share/terminfo/x/xterm"),
        (Group::Packages, "var/lib/dpkg/info/a.list"),
        (Group::Licenses, "usr/share/doc/a/copyright"),
    ];
    for group in Group::ALL {
        let mut case = Case::new().file("etc/shells", "# shells\n/bin/sh\n/bin/bash\n");
        for (_, file) in files {
            case = case.files(&[file]);
        }
        case.options.groups.insert(group);
        let kept = case.kept();
        for (of, file) in files {
            let path = format!("/{file}");
            if of == group {
                kept.by(Rule::Group, &[path.as_str()]);
            } else {
                kept.not(&[path.as_str()]);
            }
        }
        let mut case = Case::new();
        case.options.groups.insert(group);
        let warnings = case.kept().warnings;
        assert!(warnings[0].contains(group.name()), "{group}: {warnings:?}");
    }
}
