//! Containers of minimized images in production: lookups of what was removed,
//! told as they happen.
//!
//! ```text
//! original ─► Tree ─┐
//! profiles ─► Plan ─┴─► Comparison ─┐
//! kernel ─► Probe ─► failed lookup ─┴─► removed? ─► whose container? ─► Lookup
//!                                                        ▲
//!                    engines ─► Registry ─► Original ────┘
//! ```
//!
//! *Removed* is what the original image has and the plan of the given profiles
//! does not keep, when a lookup of it fails. What the plan keeps and a lookup
//! does not find was removed by the container's own programs, or will be there
//! in the next image made with these profiles.
//!
//! This goes on for weeks, so nothing grows with time: paths that are found
//! are not kept, containers that have ended are forgotten, what is told of one
//! is capped, and every few hours kernel side and engines are asked anew, by a
//! second probe that is attached before the first is taken away.

mod container;
mod metrics;
mod original;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

pub use metrics::{Metrics, serve};
pub use original::Original;

use crate::capture::{Event, Options, Probe, Touch};
use crate::collect::ContainerKey;
use crate::collect::clock::Clock;
use crate::container::docker::{Docker, DockerError};
use crate::container::oci::{cgroup_id, unknown_id};
use crate::container::{
    ContainerInfo, Engine, Group, Registry, RegistryError, identify, identify_pid, snapshot,
};
use crate::profile::{BytePath, Kind, Lost};
use crate::session::SessionError;
use crate::verify::Comparison;
use container::{Container, Missed, State, Told, Watched};

/// Why watching could not begin.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// See [`SessionError`].
    #[error(transparent)]
    Session(#[from] SessionError),
    /// See [`RegistryError`].
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// See [`DockerError`].
    #[error(transparent)]
    Docker(#[from] DockerError),
}

/// Between two looks for containers that have ended.
const SWEEP: Duration = Duration::from_secs(5);

/// A lookup of what was removed, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lookup {
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// Who looked, by the container's full ID.
    pub container: String,
    /// The container's name.
    pub container_name: String,
    /// The reference of its image.
    pub image: String,
    /// The ID of its image.
    pub image_id: String,
    /// The name as it was spoken, made absolute.
    pub name: BytePath,
    /// Where that leads in the original.
    pub path: BytePath,
    /// Symlinks on the way that were removed, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<BytePath>,
    /// The package of what it leads to.
    pub package: Option<String>,
    /// In what way it was looked up.
    pub kind: Kind,
    /// `comm` of the task.
    pub comm: String,
    /// Process ID, as the host counts.
    pub pid: u32,
    /// The task's executable, where it is in the image and known.
    pub exe: Option<BytePath>,
}

/// How it is watched.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Of the kernel side.
    pub options: Options,
    /// How often all is begun anew.
    pub renewal: Duration,
}

/// A control group's containers, outermost first.
type Owners = Vec<ContainerKey>;

/// What was found out of a container: nothing, or whether it is watched, with
/// what it has open already.
type Answer = Option<(ContainerInfo, bool, Vec<Touch>)>;

/// What a renewal brings.
type Renewed = Result<(Registry, Probe), WatchError>;

/// See the module.
pub struct Watcher<'a> {
    comparison: Comparison<'a>,
    original: Arc<Original>,
    settings: Settings,
    docker: Docker,
    registry: Arc<Registry>,
    probe: Probe,
    groups: HashMap<u64, Owners>,
    containers: HashMap<ContainerKey, Container>,
    resolving: JoinSet<(ContainerKey, Answer)>,
    /// Lost before the probe was the one it is, and here.
    lost: Lost,
    untold: u64,
    sweep: Instant,
    renewal: Instant,
    renewing: Option<JoinHandle<Renewed>>,
    renewals: u64,
}

impl<'a> Watcher<'a> {
    /// Attaches the programs. On return every lookup counts, of containers
    /// that run already, too.
    ///
    /// # Errors
    /// See [`WatchError`].
    pub async fn start(
        comparison: Comparison<'a>,
        original: Original,
        settings: Settings,
    ) -> Result<Self, WatchError> {
        let registry = Arc::new(Registry::start().await?);
        let probe = Probe::attach(settings.options).map_err(SessionError::from)?;
        let now = Instant::now();
        Ok(Self {
            comparison,
            original: Arc::new(original),
            settings,
            docker: Docker::from_env()?,
            registry,
            probe,
            groups: HashMap::new(),
            containers: HashMap::new(),
            resolving: JoinSet::new(),
            lost: Lost::default(),
            untold: 0,
            sweep: now + SWEEP,
            renewal: now + settings.renewal,
            renewing: None,
            renewals: 0,
        })
    }

