//! What the engines know of containers, remembered beyond the containers'
//! lives.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::docker::{Docker, DockerError, escape};
use super::json::{text, texts};
use super::{ContainerInfo, Engine, podman};
use crate::profile::{BytePath, ImageId};

/// How long a container may stay unknown to its engine.
const PATIENCE: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(20);

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
    #[error("no running container is called {0}; see `docker ps` or `podman ps`")]
    Unknown(String),
    /// More than one fits.
    #[error("{0} fits {1} containers; give the full ID")]
    Ambiguous(String, usize),
    /// It is there but does not run.
    #[error("container {0} does not run; start it first, or use `profiler run -- COMMAND`")]
    Stopped(String),
}

/// Answers by container ID.
type Known = Arc<Mutex<HashMap<String, ContainerInfo>>>;

/// See the module.
pub struct Registry {
    docker: Option<Docker>,
    known: Known,
    listener: Option<JoinHandle<()>>,
}

impl Registry {
    /// Begins to listen. On return no container's creation is missed. An
    /// engine that does not run is left out.
    ///
    /// # Errors
    /// When Docker is there but refuses to tell.
    pub async fn start() -> Result<Self, RegistryError> {
        let known = Known::default();
        let docker = Docker::from_env()?;
        let filters = "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22create%22%2C%22start%22%5D%7D";
        let events = match docker.get_stream(&format!("/events?filters={filters}")).await {
            Ok(events) => events,
            Err(DockerError::NotRunning { socket, source }) => {
                log::info!("no Docker daemon at {}: {source}", socket.display());
                return Ok(Self { docker: None, known, listener: None });
            }
            Err(error) => return Err(error.into()),
        };
        let listener = tokio::spawn(listen(docker.clone(), events, Arc::clone(&known)));
        Ok(Self { docker: Some(docker), known, listener: Some(listener) })
    }

    /// IDs of the containers that run now.
    pub async fn running(&self) -> BTreeSet<String> {
        let mut ids: BTreeSet<String> = podman::all().into_iter().collect();
        if let Some(docker) = &self.docker {
            match docker.get_json("/containers/json").await {
                Ok(Value::Array(list)) => {
                    ids.extend(list.iter().filter_map(|one| text(one, "/Id")));
                }
                Ok(_) => {}
                Err(error) => log::warn!("cannot list running containers: {error}"),
            }
        }
        ids
    }

    /// Finds out about a container; waits a little for an engine that is
    /// behind its own events.
    pub async fn resolve(&self, engine: Engine, id: &str) -> Option<ContainerInfo> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(info) = self.known.lock().expect("no panic under the lock").get(id) {
                return Some(info.clone());
            }
            let found = match engine {
                Engine::Docker => match &self.docker {
                    Some(docker) => inspect(docker, id).await.ok(),
                    None => None,
                },
                Engine::Podman => podman::find(id).into_iter().next(),
                Engine::Cri => None,
            };
            if let Some(info) = found {
                self.known.lock().expect("no panic under the lock").insert(id.into(), info.clone());
                return Some(info);
            }
            if tokio::time::Instant::now() > deadline {
                return None;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Finds a running container by name or ID.
    ///
    /// # Errors
    /// See [`FindError`].
    pub async fn find(&self, name: &str) -> Result<(Engine, ContainerInfo), FindError> {
        let mut found = Vec::new();
        if let Some(docker) = &self.docker
            && let Ok(info) = inspect(docker, name).await
        {
            found.push((Engine::Docker, info));
        }
        found.extend(podman::find(name).into_iter().map(|info| (Engine::Podman, info)));
        match found.len() {
            0 => Err(FindError::Unknown(name.into())),
            1 => {
                let (engine, info) = found.remove(0);
                if info.pid.is_none() {
                    return Err(FindError::Stopped(name.into()));
                }
                Ok((engine, info))
            }
            several => Err(FindError::Ambiguous(name.into(), several)),
        }
    }

    /// Stops listening.
    pub async fn shutdown(self) {
        if let Some(listener) = self.listener {
            listener.abort();
            let _ = listener.await;
        }
    }
}

/// Asks about every container as it is created: one that lives 20 ms and is
/// removed is gone when the kernel's first event of it is read.
async fn listen(docker: Docker, mut events: hyper::body::Incoming, known: Known) {
    let mut pending = Vec::new();
    while let Some(Ok(frame)) = events.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        pending.extend_from_slice(&data);
        while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let Ok(event) = serde_json::from_slice::<Value>(&line) else { continue };
            let Some(id) = text(&event, "/Actor/ID") else { continue };
            let (docker, known) = (docker.clone(), Arc::clone(&known));
            tokio::spawn(async move {
                match inspect(&docker, &id).await {
                    Ok(info) => {
                        known.lock().expect("no panic under the lock").insert(id, info);
                    }
                    Err(error) => log::info!("container {id} could not be inspected: {error}"),
                }
            });
        }
    }
    log::info!("the Docker daemon ended its event stream");
}

async fn inspect(docker: &Docker, name: &str) -> Result<ContainerInfo, DockerError> {
    let container = docker.get_json(&format!("/containers/{}/json", escape(name, ""))).await?;
    let image_id = text(&container, "/Image").unwrap_or_default();
    let image = docker.get_json(&format!("/images/{image_id}/json")).await.unwrap_or_default();
    let mounts = container
        .pointer("/Mounts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|mount| text(mount, "/Destination"))
        .map(|path| BytePath::from(path.as_str()))
        .collect();
    Ok(ContainerInfo {
        id: text(&container, "/Id").unwrap_or_default(),
        name: text(&container, "/Name").unwrap_or_default().trim_start_matches('/').to_owned(),
        image: ImageId {
            reference: text(&container, "/Config/Image").unwrap_or_else(|| image_id.clone()),
            id: image_id,
            diff_ids: texts(&image, "/RootFS/Layers"),
            os: text(&image, "/Os").unwrap_or_default(),
            architecture: text(&image, "/Architecture").unwrap_or_default(),
        },
        pid: container
            .pointer("/State/Pid")
            .and_then(Value::as_i64)
            .filter(|&pid| pid > 0)
            .map(|pid| pid as i32),
        mounts,
        rootfs: text(&container, "/GraphDriver/Data/MergedDir").map(Into::into),
    })
}
