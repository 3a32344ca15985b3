//! Which container an event belongs to, and of which image that is.
//!
//! The control group's name carries the container's ID, or leads to the state
//! file of the runtime that made it; the engine says the rest. Engines are
//! asked only for names: nothing here is needed to see what a container does.
//!
//! ```text
//! cgroup      control group names -> engine and ID
//! docker      Docker's interface              ┐
//! podman      containers/storage on disk      │ registry: asks, listens,
//! containerd  containerd's own interface      │ remembers
//! cri         containerd and CRI-O, CRI       │
//! oci         state files of runc and crun    │
//! runtime     command lines of runc and crun   │
//! unread      those that were gone too early  ┘
//! snapshot    what a running container has open
//! ```

mod cgroup;
pub mod containerd;
pub mod cri;
pub mod docker;
mod grpc;
mod inotify;
mod json;
pub mod oci;
mod podman;
mod registry;
mod runtime;
pub mod snapshot;
mod unread;

pub use cgroup::{Group, group_of, identify, identify_path, identify_pid};
pub use registry::{FindError, Registry, RegistryError};

use serde::{Deserialize, Serialize};

use crate::profile::{BytePath, ImageId};

/// Who made a container, by the naming scheme of its control group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Docker (moby).
    Docker,
    /// Podman.
    Podman,
    /// A CRI runtime: containerd or CRI-O under Kubernetes.
    Cri,
    /// The name does not tell: containerd's plain containers, bare runc or
    /// crun, or no container at all. The ID is the control group's path.
    Unknown,
}

/// What an engine says of a container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ContainerInfo {
    /// Full ID; the control group's path for [`Engine::Unknown`], whose
    /// names are not unique on the machine.
    pub id: String,
    /// Name, without a leading slash.
    pub name: String,
    /// Its image.
    pub image: ImageId,
    /// First process, while it runs.
    pub pid: Option<i32>,
    /// Mount points inside it.
    pub mounts: Vec<BytePath>,
}
