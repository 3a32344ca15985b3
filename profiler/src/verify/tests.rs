//! Comparisons of images made here.

use super::*;
use crate::image::tests::{Tar, image};
use crate::image::{SourceImage, Tree};
use crate::minimize::{Policy, plan};
use crate::packages::Inventory;
use crate::profile::{ImageId, Kind, NameEntry, PathEntry, Profile, Run};

fn original() -> SourceImage {
    image(vec![
        Tar::new()
            .dir("usr/lib")
            .link("lib", "usr/lib")
            .link("usr/lib/libx.so", "libx.so.1")
            .file("usr/lib/libx.so.1", "library")
            .file("usr/bin/app", "program")
            .file("srv/plugins/a.so", "a")
            .file("srv/plugins/b.so", "bb")
            .dir("var/cache/app")
            .file("data/seed", "x")
            .link("etc/dangling", "/nowhere")
            .file(
                "var/lib/dpkg/status",
                "Package: libx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n",
            )
            .file("var/lib/dpkg/info/libx.list", "/.\n/lib\n/lib/libx.so\n/lib/libx.so.1\n")
            .bytes(),
    ])
}

fn small() -> SourceImage {
    image(vec![
        Tar::new()
            .dir("usr/lib")
            .link("lib", "usr/lib")
            .file("usr/bin/app", "program")
            .file("srv/plugins/a.so", "a")
            .bytes(),
    ])
}

fn name(name: &str, kind: Kind) -> NameEntry {
    let (comm, exe) = ("app".into(), Some("/usr/bin/app".into()));
    NameEntry { name: name.into(), kinds: [kind].into(), comm, exe, ..NameEntry::default() }
}

fn path(path: &str, kind: Kind) -> PathEntry {
    PathEntry { path: path.into(), kinds: [kind].into(), ..PathEntry::default() }
}

fn run(missing: Vec<NameEntry>, names: Vec<NameEntry>, paths: Vec<PathEntry>) -> Profile {
    let run = Run { mounts: ["/data".into()].into(), ..Run::default() };
    let all = Profile::new(ImageId::default());
    Profile { runs: vec![run], missing, names, paths, ..all }
}

fn findings(profile: &Profile) -> Findings {
    let (original, small) = (original(), small());
    let tree = Tree::build(&original.layers).unwrap();
    let small = Tree::build(&small.layers).unwrap();
    let inventory = Inventory::read(&tree).unwrap();
    Comparison::new(&tree, &small, &inventory).of(profile)
}

fn missed(profile: &Profile) -> Vec<String> {
    findings(profile).misses.iter().map(|miss| miss.name.to_string()).collect()
}

fn lookups(names: &[(&str, Kind)]) -> Profile {
    run(names.iter().map(|&(of, kind)| name(of, kind)).collect(), vec![], vec![])
}

#[test]
fn a_name_is_missed_with_the_links_on_its_way_its_package_and_who_looked() {
    let findings = findings(&lookups(&[("/lib/libx.so", Kind::Open)]));
    let [miss] = &findings.misses[..] else { panic!("{findings:?}") };
    let files: Vec<_> = miss.files.iter().map(|gone| (gone.path.to_string(), gone.bytes)).collect();
    assert_eq!(files, [("/usr/lib/libx.so".into(), 0), ("/usr/lib/libx.so.1".into(), 7)]);
    assert_eq!((miss.files[0].kind, miss.files[1].kind), (FileKind::Symlink, FileKind::File));
    assert!(miss.files.iter().all(|gone| gone.package.as_deref() == Some("libx")), "{miss:?}");
    assert_eq!((miss.comm.as_str(), miss.exe.clone()), ("app", Some("/usr/bin/app".into())));
    assert_eq!(findings.notes, []);
}

#[test]
fn what_fails_in_the_original_too_is_no_miss() {
    let names = [
        ("/usr/lib/none.so", Kind::Open),
        ("/etc/dangling", Kind::Open),
        ("/usr/bin/app/", Kind::Stat),
        ("/usr/bin/app/below", Kind::Stat),
        // There in the small image: removed by the run, or made too late.
        ("/srv/plugins/a.so", Kind::Open),
    ];
    assert_eq!(missed(&lookups(&names)), ["/usr/bin/app/"; 0]);
    // The link itself is there.
    assert_eq!(missed(&lookups(&[("/etc/dangling", Kind::Lstat)])), ["/etc/dangling"]);
}

#[test]
fn a_name_below_a_mount_is_no_miss() {
    assert_eq!(missed(&lookups(&[("/data/seed", Kind::Open), ("/data", Kind::Stat)])), [""; 0]);
    assert_eq!(missed(&lookups(&[("/srv/../data/seed", Kind::Open)])), [""; 0]);
}

