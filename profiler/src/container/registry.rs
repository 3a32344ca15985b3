//! What the engines know of containers, remembered beyond the containers'
//! lives.

mod listen;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;

use super::containerd::Containerd;
use super::cri::Cri;
use super::docker::{Docker, DockerError, escape};
use super::inotify::Change;
use super::json::{text, texts};
use super::oci::{State, States, split_unknown_id};
use super::{ContainerInfo, Engine, identify_path, podman};
use crate::profile::{BytePath, ImageId};

/// How long a container may stay unknown to its engine.
const PATIENCE: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(20);

/// The same for what may be no container at all. A runtime writes its state
/// file before the container's program runs, so this is for a slow machine.
const PATIENCE_UNKNOWN: Duration = Duration::from_secs(1);

/// Why the engines could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// See [`DockerError`].
    #[error(transparent)]
    Docker(#[from] DockerError),
}

/// Why a container was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No engine knows it.
    #[error(
        "no running container is called {0}; see `docker ps`, `podman ps`, `crictl ps`, `ctr containers ls` or `runc list`"
    )]
    Unknown(String),
    /// More than one fits.
    #[error("{0} fits {1} containers; give the full ID")]
    Ambiguous(String, usize),
    /// It is there but does not run.
    #[error("container {0} does not run; start it first, or use `profiler run -- COMMAND`")]
    Stopped(String),
}

/// What was learnt, by several listeners at once.
#[derive(Default)]
struct Known {
    /// Answers by the ID under which a container's events are known.
    infos: Mutex<HashMap<String, ContainerInfo>>,
    /// Names of images by the ID of Docker's container.
    references: Mutex<HashMap<String, String>>,
    /// containerd's answers by namespace and its own ID.
    containerd: Mutex<HashMap<(String, String), ContainerInfo>>,
    /// What OCI runtimes' state files said, in the order in which they
    /// appeared.
    states: Mutex<Vec<State>>,
    /// Which of them were read. Held for as long as that takes: by none but
    /// the thread that watches them, which must not wait for others.
    state_files: Mutex<States>,
}

impl Known {
    fn get(&self, id: &str) -> Option<ContainerInfo> {
        self.infos.lock().expect("no panic under the lock").get(id).cloned()
    }

    fn put(&self, id: &str, info: ContainerInfo) {
        self.infos.lock().expect("no panic under the lock").insert(id.into(), info);
    }

    /// Reads the state files that the changes tell of. Where they tell of
    /// something else, reads all that are new and returns true.
    fn read_states(&self, changes: &[Change]) -> bool {
        let mut reader = self.state_files.lock().expect("no panic under the lock");
        // Nothing more than that: the next may be gone in a millisecond.
        let mut elsewhere = changes.is_empty();
        for change in changes {
            match reader.changed(&change.path, change.is_directory) {
                Some(new) => self.add_states(new),
                None => elsewhere = true,
            }
        }
        if elsewhere {
            self.add_states(reader.new_ones());
        }
        elsewhere
    }

    fn add_states(&self, new: Vec<State>) {
        let mut states = self.states.lock().expect("no panic under the lock");
        for new in new {
            // Read before its control group was there, or written again.
            let same = |old: &State| {
                (&old.cgroup, old.pid, old.pid_start) == (&new.cgroup, new.pid, new.pid_start)
            };
            // The newest of those that were announced has become this one.
            if new.pid != 0
                && let Some(place) = states.iter().rposition(|old| {
                    old.pid == 0 && (&old.id, &old.bundle) == (&new.id, &new.bundle)
                })
            {
                states.remove(place);
            }
            if new.cgroup_id.is_some() {
                states.retain(|old| !same(old));
            } else if states.iter().any(same) {
                continue;
            }
            states.push(new);
        }
    }

