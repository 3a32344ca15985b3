//! One span of watching: engines asked, programs attached, events gathered,
//! profiles made.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::task::{JoinError, JoinSet};

use crate::capture::{CaptureError, Event, Options, Probe, Touch};
use crate::collect::{Collector, ContainerKey, Losses, Recording};
use crate::container::oci::is_of_a_shim;
use crate::container::{ContainerInfo, Engine, Registry, group_of, identify_path};
use crate::journal::{Journal, JournalError};
use crate::mark::Name;
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

/// Why a test could not be begun or ended.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// What is kept of them would grow without end.
    #[error(
        "{MARKS_MAX} marks were set in this run, and no more are taken; profile in several runs"
    )]
    TooMany,
    /// The programs could not be told.
    #[error("the kernel refused to change the epoch: {0}; run again")]
    Kernel(#[source] io::Error),
}

/// Most marks of a session.
const MARKS_MAX: usize = 1 << 18;

/// Which containers count.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    found: Found,
    resolving: JoinSet<Resolved>,
    started: String,
    /// The test that goes on, and how many were begun or ended.
    test: Option<Name>,
    marks: usize,
    journal: Option<Journal>,
}

/// What an engine answered.
type Resolved = (ContainerKey, Option<ContainerInfo>);

/// What is known of the containers beside their touches.
#[derive(Debug)]
pub(crate) struct Found {
    pub filter: Filter,
    /// Containers that ran before the session began.
    pub earlier: BTreeSet<String>,
    pub infos: BTreeMap<ContainerKey, ContainerInfo>,
    pub unknown: Vec<ContainerKey>,
    /// Control groups that no runtime's state tells of.
    pub doubtful: Vec<ContainerKey>,
    /// Those of which nobody could be asked: any may be a container.
    pub unasked: Vec<ContainerKey>,
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
            found: Found::new(filter, earlier),
            resolving: JoinSet::new(),
            started: jiff::Timestamp::now().to_string(),
            test: None,
            marks: 0,
            journal: None,
        })
    }

    /// Keeps a journal of all that is learnt from now on; begin with it before
    /// the first [`pump`](Self::pump). `run` is what [`finish`](Self::finish)
    /// would be given if it were to end now.
    ///
    /// # Errors
    /// When the journal's beginning cannot be written.
    pub fn keep_journal(&mut self, mut journal: Journal, run: Run) -> Result<(), JournalError> {
        let run = Run { started: self.started.clone(), ..self.of_this_machine(run) };
        journal.begin(run, &self.found, self.probe.host_dev(), self.collector.clock())?;
        self.journal = Some(journal);
        Ok(())
    }

    fn of_this_machine(&self, mut run: Run) -> Run {
        let tier = self.probe.tier();
        run.tier = tier.to_string();
        run.blind_spots = tier.blind_spots().iter().map(|&spot| spot.to_owned()).collect();
        run.kernel = kernel_release();
        run
    }

    /// Begins a test, or ends the one that goes on without beginning one. On
    /// return the switch is made: what was touched before belongs to what was
    /// before, what is touched from now on to this. A name that was there
    /// before is the same test once more.
    ///
    /// # Errors
    /// See [`MarkError`]; nothing is changed then.
    pub fn mark(&mut self, test: Option<Name>) -> Result<(), MarkError> {
        if test == self.test {
            return Ok(());
        }
        if self.marks == MARKS_MAX {
            return Err(MarkError::TooMany);
        }
        let epoch = self.probe.advance().map_err(MarkError::Kernel)?;
        self.marks += 1;
        self.test.clone_from(&test);
        // Before any event of it can be taken in.
        let event = Event::Mark { epoch, name: test.map(String::from) };
        take(&mut self.collector, &mut self.journal, event);
        Ok(())
    }

    /// Adds what a running container has open or mapped.
    pub fn add_snapshot(&mut self, info: &ContainerInfo, key: &ContainerKey, touches: Vec<Touch>) {
        let pid = info.pid.and_then(|pid| u32::try_from(pid).ok());
        let path = pid.and_then(group_of).and_then(|path| identify_path(&path));
        let path = path.map(|group| group.path).unwrap_or_default();
        let place = self.collector.add(key, &path);
        if let Some(journal) = &mut self.journal {
            journal.container(key, &path);
            journal.resolved(key, Some(info));
        }
        for touch in touches {
            if self.collector.keep(place, &touch) == Some(true)
                && let Some(journal) = &mut self.journal
            {
                journal.touch(place, touch);
            }
        }
        self.found.infos.insert(key.clone(), info.clone());
    }

    /// Waits for events and takes them in; call it again and again. Safe to
    /// cancel.
    ///
    /// # Errors
    /// [`SessionError::Poll`].
    pub async fn pump(&mut self) -> Result<(), SessionError> {
        let mut new = Vec::new();
        let (collector, journal) = (&mut self.collector, &mut self.journal);
        let mut sink = |event| new.extend(take(collector, journal, event));
        let result = self.probe.next(&mut sink).await;
        self.resolve(new);
        while let Some(resolved) = self.resolving.try_join_next() {
            self.resolved(resolved);
        }
        if let Some(journal) = &mut self.journal {
            let probe = &self.probe;
            journal.sync(&self.collector, || losses(probe));
        }
        result.map_err(SessionError::Poll)
    }

    fn resolve(&mut self, new: Vec<(ContainerKey, u32)>) {
        for (key, pid) in new {
            if self.found.infos.contains_key(&key) {
                continue;
            }
            let registry = Arc::clone(&self.registry);
            self.resolving.spawn(async move {
                let info = registry.resolve(key.engine, &key.id, pid).await;
                (key, info)
            });
        }
    }

    fn resolved(&mut self, resolved: Result<Resolved, JoinError>) {
        let (key, info) = match resolved {
            Ok(resolved) => resolved,
            Err(error) => return log::warn!("looking a container up failed: {error}"),
        };
        if let Some(journal) = &mut self.journal {
            journal.resolved(&key, info.as_ref());
        }
        self.found.add(key, info);
    }

    /// Stops, reads what is left, and makes the profiles. `run` is filled in
    /// with what the session knows: times, kernel, tier, losses.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn finish(mut self, mut run: Run) -> Result<Outcome, SessionError> {
        // A record is in the ring before its system call returns, so what
        // happened before this line is there to be read.
        let losses = losses(&self.probe);
        run = self.of_this_machine(run);
        self.probe.detach();
        let mut new = Vec::new();
        let (collector, journal) = (&mut self.collector, &mut self.journal);
        self.probe.drain(&mut |event| new.extend(take(collector, journal, event)));
        self.resolve(new);
        while let Some(resolved) = self.resolving.join_next().await {
            self.resolved(resolved);
        }
        run.started = self.started;
        run.ended = jiff::Timestamp::now().to_string();
        if let Some(journal) = self.journal {
            journal.end(&self.collector, &losses, &run);
        }
        let outcome = self.found.outcome(self.collector, &losses, run, Some(&self.registry));
        if let Some(registry) = Arc::into_inner(self.registry) {
            registry.shutdown().await;
        }
        Ok(outcome)
    }
}

