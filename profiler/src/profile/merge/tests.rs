use fastrand::Rng;

use super::super::{BytePath, Kind, Lost, NameEntry, PathEntry, Run};
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
    profile.paths = (0..rng.usize(..12)).map(|_| path(rng)).collect();
    profile.names = (0..rng.usize(..6)).map(|_| name(rng)).collect();
    profile.missing = (0..rng.usize(..6)).map(|_| name(rng)).collect();
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

fn kinds(rng: &mut Rng) -> std::collections::BTreeSet<Kind> {
    Kind::ALL.into_iter().filter(|_| rng.u8(..4) == 0).collect()
}

fn path(rng: &mut Rng) -> PathEntry {
    PathEntry {
        path: key(rng),
        kinds: kinds(rng),
        written: rng.bool(),
        runtime: rng.bool(),
        comm: ["", "sh", "cat"][rng.usize(..3)].into(),
        exe: [None, Some("/bin/sh".into()), Some("/bin/cat".into())][rng.usize(..3)].clone(),
        exes: rng.u32(1..4),
        first: [None, Some("1".into()), Some("2".into())][rng.usize(..3)].clone(),
    }
}

fn name(rng: &mut Rng) -> NameEntry {
    NameEntry {
        name: key(rng),
        kinds: kinds(rng),
        comm: ["", "sh", "cat"][rng.usize(..3)].into(),
        exe: [None, Some("/bin/sh".into()), Some("/bin/cat".into())][rng.usize(..3)].clone(),
    }
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
                assert!(found.kinds.is_superset(&entry.kinds) && found.exes >= entry.exes);
                assert!(found.written >= entry.written && found.runtime <= entry.runtime);
                assert!(entry.first.is_none() || found.first <= entry.first);
            }
        }
        assert!(all.paths.is_sorted_by(|a, b| a.path < b.path));
        assert!(all.names.is_sorted_by(|a, b| a.name < b.name));
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
