//! Can this machine profile containers, and how? One check a line.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::capture::{CaptureError, Options, Probe, Tier};
use crate::container::containerd::{self, Containerd};
use crate::container::cri::Cri;
use crate::container::docker::Docker;
use crate::container::oci::States;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Works, with a restriction.
    Warn,
    /// Profiling cannot work.
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it came out.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Check {
    fn new(name: &'static str, status: Status, found: impl Into<String>, next: &str) -> Self {
        let next = (!next.is_empty()).then(|| next.to_owned());
        Self { name, status, found: found.into(), next }
    }

    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, found, "")
    }
}

/// Runs every check. Attaches the programs for a moment.
pub async fn check() -> Vec<Check> {
    let mut checks = vec![kernel(), btf(), capabilities(), lockdown()];
    checks.extend(tiers());
    checks.push(cgroups());
    checks.extend(engines().await);
    checks
}

/// Whether a run would fail.
pub fn failed(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.status == Status::Fail)
}

/// Loops and mapping look-ups in eBPF exist since then.
const KERNEL_MIN: (u32, u32) = (5, 17);

fn kernel() -> Check {
    let release = read("/proc/sys/kernel/osrelease");
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= KERNEL_MIN {
        return Check::ok("kernel", release);
    }
    // Distributions backport: whether it works is the tier's line to say.
    Check::new("kernel", Status::Warn, release, "Linux 5.17 or newer is known to work")
}

fn btf() -> Check {
    let path = "/sys/kernel/btf/vmlinux";
    match fs::metadata(path) {
        Ok(meta) => Check::ok("BTF", format!("{path}, {} bytes", meta.len())),
        Err(error) => Check::new(
            "BTF",
            Status::Fail,
            format!("{path}: {error}"),
            "boot a kernel built with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

/// Numbers from `linux/capability.h`.
const NEEDED: [(u32, &str); 4] =
    [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (19, "CAP_SYS_PTRACE"), (2, "CAP_DAC_READ_SEARCH")];

fn capabilities() -> Check {
    let status = read("/proc/self/status");
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    const SYS_ADMIN: u64 = 1 << 21;
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(bit, _)| {
            let by_admin = matches!(bit, 38 | 39) && effective & SYS_ADMIN != 0;
            effective & 1 << bit == 0 && !by_admin
        })
        .map(|&(_, name)| name)
        .collect();
    if missing.is_empty() {
        return Check::ok("capabilities", "all that are needed");
    }
    Check::new(
        "capabilities",
        Status::Fail,
        format!("missing {}", missing.join(", ")),
        "run as root, or give the binary these capabilities",
    )
}

fn lockdown() -> Check {
    let text = read("/sys/kernel/security/lockdown");
    // "none [integrity] confidentiality"
    let mode = text.split(['[', ']']).nth(1).unwrap_or("none");
    if mode == "confidentiality" {
        return Check::new(
            "lockdown",
            Status::Fail,
            mode,
            "boot without lockdown=confidentiality: it forbids eBPF to read kernel memory",
        );
    }
    Check::ok("lockdown", mode)
}

/// Attaches for a moment: the kernel's own answer, not a version table.
fn tiers() -> Vec<Check> {
    const NAME: &str = "hook tier";
    let attach = |tier| Probe::attach(Options { tier: Some(tier), ..Options::default() });
    let mut refused = Vec::new();
    for tier in Tier::ALL {
        match attach(tier).map(drop) {
            Ok(()) => {
                let others: String =
                    refused.iter().map(|cause: &String| format!("; not {cause}")).collect();
                let mut checks = vec![Check::ok(NAME, format!("{tier}: attached{others}"))];
                let spots = tier.blind_spots().iter();
                checks.extend(spots.map(|spot| Check::ok("blind spot", *spot)));
                return checks;
            }
            Err(CaptureError::Tier { tier, cause }) => {
                // The verifier's log is for those who ask for this tier.
                let cause = cause.lines().next().unwrap_or_default();
                let cause: String = cause.chars().take(160).collect();
                refused.push(format!("{tier}: {cause}"));
            }
            Err(error @ CaptureError::Permission) => {
                let next =
                    "run as root; in a container, privileged or with CAP_BPF and CAP_PERFMON";
                return vec![Check::new(NAME, Status::Fail, error.to_string(), next)];
            }
            Err(error) => {
                let next = "see the lines above for what the kernel lacks";
                return vec![Check::new(NAME, Status::Fail, error.to_string(), next)];
            }
        }
    }
    vec![Check::new(NAME, Status::Fail, refused.join("; "), "see the lines above")]
}

fn cgroups() -> Check {
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let hybrid = read("/proc/self/mountinfo").contains(" - cgroup2 ");
    match (unified, hybrid) {
        (true, _) => Check::ok("cgroups", "v2"),
        (false, true) => Check::ok("cgroups", "v1 with a v2 hierarchy beside it (hybrid)"),
        (false, false) => {
            Check::ok("cgroups", "v1 alone: containers are told apart by a controller")
        }
    }
}

async fn engines() -> Vec<Check> {
    let mut checks = Vec::new();
    let docker = match Docker::from_env() {
        Ok(docker) => docker.get_json("/version").await,
        Err(error) => Err(error),
    };
    let found = docker.is_ok();
    checks.push(match docker {
        Ok(version) => {
            let version = version.get("Version").and_then(Value::as_str).unwrap_or("unknown");
            Check::ok("Docker", format!("answers, version {version}"))
        }
        Err(error) => Check::new(
            "Docker",
            Status::Warn,
            error.to_string(),
            "start it if your containers are Docker's",
        ),
    });
    let podman = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).any(|dir| dir.join("podman").is_file()))
        .unwrap_or(false);
    checks.push(match (podman, found) {
        (true, _) => Check::ok("Podman", "installed"),
        (false, true) => Check::ok("Podman", "not installed"),
        (false, false) => Check::new(
            "Podman",
            Status::Warn,
            "not installed",
            "without an engine that answers, no container has a known image",
        ),
    });
    checks.push(containerd().await);
    checks.push(cri().await);
    checks.push(runtimes());
    checks
}

