//! The Container Runtime Interface of Kubernetes: containerd and CRI-O.
//!
//! Declared after `pkg/apis/runtime/v1/api.proto` of kubernetes/cri-api. The
//! verbose `info` of an answer is JSON and not part of the interface; both
//! runtimes give `pid`, `runtimeSpec`, `image` and an image's `imageSpec`.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use prost::Message;
use serde_json::Value;

use super::ContainerInfo;
use super::grpc::{Client, GrpcError};
use super::json::{text, texts};
use super::oci::destinations;
use crate::profile::{BytePath, ImageId};

/// The variable by which `crictl` is told, too.
const VARIABLE: &str = "CONTAINER_RUNTIME_ENDPOINT";
const SOCKETS: [&str; 3] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/crio/crio.sock",
];

/// `CONTAINER_RUNNING`.
const RUNNING: i32 = 1;

/// The sockets to ask: what `CONTAINER_RUNTIME_ENDPOINT` names, else the
/// usual ones that are there.
pub fn sockets() -> Vec<PathBuf> {
    match std::env::var(VARIABLE) {
        Ok(endpoint) if !endpoint.is_empty() => {
            vec![endpoint.strip_prefix("unix://").unwrap_or(&endpoint).into()]
        }
        _ => SOCKETS.iter().map(PathBuf::from).filter(|path| path.exists()).collect(),
    }
}

/// A runtime that answers.
#[derive(Debug, Clone)]
pub struct Cri(Client);

impl Cri {
    /// Every runtime of this machine that listens.
    pub async fn all() -> Vec<Self> {
        let mut found = Vec::new();
        for socket in sockets() {
            match Client::connect(&socket, VARIABLE).await {
                Ok(client) => found.push(Self(client)),
                Err(error) => log::info!("{error}"),
            }
        }
        found
    }

    /// Name and version, e.g. `containerd 1.6.20`.
    ///
    /// # Errors
    /// See [`GrpcError`].
    pub async fn version(&self) -> Result<String, GrpcError> {
        let answer: VersionResponse =
            self.0.ask("/runtime.v1.RuntimeService/Version", ById::default(), None).await?;
        Ok(format!("{} {}", answer.runtime_name, answer.runtime_version))
    }

    /// IDs of the containers that run.
    ///
    /// # Errors
    /// See [`GrpcError`].
    pub async fn running(&self) -> Result<BTreeSet<String>, GrpcError> {
        let method = "/runtime.v1.RuntimeService/ListContainers";
        let answer: ListContainersResponse = self.0.ask(method, Empty {}, None).await?;
        let running = answer.containers.into_iter().filter(|one| one.state == RUNNING);
        let mut ids: BTreeSet<String> = running.map(|one| one.id).collect();
        let method = "/runtime.v1.RuntimeService/ListPodSandbox";
        let answer: ListPodSandboxResponse = self.0.ask(method, Empty {}, None).await?;
        ids.extend(answer.items.into_iter().map(|one| one.id));
        Ok(ids)
    }

    /// Containers of that name, or whose ID begins so: full IDs.
    ///
    /// # Errors
    /// See [`GrpcError`].
    pub async fn named(&self, name: &str) -> Result<Vec<String>, GrpcError> {
        let method = "/runtime.v1.RuntimeService/ListContainers";
        let answer: ListContainersResponse = self.0.ask(method, Empty {}, None).await?;
        let fits = |one: &Listed| {
            (name.len() >= 3 && one.id.starts_with(name))
                || one.metadata.as_ref().is_some_and(|metadata| metadata.name == name)
        };
        Ok(answer.containers.into_iter().filter(fits).map(|one| one.id).collect())
    }

    /// What it knows of a container or, failing that, of a pod's sandbox,
    /// which is a container of the pause image.
    ///
    /// # Errors
    /// See [`GrpcError`].
    pub async fn container(&self, id: &str) -> Result<ContainerInfo, GrpcError> {
        let question = || ById { id: id.into(), verbose: true };
        let method = "/runtime.v1.RuntimeService/ContainerStatus";
        match self.0.ask::<_, StatusResponse>(method, question(), None).await {
            Ok(answer) => {
                let status = answer.status.unwrap_or_default();
                let info = info_of(&answer.info);
                let reference = status.image.unwrap_or_default().image;
                let listed = status.mounts.into_iter();
                let listed = listed.map(|mount| BytePath::from(mount.container_path.as_str()));
                let mut mounts = destinations(info.pointer("/runtimeSpec/mounts"));
                mounts.extend(listed);
                mounts.sort();
                mounts.dedup();
                Ok(ContainerInfo {
                    id: id.into(),
                    name: status.metadata.unwrap_or_default().name,
                    image: self.image(&reference, &status.image_ref).await?,
                    pid: pid(&info),
                    mounts,
                })
            }
            Err(error) if error.is_not_found() => self.sandbox(question()).await,
            Err(error) => Err(error),
        }
    }

