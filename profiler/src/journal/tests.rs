use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::*;
use crate::collect::{Collector, Losses};
use crate::profile::{BytePath, ImageId, Kind, LoadError, Profile, load};
use crate::session::{Found, Outcome, take};

/// The host's root device.
const HOST: u32 = 1;

/// A session without a kernel.
struct Session {
    collector: Collector,
    found: Found,
    journal: Option<Journal>,
}

fn found() -> Found {
    let filter = Filter::Started { images: Vec::new() };
    Found::new(filter, BTreeSet::from(["before".to_owned()]))
}

impl Session {
    fn start(path: &Path) -> Self {
        let (collector, found) = (Collector::new(HOST), found());
        let mut journal = Journal::create(path, false).unwrap();
        let run = Run { command: vec!["true".into()], started: "s".into(), ..Run::default() };
        journal.begin(run, &found, HOST, collector.clock()).unwrap();
        Self { collector, found, journal: Some(journal) }
    }

    /// Takes an event; of a new container's, the image is that of its number.
    fn take(&mut self, event: Event) {
        for (key, _) in take(&mut self.collector, &mut self.journal, event) {
            let image = ImageId {
                id: format!("sha256:{}", &key.id[..1]),
                reference: key.id[..1].into(),
                ..ImageId::default()
            };
            let info = ContainerInfo { id: key.id.clone(), image, ..ContainerInfo::default() };
            self.journal.as_mut().unwrap().resolved(&key, Some(&info));
            self.found.add(key, Some(info));
        }
    }

    fn touch(&mut self, touch: Touch) {
        self.take(Event::Touch(touch));
    }

    /// Ends as sessions do.
    fn end(self, losses: &Losses) -> Outcome {
        let run = Run { ended: "e".into(), exit_status: Some(3), ..Run::default() };
        self.journal.unwrap().end(&self.collector, losses, &run);
        self.found.outcome(self.collector, losses, run, None)
    }

    /// Is killed.
    fn kill(mut self) {
        self.journal.as_mut().unwrap().sync(&self.collector, Losses::default);
    }
}

fn cgroup(cgroup: u64, id: &str) -> Event {
    Event::Cgroup { cgroup, pid: 1, names: vec![id.repeat(64).into(), b"docker".to_vec()] }
}

fn touch(cgroup: u64, path: &str) -> Touch {
    Touch {
        cgroup,
        dev: 6 + cgroup as u32,
        comm: "sh".into(),
        path: Some(path.into()),
        name: Some(path.into()),
        ino: 1,
        pid: 4711,
        ..Touch::default()
    }
}

fn profiles(outcome: &Outcome) -> Vec<Profile> {
    outcome.profiles.iter().map(|profile| profile.to_profile()).collect()
}

fn replay(text: &[u8]) -> Result<Outcome, ReadError> {
    Replay::read(text).map(Replay::finish)
}

fn random_touch(rng: &mut fastrand::Rng) -> Touch {
    let name = |rng: &mut fastrand::Rng| match rng.u8(..9) {
        0 => BytePath(b"/caf\xe9\n".to_vec()),
        _ => format!("/d{}/f{}", rng.u8(..3), rng.u8(..9)).as_str().into(),
    };
    let missing = rng.u8(..4) == 0;
    Touch {
        cgroup: rng.u64(1..6),
        // Of the two last groups, which are nobody's, on a rootfs of others;
        // and rootfs that two containers share, in turns.
        dev: rng.u32(HOST..5),
        comm: format!("c{}", rng.u8(..3)),
        kind: Kind::ALL[rng.usize(..Kind::ALL.len())],
        path: (!missing && rng.bool()).then(|| name(rng)),
        name: rng.bool().then(|| name(rng)),
        written: rng.bool(),
        missing,
        foreign_exe: rng.bool(),
        cut: false,
        time: rng.u64(..u64::MAX / 2),
        ino: rng.u64(..4),
        exe_ino: rng.u64(..4),
        pid: rng.u32(..9),
        ..Touch::default()
    }
}

#[test]
fn what_is_replayed_is_what_was_recorded() {
    let mut rng = fastrand::Rng::with_seed(6);
    for _ in 0..50 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let mut session = Session::start(&path);
        for turn in 0..300 {
            match turn {
                0 => session.take(cgroup(1, "a")),
                20 => session.take(cgroup(2, "b")),
                40 => session.take(cgroup(3, "a")),
                60 => session.take(Event::Cgroup {
                    cgroup: 5,
                    pid: 1,
                    names: vec![b"inner".to_vec(), "a".repeat(64).into(), b"docker".to_vec()],
                }),
                _ => session.touch(random_touch(&mut rng)),
            }
        }
        // Longer than any name that there is room for.
        session.touch(touch(1, &format!("/{}", "x".repeat(1 << 16))));
        let lost = |ring_full| Lost { ring_full, ..Lost::default() };
        let losses = Losses { all: lost(9), by_group: [(1, lost(4)), (9, lost(2))].into() };
        let outcome = session.end(&losses);
        assert!(outcome.profiles.len() > 1);
        let replayed = replay(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(profiles(&replayed), profiles(&outcome));
        assert_eq!(replayed.unattributed, outcome.unattributed);
    }
}

