//! Inventories of images made here.

use std::collections::BTreeMap;

use super::*;
use crate::image::SourceImage;
use crate::image::tests::{Tar, image};
use crate::minimize::{Reason, Rule};

const STATUS: &str = "\
Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\n\
Source: glibc (2.36-8)\nVersion: 2.36-9\nDescription: C\n continued: here\n\n\
Package: tool\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2\n\n\
Package: gone\nStatus: install ok installed\nArchitecture: all\nVersion: 3\n\n\
Package: old\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 4\n";

/// A merged `/usr`, a diversion and a shared directory that is a link.
fn debian() -> SourceImage {
    let info = "var/lib/dpkg/info";
    image(vec![
        Tar::new()
            .link("lib", "usr/lib")
            .dir("usr")
            .dir("usr/lib")
            .file("usr/lib/libc.so.6", "x")
            .file("usr/lib/libm.so.6", "x")
            .file("usr/share/doc/libc6/copyright", "x")
            .file("usr/bin/tool", "x")
            .file("usr/bin/sh.real", "gone's")
            .file("usr/bin/sh", "tool's")
            .file("etc/old.conf", "x")
            .file("etc/os-release", "ID=debian\nVERSION_ID=12\n")
            .file("var/lib/dpkg/status", STATUS)
            .file(
                &format!("{info}/libc6:amd64.list"),
                "/.\n/lib\n/lib/libc.so.6\n/lib/libm.so.6\n/usr/share/doc/libc6/copyright\n",
            )
            .file(&format!("{info}/libc6:amd64.md5sums"), "aa  lib/libc.so.6\nbb  lib/libm.so.6\n")
            .file(&format!("{info}/tool.list"), "/.\n/usr/bin/tool\n/usr/bin/sh\n")
            .file(&format!("{info}/gone.list"), "/.\n/lib\n/usr/bin/sh\n")
            .file(&format!("{info}/gone.md5sums"), "cc  usr/bin/sh\n")
            .file(&format!("{info}/old.list"), "/etc/old.conf\n")
            .file("var/lib/dpkg/diversions", "/usr/bin/sh\n/usr/bin/sh.real\ntool\n")
            .bytes(),
    ])
}

/// A plan that keeps these, with the directories above.
fn keeping(tree: &Tree<'_>, paths: &[&str]) -> Plan {
    let mut plan = Plan::default();
    for path in paths {
        let mut at = tree.lookup(path.as_bytes()).expect(path);
        loop {
            let reason = Reason { rule: Rule::Touched, detail: String::new() };
            plan.kept.entry(at).or_insert(reason);
            if at == tree.root() {
                break;
            }
            at = tree.node(at).parent;
        }
    }
    plan
}

fn kept(tree: &Tree<'_>, plan: &Plan) -> Vec<String> {
    let path = |id: &NodeId| String::from_utf8_lossy(&tree.path(*id)).into_owned();
    let files = plan.kept.keys().filter(|&&id| tree.node(id).kind != NodeKind::Dir);
    let mut paths: Vec<String> = files.map(path).collect();
    paths.sort();
    paths
}

fn edits(tree: &Tree<'_>, plan: &Plan) -> BTreeMap<String, String> {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let path = |id: NodeId| String::from_utf8_lossy(&tree.path(id)).into_owned();
    plan.edits.iter().map(|(&id, bytes)| (path(id), text(bytes))).collect()
}

fn states(inventory: &Inventory, plan: &Plan) -> Vec<(String, Presence)> {
    let packages = inventory.packages.iter().enumerate();
    packages.map(|(at, package)| (package.name.clone(), inventory.presence(at, plan))).collect()
}

