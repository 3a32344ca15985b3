//! `profiler run` around what a test itself does: the command it runs only
//! waits until the test is through.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::engine::Image;
use crate::profile::Profile;
use crate::program::{profile_file, profiler};
use crate::until;

/// A running `profiler run`.
pub struct Watch {
    child: Child,
    directory: PathBuf,
}

impl Watch {
    /// Starts it; returns when it is attached.
    #[track_caller]
    pub fn start(directory: &Path) -> Self {
        Self::start_of(directory, &[])
    }

    /// The same, watching containers of these images only.
    #[track_caller]
    pub fn start_of(directory: &Path, images: &[&Image]) -> Self {
        // Left by a run before in the same directory.
        for name in ["attached", "through", "profile.json"] {
            let _ = fs::remove_file(directory.join(name));
        }
        let filters = images.iter().flat_map(|image| ["--image", &image.name]);
        let script = r#"
            printf %s "$PROFILER_SOCKET" > "$1/attaching"; mv "$1/attaching" "$1/attached"
            until test -e "$1/through"; do sleep 0.05; done
        "#;
        let mut child = profiler(["run"])
            .args(filters)
            .arg("-o")
            .arg(profile_file(directory))
            .args(["--", "sh", "-c", script, "sh"])
            .arg(directory)
            .stdin(Stdio::null())
            .spawn()
            .expect("the program starts");
        until("the profiler is attached", || {
            let ended = child.try_wait().expect("a status");
            assert!(ended.is_none(), "profiler run ended early: {ended:?}");
            directory.join("attached").exists()
        });
        Self { child, directory: directory.to_owned() }
    }

    /// The socket by which tests are marked.
    #[track_caller]
    pub fn socket(&self) -> PathBuf {
        fs::read_to_string(self.directory.join("attached")).expect("the socket's path").into()
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it and reads the profile.
    #[track_caller]
    pub fn finish(self) -> Profile {
        let file = profile_file(&self.directory);
        self.end();
        Profile::read(&file)
    }

    /// Ends it and reads the profiles of several images.
    #[track_caller]
    pub fn finish_several(self) -> Vec<Profile> {
        let directory = profile_file(&self.directory);
        self.end();
        let entries = fs::read_dir(&directory).expect("a directory of profiles");
        entries.map(|entry| Profile::read(&entry.expect("an entry").path())).collect()
    }

    #[track_caller]
    fn end(mut self) {
        File::create(self.directory.join("through")).expect("a marker");
        let status = self.child.wait().expect("a status");
        assert!(status.success(), "profiler run: {status}");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Lets it end by itself when a test panics.
        let _ = File::create(self.directory.join("through"));
        let _ = self.child.wait();
    }
}
