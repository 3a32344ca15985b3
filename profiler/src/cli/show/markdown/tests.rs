//! Pages of documents that mean harm.

use ::profiler::profile::{BytePath, ImageId, Lost, NameEntry, Profile, Run};
use serde_json::{Value, json};

use super::*;

/// What a hostile name may hold; pieces are put together at random.
const PIECES: [&str; 24] = [
    "|",
    "\\",
    "`",
    "``",
    "\n",
    "\r\n",
    "</details>",
    "<script>alert(1)</script>",
    "<!--",
    "-->",
    "&lt;",
    "![x](http://x.y/z)",
    "[a](javascript:b)",
    "https://x.y",
    "www.x.y",
    "@octocat",
    "#1",
    "\u{202e}",
    "\u{0}",
    "\u{fffd}",
    "* ",
    "/etc/passwd",
    " ",
    "é",
];

fn name(random: &mut fastrand::Rng) -> String {
    let pieces = random.usize(0..12);
    let mut name: String = (0..pieces).map(|_| PIECES[random.usize(0..PIECES.len())]).collect();
    if random.u8(0..20) == 0 {
        name = name.repeat(400);
    }
    name
}

fn path(random: &mut fastrand::Rng) -> Value {
    let mut bytes = name(random).into_bytes();
    if random.bool() {
        bytes.extend([0xff, b'|', 0xc3]);
    }
    serde_json::to_value(BytePath(bytes)).unwrap()
}

fn report(random: &mut fastrand::Rng, most: usize) -> Document {
    let mut side = |bytes: u64| {
        json!({
            "reference": name(random), "id": name(random), "digest": name(random),
            "bytes": bytes, "files": 3, "layers": 1,
        })
    };
    let (source, output) = (side(u64::MAX), side(9));
    let mut list = |one: &dyn Fn(&mut fastrand::Rng) -> Value| -> Vec<Value> {
        (0..random.usize(0..=most)).map(|_| one(random)).collect()
    };
    let report = json!({
        "version": 1,
        "source": source,
        "output": output,
        "kept": list(&|random| json!({
            "path": path(random), "size": random.u64(..), "rule": name(random),
            "detail": name(random), "package": name(random),
        })),
        "removed": list(&|random| json!({
            "path": path(random), "size": random.u64(..), "package": name(random),
        })),
        "unshipped": list(&|random| json!({"path": path(random), "why": name(random)})),
        "packages": {
            "removed": 1, "partial": 2, "full": 3, "unknown": 4,
            "list": list(&|random| json!({
                "name": name(random), "version": name(random),
                "state": if random.bool() { "removed".into() } else { name(random) },
                "kept_files": 1, "source_files": 2,
            })),
        },
        "warnings": list(&|random| name(random).into()),
    });
    Document::Reports(vec![serde_json::from_value(report).unwrap()])
}

fn profile(random: &mut fastrand::Rng, most: usize) -> Document {
    let mut profile = Profile::new(ImageId { reference: name(random), ..ImageId::default() });
    for _ in 0..random.usize(0..=most) {
        profile.runs.push(Run {
            command: vec![name(random), name(random)],
            exit_status: random.bool().then(|| random.i32(0..3)),
            started: name(random),
            tier: name(random),
            interrupted: random.bool(),
            lost: Lost { ring_full: random.u64(0..2), ..Lost::default() },
            ..Run::default()
        });
    }
    Document::Profile(profile.into())
}

/// A page with all that the program itself writes taken out: whatever of
/// Markdown and HTML is left came from a name.
fn rest(page: &str) -> String {
    let mut rest = String::new();
    for line in page.lines() {
        // Code spans hold no backtick, so they end at the next one.
        let outside: String = line.split('`').step_by(2).collect::<Vec<_>>().join("");
        rest.push_str(&outside);
        rest.push('\n');
    }
    for own in ["<details><summary>", "</summary>", "</details>", "<code>", "</code>"] {
        rest = rest.replace(own, "");
    }
    rest
}

