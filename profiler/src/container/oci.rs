//! Containers by the state files of OCI runtimes: those that nothing but
//! `runc` or `crun` manages, and the control groups of containerd's.
//!
//! ```text
//! ROOT/ID/state.json   runc: libcontainer's State
//! ROOT/ID/status       crun: libcrun's status file
//! ```
//!
//! with ROOT the runtime's `--root`: `/run/runc`, `/run/crun`, the same below
//! a user's runtime directory, and `/run/containerd/runc/NAMESPACE` for what
//! containerd's shims start.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use procfs::process::Process;
use serde_json::Value;

use super::json::text;
use super::unread::Unread;
use super::{ContainerInfo, Engine, identify_path, runtime};
use crate::profile::{BytePath, ImageId};

/// Below this the shims of containerd keep one runtime root a namespace.
const SHIM_ROOT: &str = "/run/containerd/runc";

/// What runc and crun write the state to.
const FILES: [&str; 2] = ["state.json", "status"];

/// A container as its runtime's state file tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// ID, unique in its root alone.
    pub id: String,
    /// containerd's namespace, for what its shims started.
    pub namespace: Option<String>,
    /// Path of its control group: in the v2 hierarchy where there is one.
    pub cgroup: String,
    /// Inode number of that group, which is its identity; none when it is
    /// gone or there is no v2 hierarchy.
    pub cgroup_id: Option<u64>,
    /// First process; 0 while the runtime is still about to start it.
    pub pid: i32,
    /// Start of that process in clock ticks since boot; 0 where not told.
    pub pid_start: u64,
    /// The rootfs as the host sees it.
    pub rootfs: PathBuf,
    /// The bundle: the directory of `config.json`.
    pub bundle: PathBuf,
    /// Mount points inside it.
    pub mounts: Vec<BytePath>,
}

impl State {
    /// Engine and ID by which the container's events are known.
    pub fn key(&self) -> Option<(Engine, String)> {
        key(&self.cgroup, self.cgroup_id)
    }

    /// Its first process, if that still runs: a state file outlives a runtime
    /// that was killed, and process numbers are used again.
    pub fn running(&self) -> Option<i32> {
        if self.pid == 0 {
            return None;
        }
        let stat = Process::new(self.pid).and_then(|process| process.stat()).ok()?;
        let same = self.pid_start == 0 || stat.starttime == self.pid_start;
        // One that ended stays in the table until its parent asks.
        (same && stat.state != 'Z').then_some(self.pid)
    }

    /// What a profile says of it. There is no image: the bundle's path stands
    /// for the reference, and the digest stays empty.
    pub fn info(&self) -> Option<ContainerInfo> {
        let (_, id) = self.key()?;
        let reference =
            if self.bundle.as_os_str().is_empty() { &self.rootfs } else { &self.bundle };
        Some(ContainerInfo {
            id,
            name: self.id.clone(),
            image: ImageId {
                reference: reference.to_string_lossy().into_owned(),
                ..ImageId::default()
            },
            pid: self.running(),
            mounts: self.mounts.clone(),
        })
    }
}

/// Engine and ID by which the events of a control group are known.
fn key(cgroup: &str, number: Option<u64>) -> Option<(Engine, String)> {
    let (engine, id) = identify_path(cgroup)?.container;
    match (engine, number) {
        (Engine::Unknown, Some(number)) => Some((engine, unknown_id(&id, number))),
        _ => Some((engine, id)),
    }
}

/// Engine and ID by which the events of a control group are known, by its
/// path alone. While it does not exist yet, the ID is without its number.
pub(super) fn key_of_path(cgroup: &str) -> Option<(Engine, String)> {
    key(cgroup, cgroup_id(cgroup))
}

/// Identity of a control group of the v2 hierarchy: its inode number.
pub(crate) fn cgroup_id(path: &str) -> Option<u64> {
    Some(fs::metadata(cgroup2()?.join(path.trim_start_matches('/'))).ok()?.ino())
}

/// ID of a container that has no name of its own: the path of its control
/// group, and that group's number, since a path is used again and again.
pub fn unknown_id(path: &str, number: u64) -> String {
    format!("{path}#{number}")
}