    /// The container of a control group. One whose group was gone when its
    /// state was read is known by path and first process; one whose state was
    /// never read by the path alone, if nothing else of that path can be it.
    fn state(&self, path: &str, number: Option<u64>, pid: u32) -> Option<State> {
        let states = self.states.lock().expect("no panic under the lock");
        let mut here = states.iter().rev().filter(|state| state.cgroup == path);
        match number {
            None => here.next().cloned(),
            Some(_) => {
                let here: Vec<&State> = here.collect();
                let exact = here.iter().find(|state| state.cgroup_id == number);
                let mut groupless = here.iter().filter(|state| state.cgroup_id.is_none());
                let by_process = groupless.find(|state| u32::try_from(state.pid) == Ok(pid));
                let mut announced = here.iter().filter(|state| state.pid == 0);
                let first = announced.next().filter(|state| !state.bundle.as_os_str().is_empty());
                let alone = first.filter(|first| announced.all(|one| one.bundle == first.bundle));
                exact.or(by_process).or(alone).map(|&state| state.clone())
            }
        }
    }

    /// Reads Podman's containers whose image is not known.
    fn read_podman(&self) {
        for info in podman::those(|id| self.get(id).is_none()) {
            self.put(&info.id.clone(), info);
        }
    }
}

/// See the module.
pub struct Registry {
    docker: Docker,
    known: Arc<Known>,
    listeners: Vec<JoinHandle<()>>,
}

impl Registry {
    /// Begins to listen. On return no container's creation is missed. An
    /// engine that does not run is left out until it does.
    ///
    /// # Errors
    /// When Docker is there but refuses to tell.
    pub async fn start() -> Result<Self, RegistryError> {
        let known = Arc::new(Known::default());
        let docker = Docker::from_env()?;
        listen::podman(&known);
        listen::states(&known);
        let listeners = vec![
            listen::docker(docker.clone(), Arc::clone(&known)).await?,
            listen::containerd(Arc::clone(&known)).await,
        ];
        Ok(Self { docker, known, listeners })
    }

    /// IDs of the containers that run now.
    pub async fn running(&self) -> BTreeSet<String> {
        let mut ids: BTreeSet<String> = podman::all().into_iter().collect();
        match self.docker.get_json("/containers/json").await {
            Ok(Value::Array(list)) => ids.extend(list.iter().filter_map(|one| text(one, "/Id"))),
            Ok(_) | Err(DockerError::NotRunning { .. }) => {}
            Err(error) => log::warn!("cannot list running containers: {error}"),
        }
        for cri in Cri::all().await {
            match cri.running().await {
                Ok(running) => ids.extend(running),
                Err(error) => log::info!("{error}"),
            }
        }
        ids.extend(self.containerds().await.into_iter().map(|info| info.id));
        ids.extend(States::all().iter().filter_map(|state| Some(state.key()?.1)));
        ids
    }

