//! Two processes open files a million times each: nothing is lost.

use std::collections::BTreeSet;
use std::fs;

use integration_tests::engine::Image;
use integration_tests::images;
use integration_tests::program::profile_of;

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
    let opened: BTreeSet<String> =
        profile.paths().into_iter().filter(|path| path.starts_with("/files/")).collect();
    let expected: BTreeSet<String> = (0..FILES).map(|n| format!("/files/{n}")).collect();
    assert_eq!(opened, expected);
    assert_eq!(profile.lost(), []);
}
