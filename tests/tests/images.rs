//! Kinds of images: each still does its job when minimized.

use integration_tests::engine::Image;
use integration_tests::program::{Outcome, minimize, profile_of};
use integration_tests::{fixture, images};

/// Profiles and minimizes `image` under a plain `docker run`; the result
/// must answer as the source does.
#[track_caller]
fn same_answer(image: &Image, arguments: &[&str]) -> Image {
    let directory = tempfile::tempdir().unwrap();
    let expected = image.run(arguments);
    let script = [&["docker", "run", "--rm", &image.name], arguments].concat();
    profile_of(directory.path(), image, &script);
    let result = minimize(directory.path(), image);
    assert_eq!(result.run(arguments), expected);
    result
}

/// Profiles and minimizes `image` under the HTTP test, and runs the test on
/// the result.
#[track_caller]
fn same_service(image: &Image, port: &str, page: &str) -> Image {
    let directory = tempfile::tempdir().unwrap();
    let test = fixture("http-test.sh");
    profile_of(directory.path(), image, &[test.to_str().unwrap(), &image.name, port, page]);
    let result = minimize(directory.path(), image);
    let outcome =
        Outcome::of(std::process::Command::new(test).args([result.name.as_str(), port, page]));
    assert_eq!(outcome.code, 0, "the minimized image does not serve: {outcome:#?}");
    result
}

#[track_caller]
fn at_most(image: &Image, megabytes: f64) {
    let size = image.size() as f64 / 1e6;
    assert!(size <= megabytes, "{size:.2} MB, {megabytes} MB is the limit");
}

#[test]
fn a_static_binary_from_scratch_runs() {
    let source = images::scratch();
    let result = same_answer(&source, &["cat", "/etc/read.conf"]);
    assert!(result.size() + (1 << 20) <= source.size(), "the unread ballast was kept");
}

#[test]
fn busybox_with_symbolic_applet_links_runs() {
    same_answer(&images::busybox(true), &[]);
}

#[test]
fn busybox_with_hard_applet_links_runs_and_stays_one_file() {
    let source = images::busybox(false);
    let result = same_answer(&source, &[]);
    at_most(&result, source.size() as f64 / 1e6);
}

#[test]
fn a_script_with_env_python_runs() {
    let result = same_answer(&images::env_script(), &[]);
    at_most(&result, 60.0);
}

#[test]
fn a_shell_command_of_a_whole_distribution_runs() {
    let source = Image { name: images::base(), temporary: false };
    same_answer(&source, &["sh", "-c", "echo one two | tr ' ' '\\n' | sort -r | head -n 1"]);
}

#[test]
fn nginx_serves_and_is_small() {
    let result = same_service(&images::nginx(), "80", "Welcome to nginx");
    at_most(&result, 10.4);
}

#[test]
fn flask_as_an_ordinary_user_serves_and_is_small() {
    let result = same_service(&images::flask(), "8000", "Hello from Flask");
    at_most(&result, 34.0);
}

#[test]
fn the_config_is_carried_whole() {
    let source = images::scratch();
    let result = same_answer(&source, &["hello"]);
    let config = |image: &Image| {
        integration_tests::engine::docker([
            "image",
            "inspect",
            "--format={{json .Config.Healthcheck}} {{json .Config.Entrypoint}} \
             {{json .Config.Cmd}} {{json .Config.Env}} {{json .Config.User}}",
            &image.name,
        ])
    };
    assert_eq!(config(&result), config(&source));
}

#[test]
fn the_same_input_makes_the_same_image() {
    let source = images::scratch();
    let directory = tempfile::tempdir().unwrap();
    profile_of(directory.path(), &source, &["docker", "run", "--rm", &source.name]);
    let id = |image: &Image| {
        integration_tests::engine::docker(["image", "inspect", "--format={{.Id}}", &image.name])
    };
    let first = minimize(directory.path(), &source);
    let second = minimize(directory.path(), &source);
    assert_eq!(id(&first), id(&second));
}
