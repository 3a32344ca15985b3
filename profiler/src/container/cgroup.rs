//! Container IDs in control group names.

use std::fs;

use super::Engine;

/// A container as its control group tells it.
pub type Name = (Engine, String);

/// Where a control group stands among containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The container. For [`Engine::Unknown`] the ID is the group's full path.
    pub container: Name,
    /// Path of the control group that the container's name was found in.
    /// Names are made by whoever makes a group, inside a container too: by
    /// its path one is told from another that only calls itself so.
    pub path: String,
    /// The containers around it with their paths, nearest first. A task that
    /// still walks one of their rootfs works for that one: a runtime inside a
    /// container, before it enters the inner rootfs, or a program of the
    /// outer container that made a control group of its own.
    pub around: Vec<(Name, String)>,
}

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
/// …/SLICE:cri-containerd:ID     systemd's notation taken as a plain name
/// anything else                 unknown: `ctr`, nerdctl, bare runc or crun,
///                               a program's own group, or no container
/// ```
///
/// None for the root and for systemd's own units outside of containers.
pub fn identify(names: &[&[u8]]) -> Option<Group> {
    let mut named: Vec<(usize, Name)> =
        (0..names.len()).filter_map(|level| Some((level, name_of(names, level)?))).collect();
    // Only what the container's own programs make lies deeper than this.
    let nearest = named.first().map(|(level, _)| *level);
    let inside = match nearest {
        Some(level) => names[..level].iter().all(|name| is_unit(name)),
        None => is_unit(names.first()?),
    };
    let (container, path) = if !inside {
        let path = path_of(names);
        ((Engine::Unknown, path.clone()), path)
    } else if named.is_empty() {
        return None;
    } else {
        let (level, container) = named.remove(0);
        (container, path_of(&names[level..]))
    };
    let around = named.into_iter().map(|(level, name)| (name, path_of(&names[level..]))).collect();
    Some(Group { container, path, around })
}

/// The path of a group by its names, leaf first.
fn path_of(names: &[&[u8]]) -> String {
    let mut path = String::new();
    for name in names.iter().rev() {
        path.push('/');
        path.push_str(&String::from_utf8_lossy(name));
    }
    path
}

/// [`identify`] for a path as `/proc/PID/cgroup` and runtimes write it.
pub fn identify_path(path: &str) -> Option<Group> {
    let names: Vec<&[u8]> =
        path.rsplit('/').filter(|name| !name.is_empty()).map(str::as_bytes).collect();
    identify(&names)
}

