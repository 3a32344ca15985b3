//! containerd's own interface: containers, images and content by namespace.
//!
//! Declared after `api/services/{containers,images,content,namespaces,tasks,
//! events}/v1/*.proto`, `api/types/descriptor.proto` and
//! `api/events/container.proto` of containerd (the same numbers from 1.2 to 2).

use std::path::PathBuf;

use prost::Message;
use serde_json::Value;
use tonic::Streaming;

use super::ContainerInfo;
use super::grpc::Client;
pub use super::grpc::GrpcError;
use super::json::{text, texts};
use super::oci::{cgroup_of_spec, destinations, key_of_path};
use crate::profile::ImageId;

/// The variable by which `ctr` is told, too.
const VARIABLE: &str = "CONTAINERD_ADDRESS";
const SOCKETS: [&str; 2] =
    ["/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock"];

/// Docker's containers, which Docker knows better.
const DOCKERS_NAMESPACE: &str = "moby";

/// Most nested indexes followed to a manifest.
const INDEX_DEPTH: u32 = 4;

/// The socket to ask: what `CONTAINERD_ADDRESS` names, else a usual one.
pub fn socket() -> PathBuf {
    match std::env::var(VARIABLE) {
        Ok(address) if !address.is_empty() => {
            address.strip_prefix("unix://").unwrap_or(&address).into()
        }
        _ => SOCKETS
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .unwrap_or_else(|| SOCKETS[0].into()),
    }
}

/// A containerd that answers.
#[derive(Debug, Clone)]
pub struct Containerd(Client);

impl Containerd {
    /// Connects to [`socket`].
    ///
    /// # Errors
    /// [`GrpcError::NotRunning`].
    pub async fn connect() -> Result<Self, GrpcError> {
        Ok(Self(Client::connect(&socket(), VARIABLE).await?))
    }

    /// Its version, e.g. `1.6.20`.
    ///
    /// # Errors
    /// See [`GrpcError`].
    pub async fn version(&self) -> Result<String, GrpcError> {
        let answer: VersionResponse =
            self.0.ask("/containerd.services.version.v1.Version/Version", Empty {}, None).await?;
        Ok(answer.version)
    }

    /// Its namespaces but Docker's.
    ///
    /// # Errors
    /// See [`GrpcError`].
    pub async fn namespaces(&self) -> Result<Vec<String>, GrpcError> {
        let method = "/containerd.services.namespaces.v1.Namespaces/List";
        let answer: ListNamespacesResponse = self.0.ask(method, Empty {}, None).await?;
        let names = answer.namespaces.into_iter().map(|namespace| namespace.name);
        Ok(names.filter(|name| name != DOCKERS_NAMESPACE).collect())
    }

    /// The IDs of a namespace's containers.
    ///
    /// # Errors
    /// See [`GrpcError`].
    pub async fn ids(&self, namespace: &str) -> Result<Vec<String>, GrpcError> {
        let method = "/containerd.services.containers.v1.Containers/List";
        let answer: ListContainersResponse = self.0.ask(method, Empty {}, Some(namespace)).await?;
        Ok(answer.containers.into_iter().map(|container| container.id).collect())
    }

    /// What it knows of a container; the ID is the one by which its events
    /// are known. A container made from no image has its ID for a reference.
    ///
    /// # Errors
    /// See [`GrpcError`].
    pub async fn container(&self, namespace: &str, id: &str) -> Result<ContainerInfo, GrpcError> {
        let method = "/containerd.services.containers.v1.Containers/Get";
        let question = GetByName { name: id.into() };
        let answer: GetContainerResponse = self.0.ask(method, question, Some(namespace)).await?;
        let container = answer.container.unwrap_or_default();
        let spec: Value = container
            .spec
            .and_then(|any| serde_json::from_slice(&any.value).ok())
            .unwrap_or_default();
        let cgroup = match text(&spec, "/linux/cgroupsPath").filter(|path| !path.is_empty()) {
            Some(path) => cgroup_of_spec(&path),
            // The runtime's default.
            None => format!("/{id}"),
        };
        let key = key_of_path(&cgroup).map_or_else(|| cgroup.clone(), |(_, id)| id);
        let image = if container.image.is_empty() {
            ImageId { reference: format!("{namespace}/{id}"), ..ImageId::default() }
        } else {
            self.image(namespace, &container.image).await?
        };
        Ok(ContainerInfo {
            id: key,
            name: id.into(),
            image,
            pid: self.pid(namespace, id).await,
            mounts: destinations(spec.get("mounts")),
        })
    }

    /// First process of a container, while it runs.
    async fn pid(&self, namespace: &str, id: &str) -> Option<i32> {
        let method = "/containerd.services.tasks.v1.Tasks/Get";
        let question = GetByName { name: id.into() };
        let answer: Result<GetTaskResponse, _> =
            self.0.ask(method, question, Some(namespace)).await;
        let pid = answer.ok()?.process?.pid;
        i32::try_from(pid).ok().filter(|&pid| pid > 0)
    }

    /// An image by its name: from the manifest to the config, whose digest
    /// identifies the image in every engine.
    async fn image(&self, namespace: &str, name: &str) -> Result<ImageId, GrpcError> {
        let method = "/containerd.services.images.v1.Images/Get";
        let question = GetByName { name: name.into() };
        let mut id = ImageId { reference: name.into(), ..ImageId::default() };
        let answer: GetImageResponse = match self.0.ask(method, question, Some(namespace)).await {
            Ok(answer) => answer,
            // Removed under the container.
            Err(error) if error.is_not_found() => return Ok(id),
            Err(error) => return Err(error),
        };
        let target = answer.image.and_then(|image| image.target).unwrap_or_default();
        if let Some((digest, config)) = self.config(namespace, target.digest).await? {
            id.id = digest;
            id.diff_ids = texts(&config, "/rootfs/diff_ids");
            id.os = text(&config, "/os").unwrap_or_default();
            id.architecture = text(&config, "/architecture").unwrap_or_default();
        }
        Ok(id)
    }

