//! Dynamic loaders.

use super::super::elf::Target;
use super::super::loader::cache_made;
use super::super::made::{AARCH64, Elf, X86_64};
use super::*;

/// A program of glibc's.
fn program(target: Target) -> Elf {
    let loader = if target == AARCH64 { "/lib/ld-linux-aarch64.so.1" } else { "/lib64/ld.so" };
    Elf::new(target).interpreter(loader)
}

fn with_loader() -> Case {
    Case::new().library("lib64/ld.so").touch("/app")
}

#[test]
fn the_cache_decides_where_it_names_a_library() {
    let cache = [
        ("liba.so", "/odd/glibc-hwcaps/x86-64-v3/liba.so", 1_u64 << 62),
        ("liba.so", "/odd/liba.so", 0),
        ("libgone.so", "/odd/libgone.so", 0),
    ];
    let mut case = with_loader()
        .program("app", &program(X86_64).needed("liba.so").needed("libgone.so").bytes())
        .library("odd/liba.so")
        .library("odd/glibc-hwcaps/x86-64-v3/liba.so")
        .library("usr/lib/liba.so")
        .library("usr/lib/libgone.so");
    case.tar = case.tar.entry(
        tar::EntryType::Regular,
        "etc/ld.so.cache",
        "",
        0o644,
        &cache_made(&cache, true),
    );
    case.kept()
        .by(Rule::Elf, &["/odd/liba.so", "/odd/glibc-hwcaps/x86-64-v3/liba.so"])
        // A cache that is out of date does not end the search.
        .by(Rule::Elf, &["/usr/lib/libgone.so", "/etc/ld.so.cache", "/lib64/ld.so"])
        .not(&["/usr/lib/liba.so"])
        .silent();
}

#[test]
fn an_rpath_holds_for_all_that_is_loaded_on_a_programs_account() {
    with_loader()
        .program("app", &program(X86_64).needed("liba.so").rpath("$ORIGIN/opt").bytes())
        .program("opt/liba.so", &Elf::new(X86_64).needed("libb.so").bytes())
        .library("opt/libb.so")
        .library("usr/lib/libb.so")
        .environment("LD_LIBRARY_PATH=/usr/lib")
        .kept()
        .by(Rule::Elf, &["/opt/liba.so", "/opt/libb.so"])
        .not(&["/usr/lib/libb.so"])
        .silent();
}

#[test]
fn a_runpath_holds_for_the_file_alone_and_comes_after_the_environment() {
    with_loader()
        .program(
            "app",
            &program(X86_64).needed("liba.so").needed("libc.so").runpath("/opt").bytes(),
        )
        .program("opt/liba.so", &Elf::new(X86_64).needed("libb.so").bytes())
        .library("opt/libb.so")
        .library("usr/lib/libb.so")
        .library("opt/libc.so")
        .library("env/libc.so")
        .environment("LD_LIBRARY_PATH=/env")
        .kept()
        .by(Rule::Elf, &["/opt/liba.so", "/usr/lib/libb.so", "/env/libc.so"])
        .not(&["/opt/libb.so", "/opt/libc.so"])
        .silent();
}

#[test]
fn a_runpath_takes_a_file_out_of_the_programs_rpath() {
    with_loader()
        .program("app", &program(X86_64).needed("liba.so").rpath("/opt").bytes())
        .program("opt/liba.so", &Elf::new(X86_64).needed("libb.so").runpath("/none").bytes())
        .library("opt/libb.so")
        .library("usr/lib/libb.so")
        .kept()
        .by(Rule::Elf, &["/usr/lib/libb.so"])
        .not(&["/opt/libb.so"]);
}

#[test]
fn an_opened_library_finds_what_its_program_would() {
    // Python's modules, say: touched, and linked by nothing.
    with_loader()
        .program("app", &program(X86_64).rpath("/opt").bytes())
        .program("a/plugin.so", &Elf::new(X86_64).needed("libb.so").bytes())
        .library("opt/libb.so")
        .touch("/a/plugin.so")
        .kept()
        .by(Rule::Elf, &["/opt/libb.so"])
        .silent();
}

