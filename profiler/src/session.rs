//! One span of watching: engines asked, programs attached, events gathered,
//! profiles made.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::capture::{CaptureError, Options, Probe, Touch};
use crate::collect::{Collector, ContainerKey, Recording};
use crate::container::{ContainerInfo, Engine, Registry, group_of, identify_path};
use crate::profile::Run;

/// Why a session could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// See [`CaptureError`].
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The ring buffer could not be polled.
    #[error("cannot read events from the kernel: {0}; the profile would not be whole, run again")]
    Poll(#[source] io::Error),
}

/// Which containers count.
#[derive(Debug, Clone)]
pub enum Filter {
    /// Those that start while the session lasts, of these images (by
    /// reference or ID; empty: all).
    Started {
        /// Image references.
        images: Vec<String>,
    },
    /// Exactly these.
    Only(Vec<ContainerKey>),
}

/// A session under way.
pub struct Session {
    registry: Arc<Registry>,
    probe: Probe,
    collector: Collector,
    filter: Filter,
    /// Containers that ran before the session began.
    earlier: BTreeSet<String>,
    resolving: JoinSet<(ContainerKey, Option<ContainerInfo>)>,
    infos: BTreeMap<ContainerKey, ContainerInfo>,
    unknown: Vec<ContainerKey>,
    started: String,
}

/// What came of a session.
#[derive(Debug)]
pub struct Outcome {
    /// One profile an image, in order of image IDs.
    pub profiles: Vec<Recording>,
    /// Containers whose image could not be found out.
    pub unattributed: Vec<ContainerKey>,
}

impl Session {
    /// Attaches the programs; the engines are listened to already. On return
    /// every touch counts.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn start(
        registry: Registry,
        filter: Filter,
        options: Options,
    ) -> Result<Self, SessionError> {
        let earlier = match filter {
            Filter::Started { .. } => registry.running().await,
            Filter::Only(_) => BTreeSet::new(),
        };
        let probe = Probe::attach(options)?;
        Ok(Self {
            registry: Arc::new(registry),
            collector: Collector::new(probe.host_dev()),
            probe,
            filter,
            earlier,
            resolving: JoinSet::new(),
            infos: BTreeMap::new(),
            unknown: Vec::new(),
            started: jiff::Timestamp::now().to_string(),
        })
    }

    /// Adds what a running container has open or mapped.
    pub fn add_snapshot(&mut self, info: &ContainerInfo, key: &ContainerKey, touches: Vec<Touch>) {
        let pid = info.pid.and_then(|pid| u32::try_from(pid).ok());
        let path = pid.and_then(group_of).and_then(|path| identify_path(&path));
        let path = path.map(|group| group.path).unwrap_or_default();
        self.collector.add_snapshot(key, &path, touches);
        self.infos.insert(key.clone(), info.clone());
    }

    /// Waits for events and takes them in; call it again and again. Safe to
    /// cancel.
    ///
    /// # Errors
    /// [`SessionError::Poll`].
    pub async fn pump(&mut self) -> Result<(), SessionError> {
        let mut new = Vec::new();
        let collector = &mut self.collector;
        let result = self.probe.next(&mut |event| new.extend(collector.take(event))).await;
        self.resolve(new);
        result.map_err(SessionError::Poll)
    }

    fn resolve(&mut self, new: Vec<ContainerKey>) {
        for key in new {
            if self.infos.contains_key(&key) {
                continue;
            }
            let registry = Arc::clone(&self.registry);
            self.resolving.spawn(async move {
                let info = registry.resolve(key.engine, &key.id).await;
                (key, info)
            });
        }
    }

    /// Stops, reads what is left, and makes the profiles. `run` is filled in
    /// with what the session knows: times, kernel, tier, losses.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn finish(mut self, mut run: Run) -> Result<Outcome, SessionError> {
        // A record is in the ring before its system call returns, so what
        // happened before this line is there to be read.
        let mut lost = self.probe.lost();
        for (cgroup, of_group) in self.probe.lost_by_group() {
            lost -= of_group;
            self.collector.add_lost(cgroup, of_group);
        }
        run.tier = self.probe.tier().to_string();
        self.probe.detach();
        let mut new = Vec::new();
        let collector = &mut self.collector;
        self.probe.drain(&mut |event| new.extend(collector.take(event)));
        self.resolve(new);
        while let Some(resolved) = self.resolving.join_next().await {
            match resolved {
                Ok((key, Some(info))) => {
                    self.infos.insert(key, info);
                }
                // A control group that turned out to be no container.
                Ok((key, None)) if key.engine == Engine::Unknown => {}
                Ok((key, None)) => self.unknown.push(key),
                Err(error) => log::warn!("looking a container up failed: {error}"),
            }
        }
        let inside = self.collector.settle(|key| self.infos.contains_key(key));
        let wanted: BTreeMap<_, _> = self
            .infos
            .into_iter()
            .filter(|(key, info)| wanted(&self.filter, &self.earlier, key, info))
            .collect();
        let mut unattributed: Vec<_> = match &self.filter {
            Filter::Only(_) => Vec::new(),
            Filter::Started { .. } => {
                self.unknown.into_iter().filter(|key| !self.earlier.contains(&key.id)).collect()
            }
        };
        lost.unattributed = unattributed.iter().map(|key| self.collector.touches(key)).sum();
        unattributed.extend(inside);
        run.lost = lost;
        run.started = self.started;
        run.ended = jiff::Timestamp::now().to_string();
        run.kernel = kernel_release();
        let profiles = self.collector.into_recordings(&wanted, &run);
        if let Some(registry) = Arc::into_inner(self.registry) {
            registry.shutdown().await;
        }
        Ok(Outcome { profiles, unattributed })
    }
}