#[test]
fn what_teaches_nothing_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let mut session = Session::start(&path);
    let mut rng = fastrand::Rng::with_seed(6);
    let mut events = vec![cgroup(1, "a"), cgroup(2, "b")];
    events.extend((0..1000).map(|_| Event::Touch(random_touch(&mut rng))));
    let mut sizes = Vec::new();
    for _ in 0..3 {
        events.iter().for_each(|event| session.take(event.clone()));
        session.journal.as_mut().unwrap().sync(&session.collector, Losses::default);
        sizes.push(fs::metadata(&path).unwrap().len());
    }
    // What was first in the first turn has another executable in the second.
    assert!(sizes[0] > 10_000 && sizes[2] == sizes[1], "{sizes:?}");
}

#[test]
fn a_journal_cut_anywhere_behind_its_first_line_is_one_of_an_interrupted_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let mut session = Session::start(&path);
    session.take(cgroup(1, "a"));
    for number in 0..5 {
        let time = u64::MAX;
        session.touch(Touch { time, ..touch(1, &format!("/{number}")) });
    }
    session.kill();
    let text = fs::read(&path).unwrap();
    let first = text.iter().position(|&byte| byte == b'\n').unwrap();
    let mut seen = BTreeSet::new();
    for end in 0..=text.len() {
        match replay(&text[..end]) {
            Ok(outcome) => {
                assert!(end > first);
                for profile in profiles(&outcome) {
                    let run = &profile.runs[0];
                    assert!(
                        run.interrupted && run.command == ["true"] && run.exit_status.is_none()
                    );
                    assert!(run.ended > run.started || run.started == "s", "{run:?}");
                    assert_eq!(profile.incomplete().len(), 1);
                    seen.insert(profile.paths.len());
                }
            }
            Err(error) => assert!(end <= first, "{error}"),
        }
    }
    assert_eq!(seen, BTreeSet::from([1, 2, 3, 4, 5]));
    assert_eq!(load(&path).unwrap().paths.len(), 5);
}

#[test]
fn a_container_that_nobody_was_asked_of_is_unattributed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let mut session = Session::start(&path);
    session.take(cgroup(1, "a"));
    session.touch(touch(1, "/a"));
    // No answer to this one.
    for event in [cgroup(2, "b"), Event::Touch(touch(2, "/b")), Event::Touch(touch(2, "/c"))] {
        take(&mut session.collector, &mut session.journal, event);
    }
    session.kill();
    let text = fs::read(&path).unwrap();
    let profile = load(&path).unwrap();
    assert_eq!(profile.runs[0].lost.unattributed, 2);

    let mut replay = Replay::read(&text[..]).unwrap();
    let unresolved: BTreeMap<_, _> = replay.unresolved().map(|(k, pid)| (k.clone(), pid)).collect();
    assert_eq!(unresolved.len(), 1);
    for key in unresolved.into_keys() {
        let image = ImageId { id: "sha256:b".into(), ..ImageId::default() };
        let info = ContainerInfo { id: key.id.clone(), image, ..ContainerInfo::default() };
        replay.resolve(key, Some(info));
    }
    let outcome = replay.finish();
    assert_eq!(outcome.profiles.len(), 2);
    assert!(outcome.profiles.iter().all(|profile| profile.run().lost.total() == 0));
}

#[test]
fn journals_of_several_images_or_none_are_no_profile() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let mut session = Session::start(&path);
    session.journal.as_mut().unwrap().sync(&session.collector, Losses::default);
    let refused = load(&path).unwrap_err().to_string();
    assert!(refused.contains("no container"), "{refused}");
    for (number, id) in [(1, "a"), (2, "b")] {
        session.take(cgroup(number, id));
        session.touch(touch(number, "/x"));
    }
    session.kill();
    let refused = load(&path).unwrap_err();
    assert!(matches!(&refused, LoadError::Journal { source: ReadError::Several(_), .. }));
    let refused = refused.to_string();
    assert!(refused.contains("a, b") && refused.contains("profiler recover"), "{refused}");
}

