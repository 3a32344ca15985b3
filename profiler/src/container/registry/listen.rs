//! Learning of containers as they appear: one that lives 20 ms and is removed
//! is gone when the kernel's first event of it is read.
//!
//! An engine that is away is tried again: a test may start or restart it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Known, from_event, inspect};
use crate::container::containerd::Containerd;
use crate::container::docker::{Docker, DockerError};
use crate::container::inotify::{Change, Watched};
use crate::container::json::text;
use crate::container::oci::States;
use crate::container::podman;

/// Between two attempts to reach a daemon that is away.
const RETRY: Duration = Duration::from_millis(500);

/// Between two looks where changes cannot be watched.
const POLL: Duration = Duration::from_millis(20);

/// Niceness of a watching thread.
const NICE: i32 = -10;

/// How long a watching thread may outlive the registry.
const POLL_END: Duration = Duration::from_millis(200);

/// Follows Docker's events. A daemon subscribes shortly after it answers, and
/// may be restarted: what happened meanwhile is asked for again.
pub(super) async fn docker(
    docker: Docker,
    known: Arc<Known>,
) -> Result<JoinHandle<()>, DockerError> {
    let mut since = now();
    let mut events = match subscribe(&docker, &since).await {
        Ok(events) => Some(events),
        Err(DockerError::NotRunning { socket, source }) => {
            log::info!("no Docker daemon at {}: {source}", socket.display());
            None
        }
        Err(error) => return Err(error),
    };
    Ok(tokio::spawn(async move {
        loop {
            if let Some(events) = events {
                follow(events, &docker, &known, &mut since).await;
            }
            tokio::time::sleep(RETRY).await;
            events = subscribe(&docker, &since).await.ok();
        }
    }))
}

async fn subscribe(docker: &Docker, since: &str) -> Result<Incoming, DockerError> {
    // {"type":["container"],"event":["create","start"]}
    let filters =
        "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22create%22%2C%22start%22%5D%7D";
    docker.get_stream(&format!("/events?since={since}&filters={filters}")).await
}

/// Until the stream ends or tells of an error in the daemon.
async fn follow(mut events: Incoming, docker: &Docker, known: &Arc<Known>, since: &mut String) {
    let mut pending = Vec::new();
    while let Some(Ok(frame)) = events.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        pending.extend_from_slice(&data);
        while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let Ok(event) = serde_json::from_slice::<Value>(&line) else { continue };
            let Some(id) = text(&event, "/Actor/ID") else {
                // An answer that began well can still carry an error.
                let error = text(&event, "/message").or_else(|| text(&event, "/error"));
                log::warn!("the Docker daemon broke its event stream off: {error:?}");
                return;
            };
            if let Some(time) = event.get("timeNano").and_then(Value::as_u64) {
                *since = seconds(Duration::from_nanos(time));
            }
            if let Some(reference) = text(&event, "/Actor/Attributes/image") {
                let mut references = known.references.lock().expect("no panic under the lock");
                references.insert(id.clone(), reference);
            }
            let (docker, known) = (docker.clone(), Arc::clone(known));
            // Beside each other: the daemon holds an inspection back until
            // the container has started.
            tokio::spawn(async move {
                match inspect(&docker, &id).await {
                    Ok(info) => known.put(&id, info),
                    Err(error) => {
                        log::info!("container {id} could not be inspected: {error}");
                        if known.get(&id).is_none()
                            && let Some(info) = from_event(&docker, &id, &event).await
                        {
                            known.put(&id, info);
                        }
                    }
                }
            });
        }
    }
    log::info!("the Docker daemon ended its event stream");
}