    async fn sandbox(&self, question: ById) -> Result<ContainerInfo, GrpcError> {
        let id = question.id.clone();
        let method = "/runtime.v1.RuntimeService/PodSandboxStatus";
        let answer: SandboxResponse = self.0.ask(method, question, None).await?;
        let info = info_of(&answer.info);
        let image = text(&info, "/image").unwrap_or_default();
        let metadata = answer.status.and_then(|status| status.metadata).unwrap_or_default();
        Ok(ContainerInfo {
            id,
            name: metadata.name,
            image: self.image(&image, "").await?,
            pid: pid(&info),
            mounts: destinations(info.pointer("/runtimeSpec/mounts")),
        })
    }

    /// An image by the reference a container was made from, or by the one the
    /// runtime resolved it to. An image's ID is its config's digest.
    async fn image(&self, reference: &str, resolved: &str) -> Result<ImageId, GrpcError> {
        let mut id = ImageId { reference: reference.into(), ..ImageId::default() };
        let method = "/runtime.v1.ImageService/ImageStatus";
        for name in [resolved, reference] {
            if name.is_empty() {
                continue;
            }
            let question =
                ImageStatusRequest { image: Some(ImageSpec { image: name.into() }), verbose: true };
            let answer: ImageStatusResponse = self.0.ask(method, question, None).await?;
            let Some(image) = answer.image else { continue };
            let info = info_of(&answer.info);
            // A kubelet passes the ID for a reference.
            if (reference.is_empty() || reference.starts_with("sha256:"))
                && let Some(tag) = image.repo_tags.first().or(image.repo_digests.first())
            {
                id.reference.clone_from(tag);
            }
            // CRI-O leaves the algorithm out.
            id.id = match image.id.split_once(':') {
                Some(_) => image.id,
                None => format!("sha256:{}", image.id),
            };
            id.diff_ids = texts(&info, "/imageSpec/rootfs/diff_ids");
            id.os = text(&info, "/imageSpec/os").unwrap_or_default();
            id.architecture = text(&info, "/imageSpec/architecture").unwrap_or_default();
            break;
        }
        Ok(id)
    }
}

fn info_of(map: &HashMap<String, String>) -> Value {
    map.get("info").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn pid(info: &Value) -> Option<i32> {
    let pid = info.get("pid")?.as_i64().filter(|&pid| pid > 0)?;
    i32::try_from(pid).ok()
}

/// Questions without parameters.
#[derive(Clone, PartialEq, Message)]
struct Empty {}

/// `ContainerStatusRequest`, `PodSandboxStatusRequest`, `VersionRequest`.
#[derive(Clone, PartialEq, Message)]
struct ById {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(bool, tag = "2")]
    verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
struct VersionResponse {
    #[prost(string, tag = "2")]
    runtime_name: String,
    #[prost(string, tag = "3")]
    runtime_version: String,
}

#[derive(Clone, PartialEq, Message)]
struct ListPodSandboxResponse {
    #[prost(message, repeated, tag = "1")]
    items: Vec<ListedSandbox>,
}

#[derive(Clone, PartialEq, Message)]
struct ListedSandbox {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct ListContainersResponse {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<Listed>,
}

#[derive(Clone, PartialEq, Message)]
struct Listed {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "3")]
    metadata: Option<Metadata>,
    #[prost(int32, tag = "6")]
    state: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<ContainerStatus>,
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerStatus {
    #[prost(message, optional, tag = "2")]
    metadata: Option<Metadata>,
    #[prost(message, optional, tag = "8")]
    image: Option<ImageSpec>,
    #[prost(string, tag = "9")]
    image_ref: String,
    #[prost(message, repeated, tag = "14")]
    mounts: Vec<Mount>,
}

#[derive(Clone, PartialEq, Message)]
struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
}

#[derive(Clone, PartialEq, Message)]
struct Mount {
    #[prost(string, tag = "1")]
    container_path: String,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<SandboxStatus>,
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct SandboxStatus {
    #[prost(message, optional, tag = "2")]
    metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct ImageStatusRequest {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageSpec>,
    #[prost(bool, tag = "2")]
    verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
struct ImageStatusResponse {
    #[prost(message, optional, tag = "1")]
    image: Option<Image>,
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, repeated, tag = "2")]
    repo_tags: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    repo_digests: Vec<String>,
}
