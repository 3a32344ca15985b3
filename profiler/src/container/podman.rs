//! Podman's containers and images, from its storage on disk.
//!
//! There is no daemon to ask, and starting `podman` takes longer than a short
//! container lives. What is read is containers/storage's own metadata:
//!
//! ```text
//! GRAPHROOT/DRIVER-containers/{,volatile-}containers.json  id, names, image
//! RUNROOT/DRIVER-containers/volatile-containers.json       the same, newer Podman
//! GRAPHROOT/DRIVER-containers/ID/userdata/config.json      mounts
//! GRAPHROOT/DRIVER-images/images.json                      id, names
//! GRAPHROOT/DRIVER-images/ID/=BASE64(sha256:ID)            image config
//! RUNROOT/DRIVER-containers/ID/userdata/pidfile            first process
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::json::{text, texts};
use super::{ContainerInfo, Engine, identify_pid, snapshot};
use crate::profile::{BytePath, ImageId};

const DRIVERS: [&str; 3] = ["overlay", "vfs", "btrfs"];
const LISTS: [&str; 2] = ["containers.json", "volatile-containers.json"];

/// A storage: graph root and run root.
struct Store {
    graph: PathBuf,
    run: PathBuf,
}

/// Root's storage, and that of every user who has one.
fn stores() -> Vec<Store> {
    let configured = |key: &str| {
        let text = fs::read_to_string("/etc/containers/storage.conf").ok()?;
        text.lines().find_map(|line| {
            let value = line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?;
            Some(PathBuf::from(value.trim().trim_matches('"')))
        })
    };
    let mut stores = vec![Store {
        graph: configured("graphroot").unwrap_or_else(|| "/var/lib/containers/storage".into()),
        run: configured("runroot").unwrap_or_else(|| "/run/containers/storage".into()),
    }];
    for home in homes() {
        let graph = home.join(".local/share/containers/storage");
        if let Ok(meta) = graph.metadata() {
            use std::os::unix::fs::MetadataExt as _;
            stores
                .push(Store { graph, run: format!("/run/user/{}/containers", meta.uid()).into() });
        }
    }
    stores
}

/// Home directories, wherever the users have them.
fn homes() -> BTreeSet<PathBuf> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let listed = users.lines().filter_map(|line| line.split(':').nth(5));
    let listed = listed.filter(|home| home.len() > 1).map(PathBuf::from);
    // Users of a directory service are not in the file.
    let found = fs::read_dir("/home").into_iter().flatten().flatten().map(|home| home.path());
    listed.chain(found).collect()
}

/// Directories in which the lists of containers are replaced.
pub fn watched() -> Vec<PathBuf> {
    let stores = stores();
    let roots = stores.iter().flat_map(|store| [store.graph.clone(), store.run.clone()]);
    let lists = roots.clone().flat_map(|root| DRIVERS.map(|driver| lists(&root, driver)));
    lists.chain(roots).collect()
}

fn lists(root: &Path, driver: &str) -> PathBuf {
    root.join(format!("{driver}-containers"))
}

/// What is known of the containers whose ID is wanted.
pub fn those(wanted: impl Fn(&str) -> bool) -> Vec<ContainerInfo> {
    let entries = entries(|value| text(value, "/id").is_some_and(|id| wanted(&id)));
    entries.iter().filter_map(info).collect()
}

/// IDs of all containers that exist.
pub fn all() -> Vec<String> {
    entries(|_| true).into_iter().filter_map(|entry| text(&entry.value, "/id")).collect()
}

/// The container with this full ID, or with this name or beginning of an ID
/// if it is the only one.
pub fn find(name: &str) -> Vec<ContainerInfo> {
    let exact = entries(|value| {
        text(value, "/id").as_deref() == Some(name)
            || texts(value, "/names").iter().any(|n| n == name)
    });
    let found = if exact.is_empty() && name.len() >= 3 {
        entries(|value| text(value, "/id").is_some_and(|id| id.starts_with(name)))
    } else {
        exact
    };
    found.iter().filter_map(info).collect()
}

/// A container's metadata and where it was found.
struct Entry {
    store: Store,
    driver: &'static str,
    value: Value,
}

fn entries(wanted: impl Fn(&Value) -> bool) -> Vec<Entry> {
    let mut found = Vec::new();
    for store in stores() {
        for driver in DRIVERS {
            // The list of `--rm` containers of a newer Podman lies in the run
            // root.
            let files = LISTS.iter().flat_map(|list| {
                [&store.graph, &store.run].map(|root| lists(root, driver).join(list))
            });
            for file in files {
                let Some(Value::Array(values)) = json(&file) else { continue };
                found.extend(values.into_iter().filter(|value| wanted(value)).map(|value| Entry {
                    store: Store { graph: store.graph.clone(), run: store.run.clone() },
                    driver,
                    value,
                }));
            }
        }
    }
    found
}

fn info(entry: &Entry) -> Option<ContainerInfo> {
    let Entry { store, driver, value } = entry;
    let id = text(value, "/id")?;
    let userdata = format!("{driver}-containers/{id}/userdata");
    let pid = fs::read_to_string(store.run.join(&userdata).join("pidfile"))
        .ok()
        .and_then(|pid| pid.trim().parse().ok())
        .filter(|&pid| is_of(pid, &id));
    let spec = json(&store.graph.join(&userdata).join("config.json"));
    let mounts = spec
        .as_ref()
        .and_then(|spec| spec.get("mounts")?.as_array())
        .into_iter()
        .flatten()
        .filter_map(|mount| Some(BytePath::from(mount.get("destination")?.as_str()?)))
        .collect();
    // Podman keeps its own record as JSON inside JSON.
    let reference = text(value, "/metadata")
        .and_then(|metadata| serde_json::from_str::<Value>(&metadata).ok())
        .and_then(|metadata| text(&metadata, "/image-name"));
    let image = image(store, driver, &text(value, "/image")?, reference)?;
    Some(ContainerInfo {
        id,
        name: texts(value, "/names").into_iter().next().unwrap_or_default(),
        image,
        pid,
        mounts,
    })
}

/// Whether a process can be this container's. The file that names it stays
/// behind when Podman is killed, and process numbers are used again.
fn is_of(pid: i32, id: &str) -> bool {
    match u32::try_from(pid).ok().and_then(identify_pid) {
        Some(group) if group.container.0 != Engine::Unknown => {
            let around = group.around.iter().map(|(name, _)| name);
            [&group.container].into_iter().chain(around).any(|(_, found)| found == id)
        }
        // `--cgroups=disabled`: no more than that it lives in a container.
        _ => snapshot::is_contained(pid),
    }
}

fn image(store: &Store, driver: &str, id: &str, reference: Option<String>) -> Option<ImageId> {
    let images = store.graph.join(format!("{driver}-images"));
    let name = || {
        let Some(Value::Array(list)) = json(&images.join("images.json")) else { return None };
        list.iter()
            .find(|value| text(value, "/id").as_deref() == Some(id))
            .and_then(|value| texts(value, "/names").into_iter().next())
    };
    let key = format!("={}", STANDARD.encode(format!("sha256:{id}")));
    let config = json(&images.join(id).join(key)).unwrap_or_default();
    Some(ImageId {
        reference: reference.filter(|r| !r.is_empty()).or_else(name).unwrap_or_else(|| id.into()),
        id: format!("sha256:{id}"),
        diff_ids: texts(&config, "/rootfs/diff_ids"),
        os: text(&config, "/os").unwrap_or_default(),
        architecture: text(&config, "/architecture").unwrap_or_default(),
    })
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