fn check(page: &str, limit: usize) {
    assert!(page.len() <= limit, "{} bytes are more than {limit}", page.len());
    let opened = page.matches("<details>").count();
    assert_eq!(opened, page.matches("</details>").count());
    let mut cells = None;
    for line in page.lines() {
        assert_eq!(line.matches('`').count() % 2, 0, "a span is open: {line}");
        assert_eq!(line.matches("<code>").count(), line.matches("</code>").count(), "{line}");
        assert!(!line.contains(char::is_control), "{line:?}");
        // Every row of a table has as many cells as its head.
        if line.starts_with('|') {
            assert!(!line.contains("\\|"), "parsers disagree: {line}");
            let bars = line.matches('|').count();
            assert_eq!(*cells.get_or_insert(bars), bars, "another number of cells: {line}");
        } else {
            assert!(!line.contains('|'), "a bar outside a table: {line}");
            cells = None;
        }
    }
    let rest = rest(page);
    for hostile in ["<", "](", "://", "www.", "@", "!["] {
        assert!(!rest.contains(hostile), "{hostile:?} came through: {rest}");
    }
}

#[test]
fn no_name_breaks_a_page_or_its_limit() {
    for seed in 0..150 {
        let mut random = fastrand::Rng::with_seed(seed);
        let limit = [0, 100, 300, 1_000, 5_000, 60_000, LIMIT][random.usize(0..7)];
        let documents = (0..random.usize(0..6))
            .map(|_| if random.bool() { report(&mut random, 40) } else { profile(&mut random, 40) })
            .collect();
        let failed = random.bool().then(|| name(&mut random));
        check(&page(documents, failed.as_deref(), limit), limit);
    }
}

#[test]
fn a_page_of_very_many_images_says_how_much_is_left_out() {
    let mut random = fastrand::Rng::with_seed(7);
    let documents = (0..150).map(|_| report(&mut random, 60)).collect();
    let page = page(documents, None, LIMIT);
    check(&page, LIMIT);
    assert!(page.len() > LIMIT / 2, "{} bytes", page.len());
    assert!(page.contains("Left out for want of room"), "nothing was left out");
}

#[test]
fn a_page_reads_as_expected() {
    let report = json!({
        "version": 1,
        "source": {"reference": "docker-daemon:app:1", "id": "sha256:aa", "bytes": 2000, "files": 30, "layers": 2},
        "output": {"reference": "oci:out:min", "id": "sha256:bb", "digest": "sha256:cc", "bytes": 500, "files": 3, "layers": 1},
        "kept": [
            {"path": "/small", "size": 1, "rule": "touched", "detail": "open", "package": "a"},
            {"path": "/lib/large", "size": 499, "rule": "elf", "detail": "/small"},
        ],
        "removed": [{"path": "/doc|x", "size": 1500, "package": "b"}],
        "unshipped": [],
        "packages": {
            "removed": 1, "partial": 1, "full": 0, "unknown": 0,
            "list": [
                {"name": "a", "version": "1", "state": "partial", "kept_files": 1, "source_files": 4},
                {"name": "b", "version": "2", "state": "removed", "kept_files": 0, "source_files": 1},
            ],
        },
        "warnings": [],
    });
    let report = Document::Reports(vec![serde_json::from_value(report).unwrap()]);
    let mut seen = Profile::new(ImageId { reference: "app:1".into(), ..ImageId::default() });
    seen.runs.push(Run {
        command: vec!["sh".into(), "-c".into(), "test".into()],
        exit_status: Some(3),
        tier: "fexit".into(),
        ..Run::default()
    });
    seen.missing.push(NameEntry::default());
    let text = page(vec![Document::Profile(seen.into()), report], None, LIMIT);
    assert_eq!(text, include_str!("expected.md"), "{text}");
}
