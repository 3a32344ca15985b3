//! The cases' image in Docker, and containers of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::cases::run::CAPABILITIES;
use crate::engine::{Image, output};
use crate::profile::Profile;
use crate::program::Outcome;

/// The target the program is built for: named, because a static build must
/// not reach what the compiler loads while it works.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The static program: `PROFILER_CASES_BIN`, or built here.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(program) = std::env::var_os("PROFILER_CASES_BIN") {
            return program.into();
        }
        let tests = std::env::current_exe().expect("the test's own path");
        // target/debug/deps/cases-…
        let target = tests.ancestors().nth(3).expect("a target directory");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        output(
            Command::new(cargo)
                .args(["build", "--quiet", "--package", "integration-tests", "--bin", "cases"])
                .args(["--target", TARGET, "--target-dir"])
                .arg(target)
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .env("RUSTFLAGS", "-C target-feature=+crt-static"),
        );
        target.join(TARGET).join("debug/cases")
    })
}

/// Imports the cases' tree as an image with this name, by this `docker`;
/// `change` is an instruction of Dockerfiles that makes it another image than
/// the next one.
#[track_caller]
pub fn import(mut docker: Command, name: &str, change: &str) {
    let root = tempfile::tempdir().expect("a directory");
    output(Command::new(program()).arg("prepare").arg(root.path()));
    let mut tar = Command::new("tar")
        .arg("--create")
        .arg("--directory")
        .arg(root.path())
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar starts");
    let import = docker
        .args(["import", "--change", change, "-", name])
        .stdin(tar.stdout.take().expect("a pipe"))
        .output()
        .expect("docker starts");
    assert!(tar.wait().expect("a status").success(), "tar failed");
    assert!(import.status.success(), "docker import: {}", String::from_utf8_lossy(&import.stderr));
}

/// Arguments of `docker run` (or `create`) ahead of the image: what the cases
/// need beyond what a container usually may.
pub fn permissions() -> Vec<String> {
    let capabilities = CAPABILITIES.map(|name| format!("--cap-add={name}"));
    // Seccomp filters refuse io_uring and handles, AppArmor mounts.
    let options = ["seccomp=unconfined", "apparmor=unconfined"];
    let options = options.map(|option| format!("--security-opt={option}"));
    capabilities.into_iter().chain(options).collect()
}

/// An image of the cases, removed at the end.
#[track_caller]
pub fn image(change: &str) -> Image {
    let image = Image::future("cases");
    import(Command::new("docker"), &image.name, change);
    image
}

/// `cases check` of a profile, on the tier that made it.
pub fn check(profile: &Path, options: &[&str], cases: &[&str]) -> Outcome {
    let tier = Profile::read(profile).runs()[0]["tier"].clone();
    let tier = tier.as_str().expect("a tier");
    Outcome::of(
        Command::new(program())
            .args(["check", "--tier", tier])
            .args(options)
            .arg(profile)
            .args(cases),
    )
}
