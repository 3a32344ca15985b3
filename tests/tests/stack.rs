//! Whole test suites under one `profiler run`: a stack brought up by compose,
//! containers that a test library makes and removes, and a shell's loop.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use integration_tests::engine::{Image, unique};
use integration_tests::profile::Profile;
use integration_tests::program::{Outcome, binary, profile_file, profiler};
use integration_tests::scanner::python;
use integration_tests::{fixture, images, schema};
use serde_json::Value;

/// `profiler run` of these images around a suite, and the suite's own words.
#[track_caller]
fn profile(images: &[&Image], output: &Path, suite: &Command) -> Outcome {
    let mut run = Command::new(binary());
    run.arg("run").args(images.iter().flat_map(|image| ["--image", &image.name]));
    run.arg("-o").arg(output).arg("--").arg(suite.get_program()).args(suite.get_args());
    run.envs(suite.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Outcome::of(&mut run).succeeded()
}

/// The IDs that are in a profile's only run, and that nothing was lost.
#[track_caller]
fn containers(profile: &Profile) -> BTreeSet<String> {
    assert_eq!(schema::findings(&profile.0), [] as [&str; 0], "not what the schema says");
    assert_eq!(profile.lost(), [], "events were lost");
    let [run] = profile.runs() else { panic!("not one run: {:?}", profile.runs()) };
    ids(&run["containers"])
}

fn ids(list: &Value) -> BTreeSet<String> {
    let ids = list.as_array().expect("a list of IDs");
    ids.iter().map(|id| id.as_str().expect("an ID").to_owned()).collect()
}

/// Minimizes with the profile in `file`.
#[track_caller]
fn minimize(image: &Image, file: &Path) -> Image {
    let result = Image::future("stack");
    let mut minimize = profiler(["minimize", &image.name, "--output", &result.name, "--profile"]);
    Outcome::of(minimize.arg(file)).succeeded();
    let (before, after) = (image.size(), result.size());
    println!("{}: {before} bytes, small {after}", image.name);
    assert!(after < before / 3, "{}: {after} of {before} bytes are left", image.name);
    result
}

/// The suite of the stack, of images of web, cache and database.
fn suite([web, cache, database]: [&Image; 3]) -> Command {
    let mut suite = Command::new("python3");
    suite.arg(fixture("stack/suite.py")).env("COMPOSE_PROJECT_NAME", unique("stack"));
    suite.env("WEB_IMAGE", &web.name).env("CACHE_IMAGE", &cache.name);
    suite.env("DATABASE_IMAGE", &database.name);
    suite
}

#[test]
fn a_stack_gives_a_profile_an_image_and_its_suite_is_green_on_the_small_images() {
    let directory = tempfile::tempdir().unwrap();
    let profiles = directory.path().join("profiles");
    let services = ["web", "cache", "database"];
    let built = [
        images::build_in(&fixture("stack/web"), "stack-web").own(),
        images::corpus("redis").own(),
        images::corpus("postgresql").own(),
    ];
    let outcome = profile(&built.each_ref(), &profiles, &suite(built.each_ref()));
    let told: Value = serde_json::from_str(&outcome.stdout).expect("the IDs");

    let files: Vec<_> = fs::read_dir(&profiles).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    let mut small = Vec::new();
    for (image, service) in built.iter().zip(services) {
        let of_image = |file: &&std::path::PathBuf| Profile::read(file).image() == image.name;
        let file = files.iter().find(of_image).expect("a profile of the image");
        let profile = Profile::read(file);
        // The restarted replica is one container all the same.
        assert_eq!(containers(&profile), ids(&told[service]), "{service}");
        assert_eq!(profile.runs()[0]["exit_status"], 0);
        small.push(minimize(image, file));
    }
    let small: [Image; 3] = small.try_into().ok().unwrap();
    Outcome::of(&mut suite(small.each_ref())).succeeded();
}

#[test]
fn containers_that_a_test_library_makes_and_removes_are_all_in_the_profile() {
    let directory = tempfile::tempdir().unwrap();
    let file = profile_file(directory.path());
    let throwaway = |image: &Image| {
        let mut suite = python();
        suite.arg(fixture("stack/throwaway.py")).env("IMAGE", &image.name);
        suite
    };
    let image = images::corpus("redis").own();
    let outcome = profile(&[&image], &file, &throwaway(&image));
    let told = ids(&serde_json::from_str(&outcome.stdout).expect("the IDs"));
    assert_eq!(told.len(), 8);
    assert_eq!(containers(&Profile::read(&file)), told);
    let small = minimize(&image, &file);
    Outcome::of(&mut throwaway(&small)).succeeded();
}

#[test]
fn each_of_thirty_short_containers_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let file = profile_file(directory.path());
    let image = images::scratch().own();
    // Ten after one another, and ten times two at once.
    let script = r#"
        run() { docker run --rm --cidfile "$1/id-$2" "$0" cat /etc/read.conf >/dev/null; }
        for turn in 1 2 3 4 5 6 7 8 9 10; do
            run "$1" "$turn" && run "$1" "$turn-a" & one=$!
            run "$1" "$turn-b" && wait "$one" || exit 1
        done
    "#;
    let mut suite = Command::new("sh");
    suite.args(["-c", script, &image.name]).arg(directory.path());
    profile(&[&image], &file, &suite);
    let entries = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap());
    let told: BTreeSet<String> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("id-"))
        .map(|entry| fs::read_to_string(entry.path()).unwrap())
        .collect();
    assert_eq!(told.len(), 30);
    let profile = Profile::read(&file);
    assert_eq!(containers(&profile), told);
    assert!(profile.paths().contains("/etc/read.conf"), "{:#?}", profile.paths());
}
