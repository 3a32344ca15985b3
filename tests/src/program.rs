//! Running the program under test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::engine::Image;
use crate::profile::Profile;
use crate::schema;

/// Its path: `PROFILER_BIN`, or beside the tests.
pub fn binary() -> PathBuf {
    if let Some(binary) = std::env::var_os("PROFILER_BIN") {
        return binary.into();
    }
    let tests = std::env::current_exe().expect("the test's own path");
    let binary = tests.ancestors().nth(2).expect("a target directory").join("profiler");
    assert!(binary.exists(), "{} is not there: cargo build -p profiler", binary.display());
    binary
}

/// What a run of it did.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status; 128 + signal when killed.
    pub code: i32,
    /// What it said on stdout.
    pub stdout: String,
    /// What it said on stderr.
    pub stderr: String,
}

impl Outcome {
    /// Runs `command` to its end.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let output = command.stdin(Stdio::null()).output().expect("the program starts");
        let status = output.status;
        Self {
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts success.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "failed: {self:#?}");
        self
    }

    /// Asserts failure with `code`, and one line on stderr that holds all of
    /// `words`.
    #[track_caller]
    pub fn refused(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "another exit status: {self:#?}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "not one line: {self:#?}");
        assert!(self.stderr.starts_with("profiler: "), "not named: {self:#?}");
        assert!(!self.stderr.contains("panicked"), "a panic: {self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {self:#?}");
        }
        self
    }
}

/// A command line of the program.
pub fn profiler<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env_remove("RUST_BACKTRACE");
    command
}

/// `profiler run -o FILE -- sh -c SCRIPT sh IMAGE …`, and the profile.
#[track_caller]
pub fn profile_of(directory: &Path, image: &Image, script: &[&str]) -> Profile {
    let file = profile_file(directory);
    Outcome::of(profiler(["run", "-o"]).arg(&file).arg("--").args(script)).succeeded();
    let profile = Profile::read(&file);
    assert_eq!(schema::findings(&profile.0), [] as [&str; 0], "not what the schema says");
    assert_eq!(profile.lost(), [], "events were lost");
    assert!(
        profile.image().contains(&image.name),
        "profile of {}, not of {}",
        profile.image(),
        image.name
    );
    profile
}

/// Where [`profile_of`] leaves the profile.
pub fn profile_file(directory: &Path) -> PathBuf {
    directory.join("profile.json")
}

/// `profiler minimize` with the profile that [`profile_of`] left.
#[track_caller]
pub fn minimize(directory: &Path, image: &Image) -> Image {
    let result = Image::future("min");
    Outcome::of(
        profiler(["minimize", &image.name, "--output", &format!("docker-daemon:{}", result.name)])
            .arg("--profile")
            .arg(profile_file(directory))
            .arg("--report")
            .arg(directory.join("report.json")),
    )
    .succeeded();
    assert!(result.size() <= image.size(), "the result is larger than the source");
    result
}