    /// Waits for events, a tenth of a second at most, and returns what is to
    /// be told.
    ///
    /// # Errors
    /// [`SessionError::Poll`].
    pub async fn next(&mut self) -> Result<Vec<Lookup>, SessionError> {
        let clock = Clock::now();
        let mut events = Vec::new();
        let read = self.probe.next(&mut |event| self::wanted(event, &mut events)).await;
        let mut told = self.take(events, clock);
        read.map_err(SessionError::Poll)?;
        while let Some(answer) = self.resolving.try_join_next() {
            told.extend(self.answered(answer, clock));
        }
        let now = Instant::now();
        if now >= self.sweep {
            self.sweep();
            self.sweep = now + SWEEP;
        }
        if let Some(renewing) = self.renewing.take_if(|renewing| renewing.is_finished()) {
            told.extend(self.renew(renewing.await));
            self.renewal = Instant::now() + self.settings.renewal;
        } else if now >= self.renewal && self.renewing.is_none() {
            self.begin_anew();
        }
        Ok(told)
    }

    /// Stops, and returns what is still to be told.
    pub async fn finish(&mut self) -> Vec<Lookup> {
        let clock = Clock::now();
        self.lost += self.probe.lost();
        self.probe.detach();
        let mut told = self.rest(clock);
        while let Some(answer) = self.resolving.join_next().await {
            told.extend(self.answered(answer, clock));
        }
        told
    }

    /// How many containers are watched.
    pub fn watched(&self) -> usize {
        let watched = |one: &&Container| matches!(one.state, State::Watched(_));
        self.containers.values().filter(watched).count()
    }

    /// Events of the whole machine that were lost, among them lookups of
    /// containers that no engine told of.
    pub fn lost(&self) -> Lost {
        let mut lost = self.lost;
        lost += self.probe.lost();
        lost
    }

    /// Lookups that were not told, because their container had so many.
    pub fn untold(&self) -> u64 {
        self.untold
    }

    /// How often all was begun anew.
    pub fn renewals(&self) -> u64 {
        self.renewals
    }

    /// What a probe sent that has not been read.
    fn rest(&mut self, clock: Clock) -> Vec<Lookup> {
        let mut events = Vec::new();
        self.probe.drain(&mut |event| self::wanted(event, &mut events));
        self.take(events, clock)
    }

    /// Begins anew beside what goes on: attaching takes a while.
    fn begin_anew(&mut self) {
        let options = self.settings.options;
        self.renewing = Some(tokio::spawn(async move {
            let registry = Registry::start().await?;
            let probe = tokio::task::spawn_blocking(move || Probe::attach(options)).await;
            let probe = probe.map_err(std::io::Error::other).map_err(SessionError::Poll)?;
            Ok((registry, probe.map_err(SessionError::from)?))
        }));
    }

    /// Goes on with the second probe, which reports everything once more: what
    /// was told is known. The first is taken away after the second came, so
    /// that nothing is seen by neither.
    fn renew(&mut self, renewed: Result<Renewed, tokio::task::JoinError>) -> Vec<Lookup> {
        let (registry, probe) = match renewed {
            Ok(Ok(renewed)) => renewed,
            Ok(Err(error)) => {
                log::warn!("could not attach anew: {error}; going on as it was");
                return Vec::new();
            }
            Err(error) => {
                log::warn!("could not attach anew: {error}; going on as it was");
                return Vec::new();
            }
        };
        self.lost += self.probe.lost();
        self.probe.detach();
        let told = self.rest(Clock::now());
        self.probe = probe;
        // Those that are still asked keep the old one until they are answered.
        self.registry = Arc::new(registry);
        self.renewals += 1;
        told
    }

    fn take(&mut self, events: Vec<Event>, clock: Clock) -> Vec<Lookup> {
        let mut told = Vec::new();
        for event in events {
            match event {
                Event::Cgroup { cgroup, names, pid } => {
                    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
                    if let Some(group) = identify(&names) {
                        self.group(cgroup, group, pid);
                    }
                }
                Event::Touch(touch) => told.extend(self.touch(touch, clock)),
                // Nobody marks tests here.
                Event::Mark { .. } => {}
            }
        }
        told
    }

    fn group(&mut self, cgroup: u64, group: Group, pid: u32) {
        let own = (group.container, group.path);
        let mut owners: Vec<_> = std::iter::once(own)
            .chain(group.around)
            .map(|((engine, id), path)| {
                let unnamed = engine == Engine::Unknown;
                let id = if unnamed { unknown_id(&id, cgroup) } else { id };
                (ContainerKey { engine, id }, path)
            })
            .collect();
        owners.reverse();
        for (key, path) in &owners {
            if self.containers.contains_key(key) {
                continue;
            }
            self.containers.insert(key.clone(), Container::new(path.clone(), State::default()));
            self.resolve(key.clone(), pid);
        }
        self.groups.insert(cgroup, owners.into_iter().map(|(key, _)| key).collect());
    }

