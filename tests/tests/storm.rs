//! Two processes open files a million times each: nothing is lost.

use std::collections::BTreeSet;
use std::fs;

use integration_tests::engine::Image;
use integration_tests::images;
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, profile_file, profile_of, profiler};

const FILES: usize = 1000;
const TIMES: &str = "1000000";

fn image() -> Image {
    let dockerfile = "FROM scratch\nCOPY toolbox /toolbox\nCOPY files /files\n";
    images::build("storm", dockerfile, |context| {
        fs::copy(images::toolbox(), context.join("toolbox")).unwrap();
        fs::create_dir(context.join("files")).unwrap();
        // Twice as many as are opened: the others must not appear.
        for number in 0..2 * FILES {
            fs::write(context.join("files").join(number.to_string()), "x").unwrap();
        }
    })
}

#[test]
fn two_million_opens_lose_nothing_and_give_exactly_the_distinct_files() {
    let image = image();
    let directory = tempfile::tempdir().unwrap();
    let files = FILES.to_string();
    let storm =
        ["docker", "run", "--rm", &image.name, "/toolbox", "storm", "/files", &files, TIMES];
    let profile = profile_of(directory.path(), &image, &storm);
    assert_eq!(opened(&profile), expected());
    assert_eq!(profile.lost(), []);
}

/// What the profile has of the files.
fn opened(profile: &Profile) -> BTreeSet<String> {
    profile.paths().into_iter().filter(|path| path.starts_with("/files/")).collect()
}

fn expected() -> BTreeSet<String> {
    (0..FILES).map(|number| format!("/files/{number}")).collect()
}

#[test]
fn a_ring_of_one_page_counts_what_it_loses_and_learns_it_by_the_next_touch() {
    let image = image();
    let directory = tempfile::tempdir().unwrap();
    let file = profile_file(directory.path());
    // A reader on an idle machine may empty even this ring in time, so it is
    // stopped until the storm has been in the container for a while.
    let script = r#"
        kill -STOP $PPID
        container=$(docker run -d "$@"); started=$?
        sleep 0.5
        kill -CONT $PPID
        [ $started = 0 ] && status=$(docker wait "$container")
        docker rm -f "$container" >/dev/null
        exit ${status:-1}"#;
    let mut command = profiler(["run", "--ring-size", "4", "--format", "json", "-o"]);
    command.arg(&file).args(["--image", &image.name, "--", "sh", "-c", script, "sh", &image.name]);
    command.args(["/toolbox", "storm", "/files", &FILES.to_string(), TIMES]);
    let outcome = Outcome::of(&mut command).succeeded();

    let profile = Profile::read(&file);
    let lost = profile.lost();
    assert!(matches!(lost.as_slice(), [(cause, 1..)] if cause == "ring_full"), "{lost:?}");
    assert_eq!(opened(&profile), expected());
    // The summary says the same, and so does the refusal.
    let summary: serde_json::Value = serde_json::from_str(outcome.stderr.trim()).unwrap();
    assert_eq!(summary["lost"]["ring_full"], lost[0].1);
    assert_eq!(summary["files"], profile.paths().len());
    let output = format!("docker-daemon:{}", integration_tests::engine::unique("lossy"));
    Outcome::of(profiler(["minimize", &image.name, "--output", &output, "--profile"]).arg(&file))
        .refused(1, &["incomplete", "--allow-incomplete"]);
}