#[test]
fn variables_of_search_paths_are_replaced_for_the_files_architecture() {
    with_loader()
        .program(
            "app",
            &program(X86_64)
                .needed("liba.so")
                .needed("libb.so")
                .runpath("/o/$LIB:/p/${PLATFORM}")
                .bytes(),
        )
        .library("o/lib/x86_64-linux-gnu/liba.so")
        .library("p/x86_64/libb.so")
        .kept()
        .by(Rule::Elf, &["/o/lib/x86_64-linux-gnu/liba.so", "/p/x86_64/libb.so"])
        .silent();
}

#[test]
fn variants_for_better_processors_are_kept_with_the_one_for_all() {
    let kept = with_loader()
        .program("app", &program(X86_64).needed("liba.so").bytes())
        .library("usr/lib64/liba.so")
        .library("usr/lib64/glibc-hwcaps/x86-64-v2/liba.so")
        .library("usr/lib64/glibc-hwcaps/x86-64-v4/liba.so")
        .library("usr/lib64/haswell/liba.so")
        .kept();
    let variants = kept.rules.keys().filter(|path| path.ends_with("/liba.so")).count();
    assert_eq!(variants, 4);
}

#[test]
fn files_of_other_classes_byte_orders_and_machines_are_passed_over() {
    let narrow = Target { wide: false, ..X86_64 };
    let big = Target { little: false, ..X86_64 };
    with_loader()
        .program("app", &program(X86_64).needed("liba.so").runpath("/a:/b:/c:/d:/e").bytes())
        .program("a/liba.so", &Elf::new(narrow).bytes())
        .program("b/liba.so", &Elf::new(big).bytes())
        .program("c/liba.so", &Elf::new(AARCH64).bytes())
        .file("d/liba.so", "\x7fELF")
        .library("e/liba.so")
        .kept()
        .by(Rule::Elf, &["/e/liba.so"])
        .not(&["/a/liba.so", "/b/liba.so", "/c/liba.so", "/d/liba.so"])
        .silent();
}

#[test]
fn an_image_of_another_architecture_has_its_own_directories() {
    Case::new()
        .program("app", &program(AARCH64).needed("libc.so.6").bytes())
        .program("lib/ld-linux-aarch64.so.1", &Elf::new(AARCH64).bytes())
        .program("lib/aarch64-linux-gnu/libc.so.6", &Elf::new(AARCH64).bytes())
        .library("lib/x86_64-linux-gnu/libc.so.6")
        .touch("/app")
        .kept()
        .by(Rule::Elf, &["/lib/ld-linux-aarch64.so.1", "/lib/aarch64-linux-gnu/libc.so.6"])
        .not(&["/lib/x86_64-linux-gnu/libc.so.6"])
        .silent();
}

#[test]
fn musl_searches_its_own_path_file_and_hands_runpaths_on() {
    let musl = Elf::new(X86_64).interpreter("/lib/ld-musl-x86_64.so.1");
    Case::new()
        .program(
            "app",
            &musl.needed("liba.so").needed("libc.musl-x86_64.so.1").runpath("/opt").bytes(),
        )
        .program("opt/liba.so", &Elf::new(X86_64).needed("libb.so").needed("libz.so").bytes())
        .library("opt/libb.so")
        .library("usr/lib/libz.so")
        .library("own/libz.so")
        .library("lib/ld-musl-x86_64.so.1")
        .file("etc/ld-musl-x86_64.path", "/own\n/other\n")
        .touch("/app")
        .kept()
        .by(Rule::Elf, &["/opt/libb.so", "/own/libz.so", "/etc/ld-musl-x86_64.path"])
        .by(Rule::Elf, &["/lib/ld-musl-x86_64.so.1"])
        .not(&["/usr/lib/libz.so"])
        .silent();
}

#[test]
fn configuration_files_include_others() {
    with_loader()
        .program("app", &program(X86_64).needed("liba.so").bytes())
        .file("etc/ld.so.conf", "include ld.so.conf.d/*.conf\n")
        .file("etc/ld.so.conf.d/x.conf", "# here\n/odd # there\n")
        .library("odd/liba.so")
        .kept()
        .by(Rule::Elf, &["/odd/liba.so"])
        .silent();
}