fn wanted(
    filter: &Filter,
    earlier: &BTreeSet<String>,
    key: &ContainerKey,
    info: &ContainerInfo,
) -> bool {
    match filter {
        Filter::Only(keys) => keys.contains(key),
        Filter::Started { images } => {
            !earlier.contains(&key.id)
                && (images.is_empty() || images.iter().any(|image| names_image(image, info)))
        }
    }
}

/// Whether a user's image reference means this container's image.
fn names_image(reference: &str, info: &ContainerInfo) -> bool {
    let with_tag = |name: &str| {
        let last = name.rsplit('/').next().unwrap_or(name);
        if last.contains(':') || last.contains('@') {
            name.to_owned()
        } else {
            format!("{name}:latest")
        }
    };
    let short = |name: &str| {
        let name = name.strip_prefix("localhost/").unwrap_or(name);
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        name.strip_prefix("library/").unwrap_or(name).to_owned()
    };
    let id = info.image.id.trim_start_matches("sha256:");
    let wanted_id = reference.trim_start_matches("sha256:");
    (wanted_id.len() >= 12 && id.starts_with(wanted_id))
        || short(&with_tag(reference)) == short(&with_tag(&info.image.reference))
}

/// `uname -r`.
fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// Engine of a key, for messages.
pub fn describe(key: &ContainerKey) -> String {
    let engine = match key.engine {
        Engine::Docker => "docker",
        Engine::Podman => "podman",
        _ => "container",
    };
    format!("{engine} {}", &key.id[..key.id.len().min(12)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ImageId;

    #[test]
    fn references_match_with_and_without_tag_and_registry() {
        let info = |reference: &str| ContainerInfo {
            image: ImageId {
                reference: reference.into(),
                id: "sha256:0123456789abcdef".into(),
                ..ImageId::default()
            },
            ..ContainerInfo::default()
        };
        assert!(names_image("nginx", &info("nginx:latest")));
        assert!(names_image("nginx:latest", &info("docker.io/library/nginx:latest")));
        assert!(names_image("nginx", &info("localhost/nginx:latest")));
        assert!(names_image("sha256:0123456789ab", &info("x")));
        assert!(!names_image("nginx:1", &info("nginx:latest")));
        assert!(!names_image("0123", &info("x")));
    }
}