/// Takes [`unknown_id`] apart.
pub fn split_unknown_id(id: &str) -> (&str, Option<u64>) {
    match id.rsplit_once('#') {
        Some((path, number)) => match number.parse() {
            Ok(number) => (path, Some(number)),
            Err(_) => (id, None),
        },
        None => (id, None),
    }
}

/// A runtime's root, with containerd's namespace where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Root {
    path: PathBuf,
    namespace: Option<String>,
}

/// The state files of this machine, each read once.
#[derive(Debug, Default)]
pub struct States {
    roots: Vec<Root>,
    seen: HashMap<PathBuf, (u64, i64, i64)>,
    unread: Unread,
}

impl States {
    /// Every container that there is.
    pub fn all() -> Vec<State> {
        Self::default().new_ones()
    }

    /// The containers that appeared since the last call.
    pub fn new_ones(&mut self) -> Vec<State> {
        let mut found = Vec::new();
        let mut still = HashSet::new();
        self.roots = roots();
        for root in self.roots.clone() {
            for directory in directories(&root.path) {
                found.extend(self.look(&directory, &root));
                still.insert(directory.clone());
                self.unread.found(directory);
            }
        }
        self.seen.retain(|file, _| file.parent().is_some_and(|parent| still.contains(parent)));
        found
    }

    /// The same for one place that changed: a new directory of a container's
    /// state, or a file in one. None where the place is another.
    pub fn changed(&mut self, path: &Path, is_directory: bool) -> Option<Vec<State>> {
        let root_of = |directory: &Path| {
            self.roots.iter().find(|root| directory.parent() == Some(&root.path)).cloned()
        };
        if is_directory && let Some(root) = root_of(path) {
            let time = self.unread.made(path.to_owned());
            let mut found = self.look(path, &root);
            let is_written = FILES.iter().any(|file| path.join(file).exists());
            // containerd tells of its own.
            if !is_written && root.namespace.is_none() {
                let state = announced(path, time);
                if !state.bundle.as_os_str().is_empty() {
                    self.unread.read(path, state.pid, state.pid_start);
                }
                found.push(state);
            }
            return Some(found);
        }
        let directory = path.parent()?;
        let root = root_of(directory)?;
        let is_state = FILES.iter().any(|file| path.ends_with(file));
        Some(if is_state { self.look(directory, &root) } else { Vec::new() })
    }

    fn look(&mut self, directory: &Path, root: &Root) -> Vec<State> {
        let mut found = Vec::new();
        for file in FILES.map(|file| directory.join(file)) {
            // Open: what is removed meanwhile can still be read.
            let Ok(mut open) = File::open(&file) else { continue };
            let Ok(meta) = open.metadata() else { continue };
            // runc replaces the file when the container changes.
            let version = (meta.ino(), meta.mtime(), meta.mtime_nsec());
            if self.seen.get(&file) == Some(&version) {
                continue;
            }
            let mut json = Vec::new();
            let Some(state) =
                open.read_to_end(&mut json).ok().and_then(|_| read(&file, &json, root))
            else {
                continue;
            };
            self.unread.read(directory, state.pid, state.pid_start);
            log::debug!(
                "{}: control group {} ({:?}), process {}",
                file.display(),
                state.cgroup,
                state.cgroup_id,
                state.pid
            );
            // Once more, until its control group is there.
            if state.cgroup_id.is_some() || cgroup2().is_none() {
                self.seen.insert(file, version);
            }
            found.push(state);
        }
        found
    }

    /// Leaves out of [`unread`](Self::unread) what is there up to now.
    pub fn begin(&mut self) {
        self.unread.forgive();
    }

    /// Directories of containers that came and went before their state was
    /// read.
    pub fn unread(&self) -> Vec<PathBuf> {
        self.unread.all().map(Path::to_owned).collect()
    }