    /// Digest and text of the config that a manifest or index leads to.
    async fn config(
        &self,
        namespace: &str,
        digest: String,
    ) -> Result<Option<(String, Value)>, GrpcError> {
        // Depth first; of an index's manifests this machine's come first, and
        // only those that were pulled are there.
        let mut waiting = vec![(digest, 0)];
        while let Some((digest, depth)) = waiting.pop() {
            let manifest = match self.json(namespace, &digest).await {
                Ok(manifest) => manifest,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error),
            };
            if let Some(digest) = text(&manifest, "/config/digest") {
                let config = self.json(namespace, &digest).await?;
                return Ok(Some((digest, config)));
            }
            if depth < INDEX_DEPTH {
                let mut manifests: Vec<&Value> = manifest
                    .get("manifests")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    // Attestations beside the images.
                    .filter(|one| text(one, "/platform/os").as_deref() != Some("unknown"))
                    .collect();
                manifests.sort_by_key(|one| {
                    text(one, "/platform/architecture").as_deref() == Some(architecture())
                });
                let digests = manifests.into_iter().filter_map(|one| text(one, "/digest"));
                waiting.extend(digests.map(|digest| (digest, depth + 1)));
            }
        }
        Ok(None)
    }

    async fn json(&self, namespace: &str, digest: &str) -> Result<Value, GrpcError> {
        let method = "/containerd.services.content.v1.Content/Read";
        let question = ReadContentRequest { digest: digest.into() };
        let mut answers: Streaming<ReadContentResponse> =
            self.0.listen(method, question, Some(namespace)).await?;
        let mut bytes = Vec::new();
        loop {
            match answers.message().await {
                Ok(Some(answer)) => bytes.extend_from_slice(&answer.data),
                Ok(None) => break,
                Err(status) => return Err(self.0.refused(method, status)),
            }
        }
        // What is no JSON has nothing to tell.
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Announcements of new containers.
    ///
    /// # Errors
    /// See [`GrpcError`].
    pub async fn creations(&self) -> Result<Creations, GrpcError> {
        let question = SubscribeRequest { filters: vec![r#"topic=="/containers/create""#.into()] };
        let method = "/containerd.services.events.v1.Events/Subscribe";
        Ok(Creations(self.0.listen(method, question, None).await?))
    }
}

/// See [`Containerd::creations`].
pub struct Creations(Streaming<Envelope>);

impl Creations {
    /// Namespace and ID of the next; none when the stream ended. Safe to
    /// cancel.
    pub async fn next(&mut self) -> Option<(String, String)> {
        loop {
            let envelope = match self.0.message().await {
                Ok(envelope) => envelope?,
                Err(status) => {
                    log::info!("containerd ended its event stream: {}", status.message());
                    return None;
                }
            };
            let event = envelope.event.unwrap_or_default();
            if let Ok(create) = GetByName::decode(event.value.as_slice())
                && envelope.namespace != DOCKERS_NAMESPACE
            {
                return Some((envelope.namespace, create.name));
            }
        }
    }
}

/// This machine's architecture by the name that images use (GOARCH).
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Questions without parameters.
#[derive(Clone, PartialEq, Message)]
struct Empty {}

/// `GetContainerRequest.id`, `GetImageRequest.name`, `GetRequest.container_id`
/// of a task, and `ContainerCreate.id` of an event are all field 1.
#[derive(Clone, PartialEq, Message)]
struct GetByName {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct VersionResponse {
    #[prost(string, tag = "1")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct ListNamespacesResponse {
    #[prost(message, repeated, tag = "1")]
    namespaces: Vec<GetByName>,
}

#[derive(Clone, PartialEq, Message)]
struct ListContainersResponse {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<Container>,
}

#[derive(Clone, PartialEq, Message)]
struct GetContainerResponse {
    #[prost(message, optional, tag = "1")]
    container: Option<Container>,
}

#[derive(Clone, PartialEq, Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "3")]
    image: String,
    #[prost(message, optional, tag = "5")]
    spec: Option<Any>,
}

/// `google.protobuf.Any`; containerd puts specs in as JSON.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct GetTaskResponse {
    #[prost(message, optional, tag = "1")]
    process: Option<Task>,
}

/// `containerd.v1.types.Process`.
#[derive(Clone, PartialEq, Message)]
struct Task {
    #[prost(uint32, tag = "3")]
    pid: u32,
}

#[derive(Clone, PartialEq, Message)]
struct GetImageResponse {
    #[prost(message, optional, tag = "1")]
    image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(message, optional, tag = "3")]
    target: Option<Descriptor>,
}

#[derive(Clone, PartialEq, Message)]
struct Descriptor {
    #[prost(string, tag = "2")]
    digest: String,
}

#[derive(Clone, PartialEq, Message)]
struct ReadContentRequest {
    #[prost(string, tag = "1")]
    digest: String,
}

#[derive(Clone, PartialEq, Message)]
struct ReadContentResponse {
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SubscribeRequest {
    #[prost(string, repeated, tag = "1")]
    filters: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(string, tag = "2")]
    namespace: String,
    #[prost(message, optional, tag = "4")]
    event: Option<Any>,
}