fn now() -> String {
    seconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Unix time as the daemon reads it.
fn seconds(time: Duration) -> String {
    format!("{}.{:09}", time.as_secs(), time.subsec_nanos())
}

/// Follows containerd's events.
pub(super) async fn containerd(known: Arc<Known>) -> JoinHandle<()> {
    let first = connect().await;
    // For the answer's sake: by then the request before it has been taken in.
    let probe = first.clone();
    let listener = tokio::spawn(async move {
        let mut next = first;
        loop {
            if let Some(containerd) = next {
                follow_containerd(&containerd, &known).await;
            }
            tokio::time::sleep(RETRY).await;
            next = connect().await;
        }
    });
    if let Some(containerd) = probe {
        tokio::task::yield_now().await;
        let _ = containerd.namespaces().await;
    }
    listener
}

/// Until the stream ends. containerd begins its answer with the first event.
async fn follow_containerd(containerd: &Containerd, known: &Arc<Known>) {
    let mut creations = match containerd.creations().await {
        Ok(creations) => creations,
        Err(error) => return log::info!("{error}"),
    };
    while let Some((namespace, id)) = creations.next().await {
        let (containerd, known) = (containerd.clone(), Arc::clone(known));
        tokio::spawn(async move {
            match containerd.container(&namespace, &id).await {
                Ok(info) => {
                    known.put(&info.id.clone(), info.clone());
                    let mut table = known.containerd.lock().expect("no panic under the lock");
                    table.insert((namespace, id), info);
                }
                Err(error) => log::info!("container {id} was not found: {error}"),
            }
        });
    }
}

async fn connect() -> Option<Containerd> {
    Containerd::connect().await.inspect_err(|error| log::debug!("{error}")).ok()
}

/// Reads the state files of OCI runtimes as they are written.
pub(super) fn states(known: &Arc<Known>) {
    watch(known, States::watched, true, Known::read_states);
    known.state_files.lock().expect("no panic under the lock").begin();
}

/// Reads Podman's lists as they are replaced: they hold a container from some
/// 70 ms before its first process until it is removed.
pub(super) fn podman(known: &Arc<Known>) {
    watch(known, podman::watched, false, |known, changes| {
        known.read_podman();
        changes.is_empty() || changes.iter().any(|change| change.is_directory)
    });
}

/// Calls `look` now and whenever something changed in one of `directories`,
/// on a thread of its own: a state file may be there for 20 ms, and the
/// runtime's threads are busy with events just then. With `enter`, a new
/// directory is watched at once. `look` returns whether there may be more
/// directories to watch. Ends with `known`.
fn watch(
    known: &Arc<Known>,
    directories: fn() -> Vec<PathBuf>,
    enter: bool,
    look: fn(&Known, &[Change]) -> bool,
) {
    let mut watched = Watched::new()
        .inspect_err(|error| log::info!("cannot watch directories, looking every 20 ms: {error}"))
        .ok();
    let add = move |watched: &mut Option<Watched>| {
        if let Some(watched) = watched {
            directories().iter().for_each(|directory| watched.add(directory));
        }
    };
    // Before this returns: what comes later is announced.
    add(&mut watched);
    look(known, &[]);
    let known = Arc::downgrade(known);
    std::thread::spawn(move || {
        get_ahead(enter);
        loop {
            let changed = match &mut watched {
                Some(one) => one.wait(POLL_END).unwrap_or_else(|error| {
                    log::info!("cannot watch directories any more: {error}");
                    watched = None;
                    Some(Vec::new())
                }),
                None => {
                    std::thread::sleep(POLL);
                    Some(Vec::new())
                }
            };
            let Some(known) = known.upgrade() else { return };
            let Some(changes) = changed else { continue };
            if let (true, Some(watched)) = (enter, &mut watched) {
                let new = changes.iter().filter(|change| change.is_directory);
                new.for_each(|change| watched.add(&change.path));
            }
            if look(&known, &changes) {
                // What was written into a new directory before it is watched
                // is seen by the second look.
                add(&mut watched);
                look(&known, &[]);
            }
        }
    });
}

/// Puts this thread ahead of a busy machine's tests, where that is allowed: it
/// sleeps but for moments. With `at_once` it is let run as soon as there is
/// something to do, since a state file may be there for three milliseconds: a
/// niceness alone lets others end their time slice first, which is as long.
fn get_ahead(at_once: bool) {
    let first = libc::sched_param { sched_priority: 1 };
    // SAFETY: the parameter is a local; on Linux 0 is the calling thread.
    unsafe {
        if !at_once || libc::sched_setscheduler(0, libc::SCHED_RR, &raw const first) != 0 {
            libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
        }
    }
}