#[test]
fn what_the_run_made_itself_is_a_note() {
    let missing = || vec![name("/usr/lib/libx.so.1", Kind::Open)];
    for (names, paths) in [
        (vec![name("/usr/lib/libx.so.1", Kind::Modify)], vec![]),
        (vec![], vec![path("/usr/lib/libx.so.1", Kind::Open)]),
    ] {
        let findings = findings(&run(missing(), names, paths));
        assert_eq!(findings.misses, []);
        assert_eq!(findings.notes[0].why, Why::Remade);
    }
}

#[test]
fn a_directory_that_is_gone_is_missed_by_who_makes_something_in_it() {
    let made = name("/var/cache/app/new", Kind::Modify);
    assert_eq!(missed(&run(vec![], vec![made.clone()], vec![])), ["/var/cache/app"]);
    // The directory was made first.
    let first = name("/var/cache/app", Kind::Modify);
    assert_eq!(missed(&run(vec![], vec![first, made.clone()], vec![])), [""; 0]);
    let below = path("/var/cache/app/other", Kind::Open);
    assert_eq!(missed(&run(vec![], vec![made], vec![below])), [""; 0]);
    assert_eq!(findings(&lookups(&[("/var/cache/app/new", Kind::Exec)])), Findings::default());
    // Whether an open was to make a file is not known.
    let findings = findings(&lookups(&[("/var/cache/app/new", Kind::Open)]));
    assert_eq!((findings.misses.len(), findings.notes[0].why), (0, Why::MadeIn));
}

#[test]
fn a_listed_directory_that_lacks_entries_is_a_note() {
    let listed = ["/srv/plugins", "/usr/bin"].map(|of| path(of, Kind::List));
    let findings = findings(&run(vec![], vec![], listed.into()));
    assert_eq!(findings.misses, []);
    let [note] = &findings.notes[..] else { panic!("{findings:?}") };
    assert_eq!((note.why, &note.path), (Why::Listed, &"/srv/plugins".into()));
    assert_eq!(note.gone.len(), 1);
    assert_eq!(
        (note.gone[0].path.to_string(), note.gone[0].bytes),
        ("/srv/plugins/b.so".into(), 2)
    );
}

#[test]
fn a_module_that_is_gone_is_noted_with_the_module_that_imports_it() {
    let library = "usr/lib/python3";
    let original = image(vec![
        Tar::new()
            .file("app/main.py", "import tool, there\ndef f():\n    from pack import deep\n")
            .file(&format!("{library}/tool.cpython-311-x86_64-linux-gnu.so"), "x")
            .file(&format!("{library}/there.py"), "from . import never\n")
            .file(&format!("{library}/never.py"), "")
            .file(&format!("{library}/pack/__init__.py"), "")
            .file(&format!("{library}/pack/deep.py"), "")
            .file("elsewhere/tool.py", "")
            .bytes(),
    ]);
    let small = image(vec![
        Tar::new().file("app/main.py", "").file(&format!("{library}/there.py"), "").bytes(),
    ]);
    let trees = [&original, &small].map(|image| Tree::build(&image.layers).unwrap());
    let inventory = Inventory::read(&trees[0]).unwrap();
    let comparison = Comparison::new(&trees[0], &trees[1], &inventory);
    let imported = |listed: &str| {
        let paths = vec![path("/app/main.py", Kind::Open), path(listed, Kind::List)];
        let mut findings = Findings::default();
        comparison.add_imports(&run(vec![], vec![], paths), &mut findings).unwrap();
        assert!(findings.notes.iter().all(|note| note.why == Why::Imported));
        findings.notes.iter().map(|note| note.gone[0].path.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        imported("/usr/lib/python3"),
        [
            "/usr/lib/python3/pack/__init__.py",
            "/usr/lib/python3/pack/deep.py",
            "/usr/lib/python3/tool.cpython-311-x86_64-linux-gnu.so",
        ]
    );
    assert_eq!(imported("/elsewhere"), ["/elsewhere/tool.py"]);
    assert_eq!(imported("/usr"), [""; 0]);
}

#[test]
fn a_plan_says_what_is_missed_before_there_is_an_image() {
    let original = original();
    let tree = Tree::build(&original.layers).unwrap();
    let inventory = Inventory::read(&tree).unwrap();
    let profile = run(vec![], vec![], vec![path("/usr/bin/app", Kind::Exec)]);
    let plan = plan(&original, &tree, &[profile], &Policy::default()).unwrap();
    let comparison = Comparison::planned(&tree, &plan, &inventory);
    let kinds = [Kind::Open].into();
    assert!(comparison.miss(b"/usr/bin/app", kinds).is_none());
    assert!(comparison.miss(b"/usr/bin/none", kinds).is_none());
    assert_eq!(comparison.miss(b"/lib/libx.so.1", kinds).unwrap().files.len(), 2);
}
