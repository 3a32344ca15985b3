//! Which container an event belongs to, and of which image that is.
//!
//! The control group's name carries the container's ID; the engine that made
//! it says the rest. Engines are asked only for names: nothing here is needed
//! to see what a container does.

mod cgroup;
pub mod docker;
mod json;
mod podman;
mod registry;
pub mod snapshot;

use std::path::PathBuf;

pub use cgroup::identify;
pub use registry::{FindError, Registry, RegistryError};

use crate::profile::{BytePath, ImageId};

/// Who made a container, by the naming scheme of its control group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// Docker (moby).
    Docker,
    /// Podman.
    Podman,
    /// A CRI runtime: containerd or CRI-O under Kubernetes.
    Cri,
}

/// What an engine says of a container.
#[derive(Debug, Clone, Default)]
pub struct ContainerInfo {
    /// Full ID.
    pub id: String,
    /// Name, without a leading slash.
    pub name: String,
    /// Its image.
    pub image: ImageId,
    /// First process, while it runs.
    pub pid: Option<i32>,
    /// Mount points inside it.
    pub mounts: Vec<BytePath>,
    /// The rootfs as the host sees it, where the engine tells.
    pub rootfs: Option<PathBuf>,
}