#[test]
fn dpkgs_database_is_cut_to_packages_that_keep_a_file() {
    let image = debian();
    let tree = Tree::build(&image.layers).unwrap();
    let inventory = Inventory::read(&tree).unwrap();
    let mut plan = keeping(&tree, &["/lib", "/usr/lib/libc.so.6", "/usr/bin/sh"]);
    apply(&inventory, &tree, &mut plan, Metadata::Trim).unwrap();
    assert_eq!(
        states(&inventory, &plan),
        [
            ("gone".into(), Presence::Removed),
            ("libc6".into(), Presence::Partial),
            ("old".into(), Presence::Removed),
            ("tool".into(), Presence::Partial),
        ]
    );
    assert_eq!(
        kept(&tree, &plan),
        [
            "/etc/os-release",
            "/lib",
            "/usr/bin/sh",
            "/usr/lib/libc.so.6",
            "/var/lib/dpkg/diversions",
            "/var/lib/dpkg/info/libc6:amd64.list",
            "/var/lib/dpkg/info/libc6:amd64.md5sums",
            "/var/lib/dpkg/info/tool.list",
            "/var/lib/dpkg/status",
        ]
    );
    let edits = edits(&tree, &plan);
    let (libc6, rest) = STATUS.split_at(STATUS.find("Package: tool").unwrap());
    let (tool, _) = rest.split_at(rest.find("Package: gone").unwrap());
    assert_eq!(edits["/var/lib/dpkg/status"], format!("{libc6}{tool}"), "byte for byte");
    assert_eq!(edits["/var/lib/dpkg/info/libc6:amd64.list"], "/.\n/lib\n/lib/libc.so.6\n");
    assert_eq!(edits["/var/lib/dpkg/info/libc6:amd64.md5sums"], "aa  lib/libc.so.6\n");
    assert_eq!(edits["/var/lib/dpkg/info/tool.list"], "/.\n/usr/bin/sh\n");
    assert!(inventory.warnings.is_empty(), "{:?}", inventory.warnings);
}

#[test]
fn a_diverted_file_belongs_to_the_package_it_came_with() {
    let image = debian();
    let tree = Tree::build(&image.layers).unwrap();
    let inventory = Inventory::read(&tree).unwrap();
    let owner = |path: &str| {
        let index = inventory.owner(tree.lookup(path.as_bytes()).expect(path));
        index.map(|index| inventory.packages[index].name.as_str())
    };
    assert_eq!(owner("/usr/bin/sh"), Some("tool"));
    assert_eq!(owner("/usr/bin/sh.real"), Some("gone"));
    assert_eq!(owner("/lib"), None, "a directory to the packages");
    assert_eq!(owner("/usr/share/doc/libc6/copyright"), Some("libc6"));
    assert_eq!(owner("/var/lib/dpkg/info/tool.list"), Some("tool"));
}

#[test]
fn a_kept_copyright_or_directory_does_not_make_a_package_present() {
    let image = debian();
    let tree = Tree::build(&image.layers).unwrap();
    let inventory = Inventory::read(&tree).unwrap();
    let mut plan = keeping(&tree, &["/lib", "/usr/share/doc/libc6/copyright"]);
    apply(&inventory, &tree, &mut plan, Metadata::Trim).unwrap();
    assert!(states(&inventory, &plan).iter().all(|(_, state)| *state == Presence::Removed));
    assert_eq!(edits(&tree, &plan)["/var/lib/dpkg/status"], "");
}

#[test]
fn metadata_that_is_dropped_is_gone_and_metadata_that_is_kept_is_whole() {
    let image = debian();
    let tree = Tree::build(&image.layers).unwrap();
    let inventory = Inventory::read(&tree).unwrap();
    let mut plan = keeping(&tree, &["/usr/bin/tool", "/var/lib/dpkg/status"]);
    apply(&inventory, &tree, &mut plan, Metadata::Drop).unwrap();
    assert_eq!(kept(&tree, &plan), ["/etc/os-release", "/usr/bin/tool"]);
    assert!(plan.unshipped.contains_key(b"/var/lib/dpkg/status".as_slice()));
    assert!(plan.warnings.iter().any(|warning| warning.contains("dropped")));

    let mut plan = keeping(&tree, &["/usr/bin/tool"]);
    apply(&inventory, &tree, &mut plan, Metadata::Keep).unwrap();
    assert!(plan.edits.is_empty());
    assert!(kept(&tree, &plan).contains(&"/var/lib/dpkg/info/gone.list".into()));
}