/// Path of a process's group: in the v2 hierarchy, where the kernel's own
/// names lead; on a machine that has cgroup v1 alone, where every task is in
/// the v2 root, the one that says most of its container. Gives nothing when
/// the process is gone.
pub fn group_of(pid: u32) -> Option<String> {
    path_in_listing(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

fn path_in_listing(text: &str) -> Option<String> {
    let unified = text.lines().find_map(|line| line.strip_prefix("0::"));
    match unified {
        Some(path) if path != "/" => Some(path.to_owned()),
        _ => match identify_listing(text) {
            Some(group) => Some(group.path),
            None => unified.map(str::to_owned),
        },
    }
}

/// The container of a process by its groups in any hierarchy: what an engine
/// says of a process must hold on machines of all cgroup versions. Gives
/// nothing when the process is gone.
pub fn identify_pid(pid: u32) -> Option<Group> {
    identify_listing(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

/// The best answer in the text of `/proc/PID/cgroup` (cgroups(7)): a path
/// that names its engine before one that does not.
fn identify_listing(text: &str) -> Option<Group> {
    let mut best = None;
    for line in text.lines() {
        let Some(path) = line.splitn(3, ':').nth(2) else { continue };
        match identify_path(path) {
            Some(group) if group.container.0 != Engine::Unknown => return Some(group),
            // A hierarchy may be nested deeper than the others by whatever
            // manages the machine: the shortest is the container's own.
            Some(group) => match &best {
                Some(Group { container, .. }) if container.1.len() <= group.container.1.len() => {}
                _ => best = Some(group),
            },
            None => {}
        }
    }
    best
}

/// The container that the name at `level` stands for.
fn name_of(names: &[&[u8]], level: usize) -> Option<Name> {
    let name = std::str::from_utf8(names[level]).ok()?;
    let stem = name.strip_suffix(".scope").unwrap_or(name);
    let above = names.get(level + 1).and_then(|name| std::str::from_utf8(name).ok());
    const PREFIXES: [(&str, Engine); 5] = [
        ("docker", Engine::Docker),
        ("libpod-payload", Engine::Podman),
        ("libpod", Engine::Podman),
        ("cri-containerd", Engine::Cri),
        ("crio", Engine::Cri),
    ];
    for (prefix, engine) in PREFIXES {
        let after = stem.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
        // `SLICE:PREFIX:ID`, by a runtime that was set to cgroupfs.
        let colon = || {
            let (front, id) = stem.rsplit_once(':')?;
            (front.rsplit(':').next() == Some(prefix)).then_some(id)
        };
        if let Some(id) = after.or_else(colon).filter(|id| is_id(id)) {
            return Some((engine, id.to_owned()));
        }
    }
    if !is_id(stem) {
        return None;
    }
    let in_kubernetes =
        names[level..].iter().any(|name| name.starts_with(b"kubepods") || name.starts_with(b"pod"));
    match above {
        // containerd's usual namespaces: the state tells which it is.
        Some("default" | "k8s.io") => None,
        _ if in_kubernetes => Some((Engine::Cri, stem.to_owned())),
        // Docker's own parent, or any that `--cgroup-parent` names.
        Some(_) => Some((Engine::Docker, stem.to_owned())),
        None => None,
    }
}

/// Groups that systemd makes, on the host or as a container's first process,
/// and the one that OCI runtimes make below a scope for the container's
/// processes. A runtime's own scope holds a container.
fn is_unit(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let runtime = name.starts_with("runc-") || name.starts_with("crun-");
    name == "container"
        || name == "init.scope"
        || name.ends_with(".service")
        || name.ends_with(".slice")
        || name.ends_with(".mount")
        || name.ends_with(".socket")
        || (name.ends_with(".scope") && !runtime && !name.starts_with("nerdctl-"))
}

/// 64 hexadecimal digits. `libpod-conmon-…` is no container.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4b77552600f19ec1c9949babb408baed8562fd26f90342eb7e22b1d064ce7e13";

    fn of(path: &str) -> Option<Name> {
        identify_path(path).map(|group| group.container)
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
            (format!("/actions_job/{ID}"), Engine::Docker),
            (format!("/docker/{ID}/system.slice/nginx.service"), Engine::Docker),
            (format!("/system.slice/web.service/libpod-payload-{ID}"), Engine::Podman),
            (format!("/system.slice/kubepods-pod8f.slice:cri-containerd:{ID}"), Engine::Cri),
        ] {
            assert_eq!(of(&path), Some((engine, ID.to_owned())), "{path}");
            let own = identify_path(&path).unwrap().path;
            assert!(path.starts_with(&own) && own.contains(ID), "{own}");
        }
    }

    #[test]
    fn a_nested_container_is_the_inner_one() {
        let outer = "f".repeat(64);
        let around = vec![((Engine::Docker, outer.clone()), format!("/docker/{outer}"))];
        for (path, container) in [
            (format!("/docker/{outer}/docker/{ID}"), (Engine::Docker, ID.to_owned())),
            (format!("/docker/{outer}/web"), (Engine::Unknown, format!("/docker/{outer}/web"))),
            (
                format!("/docker/{outer}/libpod_parent/conmon"),
                (Engine::Unknown, format!("/docker/{outer}/libpod_parent/conmon")),
            ),
        ] {
            let expected = Group { container, path: path.clone(), around: around.clone() };
            assert_eq!(identify_path(&path), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_the_name_does_not_tell_is_known_by_its_path() {
        for path in [
            "/web".to_owned(),
            "/default/web-1".to_owned(),
            format!("/default/{ID}"),
            format!("/{ID}"),
            "/system.slice/runc-web.scope".to_owned(),
            format!("/system.slice/nerdctl-{ID}.scope"),
            "/docker/buildkit".to_owned(),
        ] {
            assert_eq!(of(&path), Some((Engine::Unknown, path.clone())), "{path}");
        }
    }

    #[test]
    fn what_is_no_container() {
        for path in [
            "/system.slice/nginx.service".to_owned(),
            "/init.scope".to_owned(),
            "/user.slice/user-1000.slice/session-2.scope".to_owned(),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            "/user.slice".to_owned(),
            String::new(),
        ] {
            assert_eq!(of(&path), None, "{path}");
        }
    }

    #[test]
    fn a_process_is_known_by_any_hierarchy() {
        let text = format!("9:name=systemd:/\n4:memory:/outer/docker/{ID}\n0::/\n");
        let found = identify_listing(&text).unwrap();
        assert_eq!(found.container, (Engine::Docker, ID.to_owned()));
        let found = identify_listing("4:memory:/outer/web\n3:pids:/web\n0::/\n").unwrap();
        assert_eq!(found.container, (Engine::Unknown, "/web".into()));
        assert_eq!(identify_listing("3:pids:/\n0::/\n"), None);
    }

    #[test]
    fn the_group_of_a_process_is_told_on_machines_of_all_versions() {
        for (listing, path) in [
            (format!("3:pids:/other\n0::/docker/{ID}\n"), format!("/docker/{ID}")),
            (format!("4:cpu:/\n3:pids:/docker/{ID}\n0::/\n"), format!("/docker/{ID}")),
            (format!("3:pids:/docker/{ID}\n"), format!("/docker/{ID}")),
            ("3:pids:/\n0::/\n".to_owned(), "/".to_owned()),
        ] {
            assert_eq!(path_in_listing(&listing), Some(path), "{listing}");
        }
    }
}