    /// Finds out about a container; waits a little for an engine that is
    /// behind its own events. Nothing for a group of [`Engine::Unknown`] that
    /// is no container. `pid` is the process by which it was seen.
    pub async fn resolve(&self, engine: Engine, id: &str, pid: u32) -> Option<ContainerInfo> {
        let patience = match engine {
            Engine::Unknown => {
                let (path, _) = split_unknown_id(id);
                let nested = identify_path(path).is_some_and(|group| !group.around.is_empty());
                // The state of a runtime inside a container is not here.
                if nested { Duration::ZERO } else { PATIENCE_UNKNOWN }
            }
            _ => PATIENCE,
        };
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let known = self.known.get(id);
            // Podman lists a container before it writes the mounts down.
            if known.is_some() && (engine != Engine::Podman || !known_bare(&known)) {
                return known;
            }
            if let Some(mut info) = self.ask(engine, id, pid).await {
                info.id = id.into();
                self.known.put(id, info.clone());
                return Some(info);
            }
            if known.is_some() || tokio::time::Instant::now() > deadline {
                return known;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn ask(&self, engine: Engine, id: &str, pid: u32) -> Option<ContainerInfo> {
        match engine {
            Engine::Docker => match inspect(&self.docker, id).await {
                Ok(info) => Some(info),
                // A bare ID below a parent of somebody's choice.
                Err(error) => {
                    log::debug!("{error}");
                    self.containerds().await.into_iter().find(|info| info.id == id)
                }
            },
            Engine::Podman => podman::find(id).into_iter().next(),
            Engine::Cri => self.kubernetes(id).await,
            Engine::Unknown => self.unknown(id, pid).await,
        }
    }

    /// A pod's container: of a CRI runtime, or Docker's own under cri-dockerd.
    async fn kubernetes(&self, id: &str) -> Option<ContainerInfo> {
        for cri in Cri::all().await {
            match cri.container(id).await {
                Ok(info) => return Some(info),
                Err(error) => log::debug!("{error}"),
            }
        }
        inspect(&self.docker, id).await.ok()
    }

    /// A container by its control group, through the state file of the
    /// runtime that made it, or as containerd announced it.
    async fn unknown(&self, id: &str, pid: u32) -> Option<ContainerInfo> {
        let (path, number) = split_unknown_id(id);
        let Some(state) = self.known.state(path, number, pid) else { return self.known.get(path) };
        match &state.namespace {
            None => state.info(),
            Some(namespace) => {
                let key = (namespace.clone(), state.id.clone());
                let known = self
                    .known
                    .containerd
                    .lock()
                    .expect("no panic under the lock")
                    .get(&key)
                    .cloned();
                let info = match known {
                    Some(info) => info,
                    None => Containerd::connect()
                        .await
                        .ok()?
                        .container(namespace, &state.id)
                        .await
                        .ok()?,
                };
                Some(ContainerInfo { pid: state.running(), ..info })
            }
        }
    }

    /// Every container that containerd knows outside of Docker.
    async fn containerds(&self) -> Vec<ContainerInfo> {
        let mut found = Vec::new();
        let Ok(containerd) = Containerd::connect().await else { return found };
        for namespace in containerd.namespaces().await.unwrap_or_default() {
            for id in containerd.ids(&namespace).await.unwrap_or_default() {
                match containerd.container(&namespace, &id).await {
                    Ok(info) => found.push(info),
                    Err(error) => log::info!("{error}"),
                }
            }
        }
        found
    }

    /// Directories of state of runtimes' containers that came and went since
    /// the start before anything could be read there.
    pub fn unread(&self) -> Vec<PathBuf> {
        self.known.state_files.lock().expect("no panic under the lock").unread()
    }

    /// The bundles of all containers whose control group had that group's
    /// path; none for those that have an image.
    pub fn bundles(&self, id: &str) -> Vec<Option<String>> {
        let (path, _) = split_unknown_id(id);
        let states = self.known.states.lock().expect("no panic under the lock");
        let here = states.iter().filter(|state| state.cgroup == path);
        here.map(|state| match state.namespace {
            Some(_) => None,
            None => Some(state.info()?.image.reference),
        })
        .collect()
    }

    /// The name of its image that a container of Docker was made with, where
    /// nothing more is known of it.
    pub fn reference(&self, id: &str) -> Option<String> {
        self.known.references.lock().expect("no panic under the lock").get(id).cloned()
    }

    /// Finds a running container by name or ID; those of containerd and of a
    /// bare runtime by the ID they were given.
    ///
    /// # Errors
    /// See [`FindError`].
    pub async fn find(&self, name: &str) -> Result<(Engine, ContainerInfo), FindError> {
        let mut found: Vec<(Engine, ContainerInfo)> = Vec::new();
        if let Ok(info) = inspect(&self.docker, name).await {
            found.push((Engine::Docker, info));
        }
        found.extend(podman::find(name).into_iter().map(|info| (Engine::Podman, info)));
        for cri in Cri::all().await {
            for id in cri.named(name).await.unwrap_or_default() {
                found.extend(cri.container(&id).await.ok().map(|info| (Engine::Cri, info)));
            }
        }
        for info in self.containerds().await {
            if info.name == name || info.id == name {
                found.push((engine_of(&info.id), info));
            }
        }
        for state in States::all() {
            if state.id == name || state.cgroup == name {
                found.extend(state.key().and_then(|(engine, id)| {
                    // Podman and containerd have told more of theirs.
                    let info = state.info()?;
                    let known = found.iter().any(|(_, one)| one.id == id);
                    (!known && engine == Engine::Unknown).then_some((engine, info))
                }));
            }
        }
        // One container as two interfaces of its engine tell it.
        found.sort_by(|a, b| (&a.1.id, a.0).cmp(&(&b.1.id, b.0)));
        found.dedup_by(|a, b| a.1.id == b.1.id);
        match found.len() {
            0 => Err(FindError::Unknown(name.into())),
            1 => {
                let (engine, info) = found.remove(0);
                match info.pid {
                    Some(_) => Ok((engine, info)),
                    None => Err(FindError::Stopped(name.into())),
                }
            }
            several => Err(FindError::Ambiguous(name.into(), several)),
        }
    }

    /// Stops listening.
    pub async fn shutdown(mut self) {
        for listener in std::mem::take(&mut self.listeners) {
            listener.abort();
            let _ = listener.await;
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.listeners.iter().for_each(JoinHandle::abort);
    }
}

/// Whether the mounts are still to come.
fn known_bare(known: &Option<ContainerInfo>) -> bool {
    known.as_ref().is_some_and(|info| info.mounts.is_empty())
}

/// The engine under which events of a container with this ID come.
fn engine_of(id: &str) -> Engine {
    if id.starts_with('/') { Engine::Unknown } else { Engine::Cri }
}

/// What an event tells of a container that is gone already.
async fn from_event(docker: &Docker, id: &str, event: &Value) -> Option<ContainerInfo> {
    let reference = text(event, "/Actor/Attributes/image")?;
    let image =
        docker.get_json(&format!("/images/{}/json", escape(&reference, "/@"))).await.ok()?;
    Some(ContainerInfo {
        id: id.into(),
        name: text(event, "/Actor/Attributes/name").unwrap_or_default(),
        image: image_id(&image, reference),
        ..ContainerInfo::default()
    })
}

/// Identity of an image from the daemon's answer.
fn image_id(image: &Value, reference: String) -> ImageId {
    ImageId {
        reference,
        id: text(image, "/Id").unwrap_or_default(),
        diff_ids: texts(image, "/RootFS/Layers"),
        os: text(image, "/Os").unwrap_or_default(),
        architecture: text(image, "/Architecture").unwrap_or_default(),
    }
}

async fn inspect(docker: &Docker, name: &str) -> Result<ContainerInfo, DockerError> {
    let container = docker.get_json(&format!("/containers/{}/json", escape(name, ""))).await?;
    let id = text(&container, "/Image").unwrap_or_default();
    let image = docker.get_json(&format!("/images/{id}/json")).await.unwrap_or_default();
    let mounts = container.pointer("/Mounts").and_then(Value::as_array);
    // Those of `--tmpfs` are listed apart.
    let tmpfs = container.pointer("/HostConfig/Tmpfs").and_then(Value::as_object);
    let mounts = mounts
        .into_iter()
        .flatten()
        .filter_map(|mount| text(mount, "/Destination"))
        .chain(tmpfs.into_iter().flat_map(|tmpfs| tmpfs.keys().cloned()))
        .map(|path| BytePath::from(path.as_str()))
        .collect();
    Ok(ContainerInfo {
        id: text(&container, "/Id").unwrap_or_default(),
        name: text(&container, "/Name").unwrap_or_default().trim_start_matches('/').to_owned(),
        image: ImageId {
            id: id.clone(),
            ..image_id(&image, text(&container, "/Config/Image").unwrap_or(id))
        },
        pid: container
            .pointer("/State/Pid")
            .and_then(Value::as_i64)
            .filter(|&pid| pid > 0)
            .map(|pid| pid as i32),
        mounts,
    })
}