/// Takes an event in and, if it teaches anything, writes it down.
pub(crate) fn take(
    collector: &mut Collector,
    journal: &mut Option<Journal>,
    event: Event,
) -> Vec<(ContainerKey, u32)> {
    let learnt = collector.learn(&event);
    if learnt.changed
        && let Some(journal) = journal
    {
        match event {
            // By its place: which container it is of may hang on touches that
            // taught nothing else.
            Event::Touch(touch) => journal.touch(learnt.place, touch),
            event => journal.event(event),
        }
    }
    learnt.containers
}

fn losses(probe: &Probe) -> Losses {
    Losses { all: probe.lost(), by_group: probe.lost_by_group() }
}

impl Found {
    pub fn new(filter: Filter, earlier: BTreeSet<String>) -> Self {
        Self {
            filter,
            earlier,
            infos: BTreeMap::new(),
            unknown: Vec::new(),
            doubtful: Vec::new(),
            unasked: Vec::new(),
        }
    }

    /// Adds an answer of the engines.
    pub fn add(&mut self, key: ContainerKey, info: Option<ContainerInfo>) {
        match info {
            Some(info) => {
                self.infos.insert(key, info);
            }
            None if key.engine == Engine::Unknown => {
                log::debug!("no runtime's state tells of control group {}", key.id);
                self.doubtful.push(key);
            }
            None => self.unknown.push(key),
        }
    }