    fn resolve(&mut self, key: ContainerKey, pid: u32) {
        let (registry, original) = (Arc::clone(&self.registry), Arc::clone(&self.original));
        let docker = self.docker.clone();
        self.resolving.spawn(async move {
            let Some(info) = registry.resolve(key.engine, &key.id, pid).await else {
                return (key, None);
            };
            if !original.is_of(&docker, key.engine, &info).await {
                return (key, Some((info, false, Vec::new())));
            }
            // Programs that were executed before anybody looked.
            let pid = info.pid.filter(|&pid| snapshot::is_contained(pid));
            let open = tokio::task::spawn_blocking(move || pid.map(snapshot::of)).await;
            let open = open.ok().flatten().unwrap_or_default();
            (key, Some((info, true, open)))
        });
    }

    fn answered(
        &mut self,
        answer: Result<(ContainerKey, Answer), tokio::task::JoinError>,
        clock: Clock,
    ) -> Vec<Lookup> {
        let (key, answer) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                log::warn!("looking a container up failed: {error}");
                return Vec::new();
            }
        };
        let Some(container) = self.containers.get_mut(&key) else { return Vec::new() };
        let waiting = container.state.waiting();
        let Some((info, true, open)) = answer else {
            // A group that is no engine's need be no container.
            if answer.is_none() && key.engine != Engine::Unknown {
                self.lost.unattributed += waiting;
            }
            *container = Container::new(std::mem::take(&mut container.path), State::Other);
            return Vec::new();
        };
        open.iter().for_each(|touch| container.learn(touch));
        let mounts = self.comparison.mounts(info.mounts.iter());
        let state = State::Watched(Box::new(Watched::new(info, mounts)));
        let early = match std::mem::replace(&mut container.state, state) {
            State::Asked { early, dropped } => {
                self.untold += dropped;
                early
            }
            _ => Vec::new(),
        };
        early.into_iter().filter_map(|missed| self.tell(&key, missed, clock)).collect()
    }

    fn touch(&mut self, touch: Touch, clock: Clock) -> Option<Lookup> {
        let owners = self.groups.get(&touch.cgroup)?;
        let own = owners.len() - 1;
        // The outermost that is real is the one: whatever is inside of it
        // makes groups by any name.
        let key = owners.iter().enumerate().find_map(|(at, key)| {
            let container = self.containers.get_mut(key)?;
            let is_it =
                !matches!(container.state, State::Other) && container.is_on(touch.dev, at != own);
            is_it.then(|| key.clone())
        })?;
        let container = self.containers.get_mut(&key)?;
        container.learn(&touch);
        let name = touch.name.as_ref().filter(|_| touch.missing)?;
        let miss = self.comparison.miss(name.as_bytes(), [touch.kind].into())?;
        let missed = Missed { touch, miss };
        match container.state {
            State::Watched(_) => self.tell(&key, missed, clock),
            _ => {
                container.state.keep(missed);
                None
            }
        }
    }

    fn tell(&mut self, key: &ContainerKey, missed: Missed, clock: Clock) -> Option<Lookup> {
        let Missed { touch, mut miss } = missed;
        let container = self.containers.get_mut(key)?;
        let exe = container.executable(&touch);
        let State::Watched(watched) = &mut container.state else { return None };
        let hidden = |place: &BytePath| watched.mounts.hide(place);
        if hidden(&miss.name) || miss.files.iter().any(|gone| hidden(&gone.path)) {
            return None;
        }
        match watched.note(&touch) {
            Told::New => {}
            Told::Again => return None,
            Told::TooMany => {
                self.untold += 1;
                return None;
            }
        }
        let end = miss.files.pop()?;
        Some(Lookup {
            time: clock.text(clock.millis(touch.time)),
            container: watched.info.id.clone(),
            container_name: watched.info.name.clone(),
            image: watched.info.image.reference.clone(),
            image_id: watched.info.image.id.clone(),
            name: miss.name,
            path: end.path,
            links: miss.files.into_iter().map(|gone| gone.path).collect(),
            package: end.package,
            kind: touch.kind,
            comm: touch.comm,
            pid: touch.pid,
            exe,
        })
    }

    /// Forgets containers that have ended, and the groups of none that is left.
    fn sweep(&mut self) {
        self.containers.retain(|key, container| match &container.state {
            State::Asked { .. } => true,
            State::Other => cgroup_id(&container.path).is_some(),
            State::Watched(watched) => {
                // Where control groups do not show under the names that the
                // kernel tells, its first process does.
                cgroup_id(&container.path).is_some() || runs(key, watched.info.pid)
            }
        });
        let containers = &self.containers;
        self.groups.retain(|_, owners| owners.iter().any(|key| containers.contains_key(key)));
    }
}

/// Whether a process runs in that container.
fn runs(key: &ContainerKey, pid: Option<i32>) -> bool {
    let group = pid.and_then(|pid| identify_pid(u32::try_from(pid).ok()?));
    group.is_some_and(|group| group.container == (key.engine, key.id.clone()))
}

/// Keeps of the events what may matter: most touches find what they look for.
fn wanted(event: Event, events: &mut Vec<Event>) {
    let matters = match &event {
        Event::Cgroup { .. } => true,
        Event::Touch(touch) => touch.missing || touch.kind == Kind::Exec,
        Event::Mark { .. } => false,
    };
    if matters {
        events.push(event);
    }
}