    /// Directories whose changes tell of new containers.
    pub fn watched() -> Vec<PathBuf> {
        let mut all = Vec::new();
        for root in roots() {
            all.extend(directories(&root.path));
            all.push(root.path);
        }
        let above: Vec<PathBuf> = all
            .iter()
            .filter_map(|path| path.parent())
            .map(Path::to_owned)
            .chain([PathBuf::from("/run/containerd"), PathBuf::from(SHIM_ROOT)])
            .collect();
        all.extend(above);
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn roots() -> Vec<Root> {
    let users = directories(Path::new("/run/user"));
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let mut roots: Vec<Root> = [PathBuf::from("/run")]
        .into_iter()
        .chain(users)
        .chain(own)
        .flat_map(|run| [run.join("runc"), run.join("crun")])
        .map(|path| Root { path, namespace: None })
        .collect();
    for path in directories(Path::new(SHIM_ROOT)) {
        let namespace = path.file_name().map(|name| name.to_string_lossy().into_owned());
        roots.push(Root { path, namespace });
    }
    roots.sort_by(|a, b| a.path.cmp(&b.path));
    roots.dedup();
    roots
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn read(file: &Path, json: &[u8], root: &Root) -> Option<State> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let id = file.parent()?.file_name()?.to_string_lossy().into_owned();
    let mut state = if file.ends_with("state.json") { runc(&value)? } else { crun(&value)? };
    state.id = id;
    state.namespace.clone_from(&root.namespace);
    state.cgroup_id = cgroup_id(&state.cgroup);
    Some(state)
}

/// A container of which there is no state yet, by the command line of its
/// runtime; without bundle and rootfs where that could not be found. The start
/// tells it from others of its name.
fn announced(directory: &Path, time: u64) -> State {
    let id = directory.file_name().unwrap_or_default();
    let bundle = runtime::bundle(id.as_bytes()).unwrap_or_default();
    let spec: Value = fs::read(bundle.join("config.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let id = id.to_string_lossy().into_owned();
    let cgroup = text(&spec, "/linux/cgroupsPath").filter(|path| !path.is_empty());
    log::debug!("{}: announced, bundle {}", directory.display(), bundle.display());
    State {
        // The runtimes' default.
        cgroup: cgroup.map_or_else(|| format!("/{id}"), |path| cgroup_of_spec(&path)),
        id,
        pid_start: time,
        rootfs: bundle.join(text(&spec, "/root/path").unwrap_or_default()),
        mounts: destinations(spec.get("mounts")),
        bundle,
        ..State::default()
    }
}

/// Whether a container with its state in that directory can be containerd's.
pub fn is_of_a_shim(directory: &Path) -> bool {
    directory.starts_with(SHIM_ROOT)
}

/// libcontainer's State (`libcontainer/container_linux.go`, `configs/config.go`).
fn runc(value: &Value) -> Option<State> {
    let labels = value.pointer("/config/labels").and_then(Value::as_array);
    let bundle = labels
        .into_iter()
        .flatten()
        .find_map(|label| label.as_str()?.strip_prefix("bundle="))
        .unwrap_or_default();
    Some(State {
        cgroup: runc_cgroup(value.get("cgroup_paths")?)?,
        pid: i32::try_from(value.get("init_process_pid")?.as_i64()?).ok()?,
        pid_start: value.get("init_process_start").and_then(Value::as_u64).unwrap_or(0),
        rootfs: text(value, "/config/rootfs")?.into(),
        bundle: bundle.into(),
        mounts: destinations(value.pointer("/config/mounts")),
        ..State::default()
    })
}

/// The path in the v2 hierarchy, listed under the empty name; without one, in
/// any v1 hierarchy, below its mount point `/sys/fs/cgroup/CONTROLLER`.
fn runc_cgroup(paths: &Value) -> Option<String> {
    let paths = paths.as_object()?;
    if let (Some(path), Some(mount)) = (paths.get("").and_then(Value::as_str), cgroup2()) {
        let inside = Path::new(path).strip_prefix(&mount).ok()?;
        return Some(format!("/{}", inside.to_string_lossy()));
    }
    let path = ["name=systemd", "pids", "devices", "memory"]
        .iter()
        .find_map(|name| paths.get(*name)?.as_str())
        .or_else(|| paths.values().next()?.as_str())?;
    let inside: PathBuf =
        Path::new(path).strip_prefix("/sys/fs/cgroup").ok()?.iter().skip(1).collect();
    Some(format!("/{}", inside.to_string_lossy()))
}

/// libcrun's status (`src/libcrun/status.c`).
fn crun(value: &Value) -> Option<State> {
    let bundle = PathBuf::from(text(value, "/bundle").unwrap_or_default());
    let spec: Value = fs::read(bundle.join("config.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let cgroup = text(value, "/cgroup-path").filter(|path| !path.is_empty())?;
    Some(State {
        cgroup: format!("/{}", cgroup.trim_start_matches('/')),
        pid: i32::try_from(value.get("pid")?.as_i64()?).ok()?,
        pid_start: value.get("process-start-time").and_then(Value::as_u64).unwrap_or(0),
        rootfs: text(value, "/rootfs").unwrap_or_default().into(),
        mounts: destinations(spec.get("mounts")),
        bundle,
        ..State::default()
    })
}

/// Mount points in a list of mounts, as specs and states write it.
pub(super) fn destinations(mounts: Option<&Value>) -> Vec<BytePath> {
    let mounts = mounts.and_then(Value::as_array).into_iter().flatten();
    mounts.filter_map(|mount| Some(BytePath::from(mount.get("destination")?.as_str()?))).collect()
}

/// Where the v2 hierarchy is mounted. Looked up once: a state file has to be
/// read before its container is gone.
fn cgroup2() -> Option<PathBuf> {
    static MOUNT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let mounts = Process::myself().and_then(|own| own.mountinfo()).ok()?;
        mounts.into_iter().find(|mount| mount.fs_type == "cgroup2").map(|mount| mount.mount_point)
    };
    MOUNT.get_or_init(find).clone()
}

/// The control group that a spec's `linux.cgroupsPath` names: a path, or
/// systemd's `SLICE:PREFIX:NAME`.
pub(super) fn cgroup_of_spec(path: &str) -> String {
    let mut parts = path.splitn(3, ':');
    let (Some(slice), Some(prefix), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return format!("/{}", path.trim_start_matches('/'));
    };
    // a-b.slice lies in a.slice.
    let stem = slice.strip_suffix(".slice").unwrap_or(slice);
    let mut full = String::new();
    for (at, _) in stem.match_indices('-').chain([(stem.len(), "")]) {
        if at > 0 {
            full.push_str(&format!("/{}.slice", &stem[..at]));
        }
    }
    format!("{full}/{prefix}-{name}.scope")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_state_file_of_runc_on_v1() {
        let value = json!({
            "id": "web", "init_process_pid": 77, "init_process_start": 1234,
            "cgroup_paths": {"devices": "/sys/fs/cgroup/devices/web"},
            "config": {"rootfs": "/b/rootfs", "labels": ["x=y", "bundle=/b"],
                       "mounts": [{"destination": "/proc"}]},
        });
        let state = runc(&value).unwrap();
        assert_eq!(state.cgroup, "/web");
        assert_eq!((state.pid, state.pid_start), (77, 1234));
        assert_eq!(state.mounts, [BytePath::from("/proc")]);
        assert_eq!(state.bundle, Path::new("/b"));
        assert_eq!(state.key(), Some((Engine::Unknown, "/web".into())));
        // Whatever it is, process 77 did not start then.
        assert_eq!(state.running(), None);
    }

    #[test]
    fn a_status_file_of_crun() {
        let value = json!({
            "pid": 77, "process-start-time": 5, "cgroup-path": "/system.slice/crun-web.scope",
            "rootfs": "/b/rootfs", "bundle": "/nowhere",
        });
        let state = crun(&value).unwrap();
        assert_eq!(state.cgroup, "/system.slice/crun-web.scope");
        assert_eq!(state.rootfs, Path::new("/b/rootfs"));
        assert_eq!(crun(&json!({"pid": 77, "cgroup-path": ""})), None);
    }

    #[test]
    fn systemds_notation_names_a_scope() {
        assert_eq!(cgroup_of_spec("/default/web"), "/default/web");
        assert_eq!(cgroup_of_spec("a-b.slice:runc:x"), "/a.slice/a-b.slice/runc-x.scope");
        assert_eq!(cgroup_of_spec("system.slice:crun:x"), "/system.slice/crun-x.scope");
    }

    #[test]
    fn an_id_made_of_path_and_number_comes_apart() {
        assert_eq!(split_unknown_id(&unknown_id("/a#b", 7)), ("/a#b", Some(7)));
        assert_eq!(split_unknown_id("/a#b"), ("/a#b", None));
    }
}