    /// Makes the profiles. `run` is whole but for its losses; the registry is
    /// that of the session, if there is one still.
    pub fn outcome(
        self,
        mut collector: Collector,
        losses: &Losses,
        mut run: Run,
        registry: Option<&Registry>,
    ) -> Outcome {
        let mut lost = collector.add_losses(losses);
        let inside = collector.settle(|key| self.infos.contains_key(key));
        let mut unattributed = self.unattributed(&collector, registry);
        lost.unattributed = unattributed.iter().map(|key| collector.touches(key)).sum();
        unattributed.extend(inside);
        let wanted: BTreeMap<_, _> = self
            .infos
            .into_iter()
            .filter(|(key, info)| wanted(&self.filter, &self.earlier, key, info))
            .collect();
        run.lost = lost;
        Outcome { profiles: collector.into_recordings(&wanted, &run), unattributed }
    }

    /// Containers that may be among the wanted ones, of which some touches
    /// are there and nothing else is known.
    fn unattributed(
        &self,
        collector: &Collector,
        registry: Option<&Registry>,
    ) -> Vec<ContainerKey> {
        let Filter::Started { images } = &self.filter else { return Vec::new() };
        let could_be = |reference: Option<&str>| {
            let fits = |image: &String| reference.is_none_or(|used| could_name(image, used));
            images.is_empty() || images.iter().any(fits)
        };
        let named = self.unknown.iter().filter(|key| {
            let reference = registry.and_then(|registry| registry.reference(&key.id));
            could_be(reference.as_deref())
        });
        // A group that nothing tells of may be anything that has a root of its
        // own. It may be a container where a runtime's state came and went.
        let is_told = |directory: &Path| {
            let name = directory.file_name().unwrap_or_default();
            let mut ids = self.infos.keys().chain(&self.unknown).map(|key| &key.id);
            let mut names = self.infos.values().map(|info| &info.name);
            // Names of bare runtimes are used again.
            ids.any(|id| name == id.as_str())
                || is_of_a_shim(directory) && names.any(|own| name == own.as_str())
        };
        let mut unread = registry.map(Registry::unread).unwrap_or_default();
        unread.retain(|directory| !is_told(directory));
        if !unread.is_empty() {
            log::info!("the state of containers was gone before it was read: {unread:?}");
        }
        // Bare runtimes' containers are called by their bundles.
        let unread_could_be = unread.iter().any(|directory| is_of_a_shim(directory))
            || !unread.is_empty()
                && (images.is_empty() || images.iter().any(|image| image.starts_with('/')));
        // Or where the states that were read are of several that had its path
        // one after the other.
        let doubtful = self.doubtful.iter().filter(|key| {
            let bundles = registry.map(|registry| registry.bundles(&key.id)).unwrap_or_default();
            unread_could_be || bundles.iter().any(|bundle| could_be(bundle.as_deref()))
        });
        named
            .chain(doubtful)
            .chain(&self.unasked)
            .filter(|key| !self.earlier.contains(&key.id) && collector.touches(key) > 0)
            .cloned()
            .collect()
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
pub(crate) fn names_image(reference: &str, info: &ContainerInfo) -> bool {
    let id = info.image.id.trim_start_matches("sha256:");
    let wanted_id = reference.trim_start_matches("sha256:");
    (wanted_id.len() >= 12 && id.starts_with(wanted_id))
        || same_name(reference, &info.image.reference)
}

/// Whether a user's image reference may mean the image that a container was
/// made with, of which nothing but that name is known. As with those of which
/// more is known, one made with an ID is wanted by its ID only: builds make
/// such containers all the time.
fn could_name(reference: &str, used: &str) -> bool {
    let is_id = |name: &str| {
        let digits = name.trim_start_matches("sha256:");
        digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    is_id(reference) || same_name(reference, used)
}

/// Whether two references are one, the usual registry and tag left out or not.
fn same_name(one: &str, other: &str) -> bool {
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
    short(&with_tag(one)) == short(&with_tag(other))
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
        Engine::Cri => "container",
        // The path of a control group.
        Engine::Unknown => return format!("container {}", key.id),
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
        for (reference, used, could) in [
            ("nginx", "docker.io/library/nginx:latest", true),
            ("nginx", "redis", false),
            ("sha256:0123456789ab", "redis", true),
            ("nginx", "sha256:0123456789abcdef", false),
        ] {
            assert_eq!(could_name(reference, used), could, "{reference} {used}");
        }
    }
}
