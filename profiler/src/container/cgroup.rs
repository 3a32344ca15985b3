//! Container IDs in control group names.

use super::Engine;

/// Finds the container in a control group's names, leaf first. A container
/// inside a container is the inner one.
///
/// ```text
/// docker/ID                     Docker, cgroupfs driver
/// system.slice/docker-ID.scope  Docker, systemd driver
/// libpod_parent/libpod-ID       Podman, cgroupfs manager
/// machine.slice/libpod-ID.scope Podman, systemd manager
/// …/cri-containerd-ID.scope     containerd under Kubernetes
/// …/crio-ID.scope               CRI-O
/// kubepods/…/podUID/ID          either, cgroupfs driver
/// ```
pub fn identify(names: &[&[u8]]) -> Option<(Engine, String)> {
    names.iter().enumerate().find_map(|(level, name)| {
        let name = std::str::from_utf8(name).ok()?;
        let stem = name.strip_suffix(".scope").unwrap_or(name);
        let above = names.get(level + 1).and_then(|name| std::str::from_utf8(name).ok());
        let in_kubernetes = names[level..]
            .iter()
            .any(|name| name.starts_with(b"kubepods") || name.starts_with(b"pod"));
        let (engine, id) = if let Some(id) = stem.strip_prefix("docker-") {
            (Engine::Docker, id)
        } else if let Some(id) = stem.strip_prefix("libpod-") {
            (Engine::Podman, id)
        } else if let Some(id) = stem.strip_prefix("cri-containerd-") {
            (Engine::Cri, id)
        } else if let Some(id) = stem.strip_prefix("crio-") {
            (Engine::Cri, id)
        } else if in_kubernetes {
            (Engine::Cri, stem)
        } else if above.is_some_and(|above| above == "docker" || is_id(stem)) {
            (Engine::Docker, stem)
        } else {
            return None;
        };
        is_id(id).then(|| (engine, id.to_owned()))
    })
}

/// 64 hexadecimal digits. `libpod-conmon-…` is no container.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4b77552600f19ec1c9949babb408baed8562fd26f90342eb7e22b1d064ce7e13";

    fn of(path: &str) -> Option<(Engine, String)> {
        let names: Vec<&[u8]> =
            path.split('/').rev().filter(|name| !name.is_empty()).map(str::as_bytes).collect();
        identify(&names)
    }

    #[test]
    fn every_engines_names() {
        for (path, engine) in [
            (format!("/docker/{ID}"), Engine::Docker),
            (format!("/system.slice/docker-{ID}.scope"), Engine::Docker),
            (format!("/docker/{ID}/init.scope"), Engine::Docker),
            (format!("/my-parent/docker/{ID}"), Engine::Docker),
            (format!("/libpod_parent/libpod-{ID}"), Engine::Podman),
            (format!("/machine.slice/libpod-{ID}.scope/container"), Engine::Podman),
            (
                format!(
                    "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"
                ),
                Engine::Podman,
            ),
            (format!("/kubepods.slice/kubepods-podx.slice/cri-containerd-{ID}.scope"), Engine::Cri),
            (format!("/kubepods.slice/kubepods-podx.slice/crio-{ID}.scope"), Engine::Cri),
            (format!("/kubepods/besteffort/pod8f3a/{ID}"), Engine::Cri),
        ] {
            assert_eq!(of(&path), Some((engine, ID.to_owned())), "{path}");
        }
    }

    #[test]
    fn a_nested_container_is_the_inner_one() {
        let outer = "f".repeat(64);
        assert_eq!(of(&format!("/docker/{outer}/docker/{ID}")), Some((Engine::Docker, ID.into())));
    }

    #[test]
    fn what_is_no_container() {
        for path in [
            "/system.slice/nginx.service".to_owned(),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            "/docker/buildkit".to_owned(),
            "/user.slice".to_owned(),
            String::new(),
        ] {
            assert_eq!(of(&path), None, "{path}");
        }
    }
}
