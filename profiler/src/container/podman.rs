//! Podman's containers and images, from its storage on disk.
//!
//! There is no daemon to ask, and starting `podman` takes longer than a short
//! container lives. What is read is containers/storage's own metadata:
//!
//! ```text
//! GRAPHROOT/DRIVER-containers/{,volatile-}containers.json  id, names, image
//! GRAPHROOT/DRIVER-containers/ID/userdata/config.json      mounts
//! GRAPHROOT/DRIVER-images/images.json                      id, names
//! GRAPHROOT/DRIVER-images/ID/=BASE64(sha256:ID)            image config
//! RUNROOT/DRIVER-containers/ID/userdata/pidfile            first process
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::ContainerInfo;
use super::json::{text, texts};
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
    let homes = fs::read_dir("/home").into_iter().flatten().flatten();
    for home in homes {
        let graph = home.path().join(".local/share/containers/storage");
        if graph.is_dir() {
            use std::os::unix::fs::MetadataExt as _;
            let uid = home.metadata().map_or(0, |meta| meta.uid());
            stores.push(Store { graph, run: format!("/run/user/{uid}/containers").into() });
        }
    }
    stores
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
            let directory = store.graph.join(format!("{driver}-containers"));
            for list in LISTS {
                let Some(Value::Array(values)) = json(&directory.join(list)) else { continue };
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
        .and_then(|pid| pid.trim().parse().ok());
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
        rootfs: None,
    })
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
