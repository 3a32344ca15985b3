use fastrand::Rng;

use super::super::{BytePath, Kind, KindSet, Lost, MarkSet, NameEntry, PathEntry, Run};
use super::*;

/// Random profiles of one image that overlap much, unsorted and with
/// duplicates now and then.
pub(super) fn profile(rng: &mut Rng) -> Profile {
    let some = |rng: &mut Rng, texts: &[&str]| texts[rng.usize(..texts.len())].to_owned();
    let mut profile = Profile::new(ImageId {
        reference: some(rng, &["", "nginx", "nginx:1"]),
        id: "sha256:1".into(),
        diff_ids: if rng.bool() { vec!["sha256:2".into()] } else { Vec::new() },
        os: some(rng, &["", "linux"]),
        architecture: some(rng, &["", "amd64"]),
    });
    profile.runs = (0..rng.usize(..3)).map(|_| run(rng)).collect();
    if rng.bool() {
        profile.marks = [""]
            .into_iter()
            .chain(["a", "b", "c", "d"].into_iter().filter(|_| rng.bool()))
            .map(String::from)
            .collect();
    }
    let marks = profile.marks.len() as u32;
    profile.paths = (0..rng.usize(..12)).map(|_| path(rng, marks)).collect();
    profile.names = (0..rng.usize(..6)).map(|_| name(rng, marks)).collect();
    profile.missing = (0..rng.usize(..6)).map(|_| name(rng, marks)).collect();
    profile
}

fn run(rng: &mut Rng) -> Run {
    Run {
        started: rng.u8(..3).to_string(),
        exit_status: [None, Some(0), Some(1)][rng.usize(..3)],
        blind_spots: vec!["io_uring".into(); rng.usize(..2)],
        lost: Lost { ring_full: rng.u64(..2), ..Lost::default() },
        missing_dropped: rng.u64(..2),
        ..Run::default()
    }
}

fn key(rng: &mut Rng) -> BytePath {
    BytePath(vec![b'/', [b'a', b'b', b'c', 0xff][rng.usize(..4)], rng.u8(b'0'..b'3')])
}

fn kinds(rng: &mut Rng) -> KindSet {
    Kind::ALL.into_iter().filter(|_| rng.u8(..4) == 0).collect()
}

/// Of a table of so many marks. Not every way to say it is the shortest.
fn some_marks(rng: &mut Rng, marks: u32) -> Option<MarkSet> {
    (marks > 0 && rng.u8(..3) > 0).then(|| (0..marks).filter(|_| rng.bool()).collect())
}

fn path(rng: &mut Rng, marks: u32) -> PathEntry {
    PathEntry {
        path: key(rng),
        kinds: kinds(rng),
        written: rng.bool(),
        runtime: rng.bool(),
        comm: ["", "sh", "cat"][rng.usize(..3)].into(),
        exe: [None, Some("/bin/sh".into()), Some("/bin/cat".into())][rng.usize(..3)].clone(),
        exes: rng.u32(1..4),
        first: [None, Some("1".into()), Some("2".into())][rng.usize(..3)].clone(),
        marks: some_marks(rng, marks),
    }
}

fn name(rng: &mut Rng, marks: u32) -> NameEntry {
    NameEntry {
        name: key(rng),
        kinds: kinds(rng),
        comm: ["", "sh", "cat"][rng.usize(..3)].into(),
        exe: [None, Some("/bin/sh".into()), Some("/bin/cat".into())][rng.usize(..3)].clone(),
        marks: some_marks(rng, marks),
    }
}

/// Names of the marks of a set, the empty one of what lies outside included.
fn mark_names<'a>(profile: &'a Profile, set: &MarkSet) -> BTreeSet<&'a str> {
    // What lies outside is there without a table, too.
    let name = |place: u32| profile.marks.get(place as usize).map_or("", String::as_str);
    set.places(profile.marks.len().max(1)).map(name).collect()
}

fn union<const N: usize>(profiles: [&Profile; N]) -> Profile {
    merge(profiles.into_iter().cloned()).unwrap().unwrap()
}

/// Runs `law` over many triples; the seed of a failure is in its message.
fn always(law: impl Fn([&Profile; 3]) -> (Profile, Profile)) {
    for seed in 0..5_000 {
        let mut rng = Rng::with_seed(seed);
        let (a, b, c) = (profile(&mut rng), profile(&mut rng), profile(&mut rng));
        let (left, right) = law([&a, &b, &c]);
        assert_eq!(left, right, "seed {seed}");
    }
}

#[test]
fn merging_is_associative() {
    always(|[a, b, c]| (union([&union([a, b]), c]), union([a, &union([b, c])])));
    always(|[a, b, c]| (union([a, b, c]), union([a, &union([b, c])])));
}

#[test]
fn merging_is_commutative() {
    always(|[a, b, _]| (union([a, b]), union([b, a])));
}