#[test]
fn damage_is_told_by_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let mut session = Session::start(&path);
    session.take(cgroup(1, "a"));
    session.kill();
    let text = String::from_utf8(fs::read(&path).unwrap()).unwrap();
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let names = format!(
        r#"{{"event":{{"cgroup":{{"cgroup":1,"pid":1,"names":[{}"a"]}}}}}}"#,
        r#""a","#.repeat(99)
    );
    let number = text.lines().count() + 1;
    for bad in [
        "",
        "{}",
        "null",
        "[]",
        "\u{0}",
        &nested,
        &names,
        r#"{"later":1}"#,
        r#"{"touch":[0,{}],"end":{}}"#,
        r#"{"touch":[7,{}]}"#,
        r#"{"touch":[0,{"kind":"eat"}]}"#,
        r#"{"touch":[0,{"dev":-1}]}"#,
        r#"{"counts":[18446744073709551615,{}]}"#,
        r#"{"touch":["0",{}]}"#,
    ] {
        let error = replay(format!("{text}{bad}\n").as_bytes()).unwrap_err().to_string();
        let place = format!("damaged at line {number}: ");
        assert!(error.contains(&place) && !error.contains('\n'), "{bad:.40}: {error}");
    }
    // Members of a later program.
    let later = r#"{"touch":[0,{"path":"/a","later":[1]}]}"#;
    assert_eq!(replay(format!("{text}{later}\n").as_bytes()).unwrap().profiles.len(), 1);
    let newer = text.replacen(r#""version":1"#, r#""version":2"#, 1);
    assert!(matches!(replay(newer.as_bytes()), Err(ReadError::Newer(2))));
    for numbers in ["null", "{}", "[]"] {
        let text = text.replacen(r#""version":1"#, &format!(r#""version":{numbers}"#), 1);
        assert!(matches!(replay(text.as_bytes()), Err(ReadError::Damaged { line: 1, .. })));
    }
    // Numbers that no session writes.
    let most = u64::MAX;
    let lost = format!(
        r#"{{"ring_full":{most},"path_too_deep":{most},"missed_runs":1,"unattributed":1,"unreadable":1}}"#
    );
    let text = format!(
        "{text}{later}\n{{\"lost\":[null,{lost}]}}\n{{\"lost\":[1,{lost}]}}\n{{\"lost\":[9,{lost}]}}\n\
        {{\"counts\":[0,{{\"dropped\":{most},\"missing_dropped\":{most}}}]}}\n"
    );
    let outcome = replay(text.as_bytes()).unwrap();
    assert_eq!(outcome.profiles[0].run().lost.total(), most);
}

#[test]
fn a_journal_is_replaced_when_asked_and_nobody_writes_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let live = Session::start(&path);
    for replace in [false, true] {
        assert!(matches!(Journal::create(&path, replace), Err(JournalError::Busy(_))));
    }
    drop(live);
    assert!(matches!(Journal::create(&path, false), Err(JournalError::Exists(_))));
    drop(Journal::create(&path, true).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    fs::write(&path, "a movie").unwrap();
    assert!(matches!(Journal::create(&path, true), Err(JournalError::Exists(_))));
    assert_eq!(fs::read(&path).unwrap(), b"a movie");
}

#[test]
fn no_change_to_a_journal_makes_its_reader_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let mut session = Session::start(&path);
    let mut rng = fastrand::Rng::with_seed(6);
    session.take(cgroup(1, "a"));
    session.take(cgroup(2, "b"));
    (0..20).for_each(|_| session.touch(random_touch(&mut rng)));
    let lost = Lost { ring_full: 1, ..Lost::default() };
    session.end(&Losses { all: lost, by_group: [(1, lost)].into() });
    let text = fs::read(&path).unwrap();
    let first = text.iter().position(|&byte| byte == b'\n').unwrap();
    let (mut read, mut refused) = (0, 0);
    for _ in 0..3000 {
        let mut text = text.clone();
        for _ in 0..rng.u8(1..4) {
            let from = if rng.u8(..8) == 0 { 0 } else { first };
            let at = rng.usize(from..text.len());
            match rng.u8(..4) {
                0 => text[at] = rng.u8(..),
                // Digits make other numbers and places.
                1 => text[at] = rng.u8(b'0'..=b'9'),
                2 => text.insert(at, rng.u8(b' '..=b'~')),
                _ => {
                    let from = rng.usize(..text.len());
                    let part = text[from..text.len().min(from + rng.usize(..200))].to_vec();
                    text.splice(at..at, part);
                }
            }
        }
        match replay(&text) {
            Ok(outcome) => {
                profiles(&outcome);
                read += 1;
            }
            Err(error) => {
                assert!(!error.to_string().contains('\n'));
                refused += 1;
            }
        }
    }
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}