#[test]
fn what_the_user_includes_and_excludes_of_a_database_is_followed() {
    let image = debian();
    let tree = Tree::build(&image.layers).unwrap();
    let inventory = Inventory::read(&tree).unwrap();
    let mut plan = keeping(&tree, &["/usr/bin/tool"]);
    let lookup = |path: &str| tree.lookup(path.as_bytes()).unwrap();
    for path in ["/var/lib/dpkg/status", "/etc/os-release"] {
        plan.excluded.insert(lookup(path));
    }
    let gone = "/var/lib/dpkg/info/gone.md5sums";
    let reason = Reason { rule: Rule::Include, detail: String::new() };
    plan.kept.insert(lookup(gone), reason);
    apply(&inventory, &tree, &mut plan, Metadata::Trim).unwrap();
    let kept = kept(&tree, &plan);
    assert!(!kept.iter().any(|path| path.ends_with("status") || path.ends_with("os-release")));
    assert!(kept.contains(&gone.to_owned()), "{kept:?}");
    assert!(!plan.edits.contains_key(&lookup("/var/lib/dpkg/status")));
}

#[test]
fn headers_that_are_cut_short_are_none_and_file_lists_are_put_together() {
    // Name, version, release; one directory, one licence text, one file.
    let strings: [(u32, &[&str]); 5] = [
        (1000, &["tool"]),
        (1001, &["1.0"]),
        (1002, &["2.fc40"]),
        (1117, &["bin", "COPYING", "tool"]),
        (1118, &["/usr/", "/usr/bin/"]),
    ];
    let numbers: [(u32, u32, &[u32]); 4] = [
        (1003, 4, &[3]),
        (1030, 2, &[0o040_755, 0o100_644, 0o100_755]),
        (1037, 4, &[0, 1 << 7, 0]),
        (1116, 4, &[0, 0, 1]),
    ];
    let (mut entries, mut data, mut count) = (Vec::new(), Vec::new(), 0u32);
    let mut entry = |tag: u32, len: usize, values: Vec<u8>| {
        count += 1;
        for word in [tag, 0, data.len() as u32, len as u32] {
            entries.extend(word.to_be_bytes());
        }
        data.extend(values);
    };
    for (tag, values) in strings {
        let bytes = values.iter().flat_map(|value| value.bytes().chain([0])).collect();
        entry(tag, values.len(), bytes);
    }
    for (tag, width, values) in numbers {
        let bytes = |value: &u32| value.to_be_bytes()[4 - width as usize..].to_vec();
        entry(tag, values.len(), values.iter().flat_map(bytes).collect());
    }
    let mut blob = Vec::new();
    blob.extend(count.to_be_bytes());
    blob.extend((data.len() as u32).to_be_bytes());
    blob.extend(entries);
    blob.extend(data);
    let header = rpm::header::parse(&blob).unwrap();
    assert_eq!((header.name.as_str(), header.version.as_str()), ("tool", "1.0-2.fc40"));
    assert_eq!(header.epoch, Some(3));
    let files: Vec<_> = header.files.iter().map(|f| (&*f.path, f.directory, f.about)).collect();
    assert_eq!(
        files,
        [
            (b"/usr/bin".as_slice(), true, false),
            (b"/usr/COPYING".as_slice(), false, true),
            (b"/usr/bin/tool".as_slice(), false, false),
        ]
    );
    for end in 0..blob.len() {
        assert_eq!(rpm::header::parse(&blob[..end]), None, "{end} bytes");
    }
    // Any byte may be anything: no panic.
    for at in 0..blob.len() {
        let mut other = blob.clone();
        other[at] = 0xff;
        let _ = rpm::header::parse(&other);
    }
}