/// None of these is needed where another engine answers.
async fn containerd() -> Check {
    let version = match Containerd::connect().await {
        Ok(containerd) => containerd.version().await,
        Err(error) => Err(error),
    };
    let socket = containerd::socket();
    match version {
        Ok(version) => {
            Check::ok("containerd", format!("{} answers, version {version}", socket.display()))
        }
        Err(_) if !socket.exists() => {
            Check::ok("containerd", format!("none at {}", socket.display()))
        }
        Err(error) => Check::new(
            "containerd",
            Status::Warn,
            error.to_string(),
            "start it if your containers are containerd's, or name its socket in CONTAINERD_ADDRESS",
        ),
    }
}

async fn cri() -> Check {
    let mut found = Vec::new();
    let mut refused = Vec::new();
    for cri in Cri::all().await {
        match cri.version().await {
            Ok(version) => found.push(version),
            Err(error) => refused.push(error.to_string()),
        }
    }
    match (found.is_empty(), refused.is_empty()) {
        (false, _) => Check::ok("Kubernetes runtime", format!("answers: {}", found.join(", "))),
        (true, true) => {
            Check::ok("Kubernetes runtime", "no socket of containerd or CRI-O that answers")
        }
        (true, false) => Check::new(
            "Kubernetes runtime",
            Status::Warn,
            refused.join("; "),
            "for pods, enable the CRI plugin, or name the socket in CONTAINER_RUNTIME_ENDPOINT",
        ),
    }
}

/// Runtimes that are run without an engine, and what they run.
fn runtimes() -> Check {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed: Vec<&str> = ["runc", "crun"]
        .into_iter()
        .filter(|name| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()))
        .collect();
    let bare = States::all().iter().filter(|state| state.namespace.is_none()).count();
    if installed.is_empty() {
        return Check::ok("OCI runtimes", "neither runc nor crun in PATH");
    }
    Check::ok("OCI runtimes", format!("{}; {bare} state files", installed.join(", ")))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_failure_names_the_next_step() {
        let checks = check().await;
        assert!(checks.len() >= 8);
        assert!(checks.iter().all(|check| check.status == Status::Ok || check.next.is_some()));
    }
}