#[test]
fn preloaded_and_auxiliary_libraries_are_kept() {
    with_loader()
        .program("app", &program(X86_64).auxiliary("libx.so").auxiliary("libnot.so").bytes())
        .library("usr/lib/libx.so")
        .library("opt/pre.so")
        .library("usr/lib/libjemalloc.so.2")
        .file("etc/ld.so.preload", "/opt/pre.so\n")
        .environment("LD_PRELOAD=libjemalloc.so.2")
        .kept()
        .by(Rule::Elf, &["/usr/lib/libx.so", "/opt/pre.so", "/usr/lib/libjemalloc.so.2"])
        .silent();
}

#[test]
fn a_loader_told_to_ignore_its_own_directories_does() {
    let kept = with_loader()
        .program("app", &program(X86_64).needed("liba.so").no_defaults().bytes())
        .library("usr/lib/liba.so")
        .kept();
    kept.not(&["/usr/lib/liba.so"]);
    assert!(kept.warnings[0].contains("liba.so"), "{:?}", kept.warnings);
}

#[test]
fn libraries_that_a_file_says_it_opens_are_kept_unless_only_suggested() {
    let note = r#"[
        {"feature": "zip", "priority": "required", "soname": ["libz.so.2", "libz.so.1"]},
        {"feature": "tpm", "soname": ["libtpm.so"]},
        {"feature": "qr", "priority": "suggested", "soname": ["libqr.so"]},
        {"feature": "none", "priority": "recommended", "soname": ["libnone.so"]}]"#;
    with_loader()
        .program("app", &program(X86_64).note(note).bytes())
        .program("usr/lib/libz.so.1", &Elf::new(X86_64).needed("libdeep.so").bytes())
        .library("usr/lib/libdeep.so")
        .library("usr/lib/libtpm.so")
        .library("usr/lib/libqr.so")
        .kept()
        .by(Rule::Dlopen, &["/usr/lib/libz.so.1", "/usr/lib/libtpm.so"])
        .by(Rule::Elf, &["/usr/lib/libdeep.so"])
        .not(&["/usr/lib/libqr.so"])
        .silent();
}

#[test]
fn name_service_modules_are_kept_with_a_libc_that_opens_them() {
    let conf = "passwd: files systemd\nhosts: files [!UNAVAIL=return] mdns4 # dns\n";
    let image = |libc: bool| {
        let app = program(X86_64);
        let app = if libc { app.needed("libc.so.6") } else { app };
        with_loader()
            .program("app", &app.bytes())
            .file("etc/nsswitch.conf", conf)
            .files(&["etc/gai.conf", "etc/host.conf"])
            .program("lib/libnss_systemd.so.2", &Elf::new(X86_64).needed("libcap.so").bytes())
            .library("lib/libcap.so")
            .library("lib/libnss_mdns4.so.2")
            .library("lib/libnss_files.so.2")
            .library("lib/libnss_hesiod.so.2")
    };
    let modules = ["/lib/libnss_systemd.so.2", "/lib/libnss_mdns4.so.2"];
    let others = ["/lib/libnss_files.so.2", "/lib/libnss_hesiod.so.2"];
    let new = image(true).library("lib/libc.so.6").kept();
    new.by(Rule::Nss, &["/etc/gai.conf", "/etc/host.conf"]);
    new.by(Rule::Nss, &modules).by(Rule::Elf, &["/lib/libcap.so"]).not(&others).silent();
    // Before 2.34 libc's name was a link, and `files` a library.
    let old = image(true).library("lib/libc-2.31.so").link("lib/libc.so.6", "libc-2.31.so").kept();
    old.by(Rule::Nss, &modules).by(Rule::Nss, &others[..1]).not(&others[1..]);
    image(false).library("lib/libc.so.6").kept().not(&modules).not(&["/etc/gai.conf"]);
}

#[test]
fn a_library_that_was_opened_by_its_path_is_not_missed_by_its_name() {
    let image = |touched: &str| {
        with_loader()
            .program("app", &program(X86_64).bytes())
            .program("jdk/libnet.so", &Elf::new(X86_64).needed("libjvm.so").bytes())
            .library("jdk/server/libjvm.so")
            .touch("/jdk/libnet.so")
            .touch(touched)
            .kept()
    };
    image("/jdk/server/libjvm.so").silent();
    assert!(image("/app").warnings[0].contains("/jdk/libnet.so needs library libjvm.so"));
}