#[test]
fn merging_is_idempotent() {
    always(|[a, ..]| (union([a, a]), union([a])));
    always(|[a, b, _]| (union([&union([a, b]), b]), union([a, b])));
}

#[test]
fn nothing_that_was_seen_is_lost() {
    always(|[a, b, c]| {
        let all = union([a, b, c]);
        for one in [a, b, c] {
            assert!(one.runs.iter().all(|run| all.runs.contains(run)));
            for entry in &one.paths {
                let found = all.paths.iter().find(|found| found.path == entry.path).unwrap();
                assert!(entry.kinds.is_subset(found.kinds) && found.exes >= entry.exes);
                assert!(found.written >= entry.written && found.runtime <= entry.runtime);
                assert!(entry.first.is_none() || found.first <= entry.first);
                let marks = mark_names(one, &entry.mark_set());
                assert!(marks.is_subset(&mark_names(&all, &found.mark_set())));
            }
            for (all_names, entry) in [(&all.names, &one.names), (&all.missing, &one.missing)]
                .into_iter()
                .flat_map(|(all_names, names)| names.iter().map(move |entry| (all_names, entry)))
            {
                let found = all_names.iter().find(|found| found.name == entry.name).unwrap();
                let marks = mark_names(one, &entry.mark_set());
                assert!(marks.is_subset(&mark_names(&all, &found.mark_set())));
            }
            assert!(one.marks.iter().all(|mark| all.marks.contains(mark)));
        }
        assert!(all.paths.is_sorted_by(|a, b| a.path < b.path));
        assert!(all.names.is_sorted_by(|a, b| a.name < b.name));
        assert!(all.marks.is_sorted_by(|a, b| a < b));
        for found in &all.paths {
            let entries = [a, b, c].into_iter().flat_map(|one| {
                let entries = one.paths.iter().filter(|entry| entry.path == found.path);
                entries.map(move |entry| (one, entry))
            });
            let mut marks = BTreeSet::new();
            entries.for_each(|(one, entry)| marks.extend(mark_names(one, &entry.mark_set())));
            assert_eq!(mark_names(&all, &found.mark_set()), marks, "{}", found.path);
        }
        (all.clone(), all)
    });
}

#[test]
fn the_first_touch_keeps_its_process() {
    let touch = |first: Option<&str>, comm: &str, runtime| PathEntry {
        path: "/a".into(),
        comm: comm.into(),
        first: first.map(Into::into),
        runtime,
        ..PathEntry::default()
    };
    let profile = |entry| Profile { paths: vec![entry], ..Profile::new(ImageId::default()) };
    let merged = union([
        &profile(touch(Some("2"), "a", true)),
        &profile(touch(Some("1"), "z", true)),
        &profile(touch(None, "b", false)),
    ]);
    assert_eq!(merged.paths, [touch(Some("1"), "z", false)]);
}

#[test]
fn a_test_of_one_name_is_one_test_wherever_it_stands_in_a_table() {
    let profile = |marks: &[&str], path: &str, set: &str, runtime| {
        let mut profile = Profile::new(ImageId::default());
        profile.marks = marks.iter().map(|&mark| mark.into()).collect();
        let marks = Some(set.parse().unwrap()).filter(|_| !set.is_empty());
        profile.paths =
            vec![PathEntry { path: path.into(), marks, runtime, ..PathEntry::default() }];
        profile
    };
    let merged = union([
        &profile(&["", "b"], "/x", "1", false),
        &profile(&["", "a", "b", "c"], "/x", "1-3", false),
        &profile(&["", "c"], "/y", "0-1", false),
        &profile(&[], "/y", "", true),
        &profile(&["", "d"], "/z", "1", false),
        &profile(&[], "/z", "", false),
    ]);
    assert_eq!(merged.marks, ["", "a", "b", "c", "d"]);
    let sets: Vec<_> = merged.paths.iter().map(|path| path.mark_set().to_string()).collect();
    // What ran without marks lies outside; what the runtime did, nowhere.
    assert_eq!(sets, ["1-3", "0,3", "0,4"]);
}

#[test]
fn profiles_of_different_images_are_refused_by_name() {
    let of = |reference: &str, id: &str, architecture: &str| {
        Profile::new(ImageId {
            reference: reference.into(),
            id: id.into(),
            os: "linux".into(),
            architecture: architecture.into(),
            ..ImageId::default()
        })
    };
    let nginx = of("nginx", "sha256:1", "amd64");
    for other in [of("redis", "sha256:2", "amd64"), of("nginx:arm", "sha256:1", "arm64")] {
        let mut fold = Fold::new();
        fold.add(nginx.clone()).unwrap();
        let text = fold.add(other.clone()).unwrap_err().to_string();
        assert!(text.contains("nginx (sha256:1, linux/amd64)"), "{text}");
        assert!(text.contains(&other.image.reference), "{text}");
        assert_eq!(fold.finish(), Some(nginx.clone()), "a refused profile left something");
    }
}
