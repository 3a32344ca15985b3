//! Which containers are of an image that was made from the original.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::container::docker::{Docker, escape};
use crate::container::{ContainerInfo, Engine};
use crate::image::SourceImage;
use crate::session::names_image;

/// What an image says of how it is run, and when it was made. The minimizer
/// copies that: an image that has it, and other layers, was made from the one
/// or is built anew without a change that shows.
#[derive(Debug, Clone, PartialEq)]
struct Settings {
    config: Value,
    created: Option<Timestamp>,
    platform: [Option<String>; 2],
}

/// Keys of the image specification's `config`, and Docker's own. Others may
/// be left out by Docker's interface, or filled in.
const KEYS: [&str; 12] = [
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Healthcheck",
    "Shell",
    "OnBuild",
];

impl Settings {
    /// From a config as it is stored.
    fn of_config(config: &Value) -> Self {
        Self::of(config, ["config", "created", "os", "architecture"])
    }

    /// From Docker's answer.
    fn of_docker(image: &Value) -> Self {
        Self::of(image, ["Config", "Created", "Os", "Architecture"])
    }

    fn of(image: &Value, [config, created, os, architecture]: [&str; 4]) -> Self {
        let text = |key: &str| image.get(key).and_then(Value::as_str);
        let config = image.get(config).and_then(Value::as_object);
        let kept: Map<String, Value> = KEYS
            .iter()
            .filter_map(|&key| Some((key.to_owned(), config?.get(key)?.clone())))
            .filter(|(_, value)| !is_empty(value))
            .collect();
        Self {
            config: kept.into(),
            created: text(created).and_then(|time| time.parse().ok()),
            platform: [os, architecture].map(|key| text(key).map(str::to_owned)),
        }
    }
}

/// What is as good as left out.
fn is_empty(value: &Value) -> bool {
    [json!(null), json!(""), json!([]), json!({})].contains(value)
}

/// The original image, and which others count.
#[derive(Debug)]
pub struct Original {
    id: String,
    diff_ids: Vec<String>,
    settings: Settings,
    /// Names or IDs; empty: whatever was made from the original.
    images: Vec<String>,
}

impl Original {
    /// Of an image that was opened.
    pub fn new(image: &SourceImage, images: Vec<String>) -> Self {
        let config: Value = serde_json::from_slice(&image.config).unwrap_or_default();
        Self {
            id: image.id.clone(),
            diff_ids: image.diff_ids.clone(),
            settings: Settings::of_config(&config),
            images,
        }
    }

    /// Whether a container is to be watched. What Docker says of its image is
    /// compared; other engines' images must have been named.
    pub async fn is_of(&self, docker: &Docker, engine: Engine, info: &ContainerInfo) -> bool {
        let image = &info.image;
        if image.id == self.id || (!image.diff_ids.is_empty() && image.diff_ids == self.diff_ids) {
            return false;
        }
        if !self.images.is_empty() {
            return self.images.iter().any(|name| names_image(name, info));
        }
        if engine != Engine::Docker {
            return false;
        }
        match docker.get_json(&format!("/images/{}/json", escape(&image.id, ""))).await {
            Ok(answer) => Settings::of_docker(&answer) == self.settings,
            Err(error) => {
                log::info!("the image of container {} cannot be looked at: {error}", info.id);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_and_what_docker_makes_of_it_are_the_same() {
        let config = json!({
            "created": "2030-01-02T03:04:05.120000000Z",
            "os": "linux",
            "architecture": "amd64",
            "config": { "Cmd": ["/a"], "Env": ["A=b"], "Labels": {}, "Image": "sha256:1" },
            "rootfs": { "diff_ids": ["x"] },
        });
        let docker = json!({
            "Created": "2030-01-02T03:04:05.12Z",
            "Os": "linux",
            "Architecture": "amd64",
            "Config": {
                "Hostname": "", "Cmd": ["/a"], "Env": ["A=b"], "Labels": null, "User": "",
            },
            "RootFS": { "Layers": ["y"] },
        });
        let settings = Settings::of_config(&config);
        assert_eq!(Settings::of_docker(&docker), settings);
        for (pointer, other) in [
            ("/Created", json!("2030-01-02T03:04:06Z")),
            ("/Config/Cmd", json!(["/b"])),
            ("/Config/User", json!("app")),
            ("/Architecture", json!("arm64")),
        ] {
            let mut changed = docker.clone();
            *changed.pointer_mut(pointer).unwrap() = other;
            assert_ne!(Settings::of_docker(&changed), settings, "{pointer}");
        }
    }
}