#[test]
fn distroless_packages_are_files_of_their_own() {
    let stanza = |name: &str| format!("Package: {name}\nVersion: 1\nArchitecture: amd64\n");
    let image = image(vec![
        Tar::new()
            .file("usr/lib/a", "x")
            .file("usr/lib/b", "x")
            .file("var/lib/dpkg/status.d/a", &stanza("a"))
            .file("var/lib/dpkg/status.d/a.md5sums", "00  ./usr/lib/a\n11  usr/lib/absent\n")
            .file("var/lib/dpkg/status.d/b", &stanza("b"))
            .file("var/lib/dpkg/status.d/b.md5sums", "22  usr/lib/b\n")
            .file("var/lib/dpkg/status.d/silent", &stanza("silent"))
            .bytes(),
    ]);
    let tree = Tree::build(&image.layers).unwrap();
    let inventory = Inventory::read(&tree).unwrap();
    let mut plan = keeping(&tree, &["/usr/lib/a", "/var/lib/dpkg/status.d/b"]);
    apply(&inventory, &tree, &mut plan, Metadata::Trim).unwrap();
    assert_eq!(
        kept(&tree, &plan),
        [
            "/usr/lib/a",
            "/var/lib/dpkg/status.d/a",
            "/var/lib/dpkg/status.d/a.md5sums",
            "/var/lib/dpkg/status.d/silent",
        ]
    );
    let states = states(&inventory, &plan);
    assert_eq!(states[0], ("a".into(), Presence::Full));
    assert_eq!(states[2], ("silent".into(), Presence::Unknown));
    let unshipped = &plan.unshipped[b"/var/lib/dpkg/status.d/b".as_slice()];
    assert!(unshipped.contains("keeps no file"), "{unshipped}");
    assert!(inventory.warnings[0].contains("silent:amd64 has no list of files"));
}

#[test]
fn apks_records_are_cut_to_what_is_kept() {
    let musl = "C:Q1a=\nP:musl\nV:1.2.3-r4\nA:x86_64\no:musl\nL:MIT\nF:lib\n\
        R:ld-musl-x86_64.so.1\na:0:0:755\nZ:Q1b=\nR:other\nZ:Q1c=\n";
    let box_ = "P:busybox\nV:1.35\nA:x86_64\nF:\nR:top\nF:bin\nM:0:0:1777\nR:busybox\nZ:Q1d=\n";
    let image = image(vec![
        Tar::new()
            .file("lib/ld-musl-x86_64.so.1", "x")
            .file("lib/other", "x")
            .file("bin/busybox", "x")
            .file("top", "x")
            .file("lib/apk/db/installed", &format!("{musl}\n{box_}\n"))
            .bytes(),
    ]);
    let tree = Tree::build(&image.layers).unwrap();
    let inventory = Inventory::read(&tree).unwrap();
    let mut plan = keeping(&tree, &["/lib/ld-musl-x86_64.so.1"]);
    apply(&inventory, &tree, &mut plan, Metadata::Trim).unwrap();
    assert_eq!(
        edits(&tree, &plan)["/lib/apk/db/installed"],
        format!("{}\n", musl.replace("R:other\nZ:Q1c=\n", ""))
    );
    let mut plan = keeping(&tree, &["/top"]);
    apply(&inventory, &tree, &mut plan, Metadata::Trim).unwrap();
    assert_eq!(
        edits(&tree, &plan)["/lib/apk/db/installed"],
        "P:busybox\nV:1.35\nA:x86_64\nF:\nR:top\n\n"
    );
}

#[test]
fn purls_name_distribution_and_source() {
    let image = debian();
    let tree = Tree::build(&image.layers).unwrap();
    let inventory = Inventory::read(&tree).unwrap();
    let purls: Vec<_> = inventory
        .packages
        .iter()
        .map(|package| purl(package, &inventory.distro).unwrap())
        .collect();
    assert_eq!(
        purls[1],
        "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12&upstream=glibc%402.36-8"
    );
    assert_eq!(purls[3], "pkg:deb/debian/tool@1:2?arch=amd64&distro=debian-12");
}

#[test]
fn damaged_databases_are_told_of_and_kept() {
    let image = image(vec![
        Tar::new()
            .file("var/lib/dpkg/status", "\u{0}\n\n:\nPackage\n continuation\n\nPackage:\n")
            .file("lib/apk/db/installed", "R:x\nF\n\nM:\n")
            .file("var/lib/rpm/rpmdb.sqlite", "SQLite format 3 it is not")
            .file("var/lib/rpm/Packages", "bdb")
            .bytes(),
    ]);
    let tree = Tree::build(&image.layers).unwrap();
    let inventory = Inventory::read(&tree).unwrap();
    assert_eq!(inventory.packages, []);
    assert_eq!(inventory.warnings.len(), 2, "{:?}", inventory.warnings);
    let mut plan = keeping(&tree, &["/"]);
    apply(&inventory, &tree, &mut plan, Metadata::Trim).unwrap();
    assert!(plan.edits.is_empty(), "{:?}", edits(&tree, &plan));
    assert_eq!(kept(&tree, &plan).len(), 4);
}
