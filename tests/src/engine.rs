//! Docker and Podman by their command lines.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Runs `docker` and returns its trimmed stdout; panics when it fails.
#[track_caller]
pub fn docker<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    output(Command::new("docker").args(arguments))
}

/// Runs a command and returns its trimmed stdout; panics when it fails.
#[track_caller]
pub fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A name that nothing else on this machine has.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("profiler-test-{stem}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An image in the Docker daemon.
pub struct Image {
    /// Its reference.
    pub name: String,
    /// Whether dropping this removes it.
    pub temporary: bool,
}

impl Image {
    /// A reference to be filled by the program under test.
    pub fn future(stem: &str) -> Self {
        Self { name: unique(stem), temporary: true }
    }

    /// The same image under a name that no other test builds anew.
    #[track_caller]
    pub fn own(&self) -> Self {
        let own = Self::future("own");
        docker(["tag", &self.name, &own.name]);
        own
    }

    /// Its size in bytes, as the daemon counts.
    #[track_caller]
    pub fn size(&self) -> u64 {
        let size = docker(["image", "inspect", "--format={{.Size}}", &self.name]);
        size.parse().expect("a size")
    }

    /// Whether the daemon has it.
    pub fn exists(&self) -> bool {
        let inspect = Command::new("docker").args(["image", "inspect", &self.name]).output();
        inspect.is_ok_and(|output| output.status.success())
    }

    /// Runs it with `arguments` as its command and returns its stdout.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        docker(["run", "--rm", &self.name].iter().chain(arguments))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.temporary {
            remove("docker", &["image", "rm", "--force", &self.name]);
        }
    }
}

/// A running container, removed at the end.
pub struct Container {
    engine: &'static str,
    /// Its full ID.
    pub id: String,
}

impl Container {
    /// What `docker run --detach` does with these arguments, in two steps: one
    /// that cannot be started is removed, too.
    #[track_caller]
    pub fn start(arguments: &[&str]) -> Self {
        let id = docker(["create"].iter().chain(arguments));
        let container = Self { engine: "docker", id };
        docker(["start", &container.id]);
        container
    }

    /// `podman run --detach` with these arguments.
    #[track_caller]
    pub fn start_podman(arguments: &[&str]) -> Self {
        // Removed without waiting for it to end by itself.
        let id = output(podman().args(["--detach", "--stop-timeout=0"]).args(arguments));
        Self { engine: "podman", id }
    }

    /// Process ID of its first process, as the host counts.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        let pid = output(
            Command::new(self.engine).args(["inspect", "--format={{.State.Pid}}"]).arg(&self.id),
        );
        pid.parse().expect("a process ID")
    }

    /// Waits until it ends; its exit status.
    #[track_caller]
    pub fn wait(&self) -> i32 {
        let status = output(Command::new(self.engine).arg("wait").arg(&self.id));
        status.parse().expect("an exit status")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        remove(self.engine, &["rm", "--force", "--volumes", &self.id]);
    }
}

/// An image in Podman's storage; dropping this removes its name, and it with
/// the last of its names.
pub struct PodmanImage {
    /// Its reference.
    pub name: String,
}

impl PodmanImage {
    /// Hands an image over from Docker, under a name of its own.
    #[track_caller]
    pub fn from_docker(image: &Image) -> Self {
        let own = Image::future("podman");
        docker(["tag", &image.name, &own.name]);
        let pipe = r#"docker save "$0" | podman load --quiet"#;
        output(Command::new("sh").args(["-c", pipe, &own.name]));
        Self { name: format!("localhost/{}", own.name) }
    }

    /// For those who only want its name.
    pub fn image(&self) -> Image {
        Image { name: self.name.clone(), temporary: false }
    }
}

impl Drop for PodmanImage {
    fn drop(&mut self) {
        remove("podman", &["image", "rm", "--force", &self.name]);
    }
}

/// A control group that a test has made, by its path from the root of every
/// hierarchy; dropping this removes it with those below it.
pub struct ControlGroup(pub String);

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let top = Path::new("/sys/fs/cgroup");
        let below = fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
        for hierarchy in below.chain([top.to_owned()]) {
            remove_group(&hierarchy.join(self.0.trim_start_matches('/')));
        }
    }
}

/// Removes empty control groups, those below first: nothing but empty ones
/// can be removed.
fn remove_group(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

/// `podman run`, with what the machine's cgroups and limits ask for: crun
/// refuses hybrid cgroups, and not every root may raise its own limits.
pub fn podman() -> Command {
    let mut podman = Command::new("podman");
    podman.args(["--runtime", "runc", "--cgroup-manager", "cgroupfs", "run"]).args([
        "--ulimit",
        "nofile=1024:1024",
        "--ulimit",
        "nproc=1024:1024",
    ]);
    podman
}

/// Full IDs of all containers Docker knows.
#[track_caller]
pub fn containers() -> Vec<String> {
    let mut ids: Vec<String> =
        docker(["ps", "--all", "--quiet", "--no-trunc"]).lines().map(str::to_owned).collect();
    ids.sort();
    ids
}

fn remove(engine: &str, arguments: &[&str]) {
    // A guard: it may run while a test panics, and the thing may be gone.
    let _ =
        Command::new(engine).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
}
