//! Installs what building and testing need: Debian packages, a toolchain for
//! the BPF target, bpf-linker. Nothing that is there is touched.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::python;
use crate::shell::{self, as_root, cargo, command, find, output, say, succeeds};

const BPF_LINKER: &str = "0.13.0";

/// The LLVM that bpf-linker reads bitcode with; not older than rustc's own.
const LLVM: &str = "22";

/// Programs, and the package that has each. Asked for by program, because
/// they may well come from elsewhere (Docker's own packages, a local build).
const PROGRAMS: [(&str, &str); 22] = [
    ("gcc", "gcc"),
    ("g++", "g++"),
    ("pkg-config", "pkg-config"),
    ("curl", "curl"),
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("podman", "podman"),
    ("runc", "runc"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("docker-registry", "docker-registry"),
    ("openssl", "openssl"),
    ("mmdebstrap", "mmdebstrap"),
    ("busybox", "busybox-static"),
    ("iptables", "iptables"),
    ("strace", "strace"),
    ("sudo", "sudo"),
    ("shellcheck", "shellcheck"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("cpio", "cpio"),
    ("dpkg-deb", "dpkg"),
    ("xz", "xz-utils"),
];

/// Packages without a program of their own to ask for.
const DATA: [&str; 3] = ["ca-certificates", "debian-archive-keyring", "libc6-dev"];

/// What bpf-linker links with.
const LINKER_LIBRARIES: [&str; 5] =
    ["llvm-22-dev", "libpolly-22-dev", "libzstd-dev", "zlib1g-dev", "libxml2-dev"];

/// Runs the task.
pub fn run_steps() -> Result<()> {
    let mut apt = Apt::default();
    let programs = PROGRAMS.iter().filter(|(program, _)| find(program).is_none());
    let mut missing: Vec<&str> = programs.map(|&(_, package)| package).collect();
    missing.extend(DATA.iter().filter(|package| !installed(package)));
    missing.dedup();
    apt.install(&missing)?;
    if missing.is_empty() {
        say("packages: nothing missing");
    }
    compose(&mut apt)?;
    toolchain(&mut apt)?;
    linker(&mut apt)?;
    python::ensure()?;
    Ok(())
}

/// Runs the task and says that it is through.
pub fn run() -> Result<()> {
    run_steps()?;
    say("setup is complete");
    Ok(())
}

/// Installs what one task needs beyond the setup: programs, each with the
/// package that has it.
pub fn ensure_programs(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = programs
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|&(_, package)| package)
        .collect();
    Apt::default().install(&missing)
}

/// Compose, which is a plug-in of Docker or, in older distributions, a program
/// of its own.
fn compose(apt: &mut Apt) -> Result<()> {
    if succeeds(command("docker").args(["compose", "version"])) || find("docker-compose").is_some()
    {
        say("compose: already there");
        return Ok(());
    }
    let plugin = apt.offers(&["docker-compose-v2"])?;
    apt.install(&[if plugin { "docker-compose-v2" } else { "docker-compose" }])
}

/// Picks what compiles for the BPF target, in the build script's order, and
/// installs it if there is none: the distribution's where there is one,
/// because its core is ready made.
fn toolchain(apt: &mut Apt) -> Result<()> {
    if let Some(rustc) = env::var_os("PROFILER_EBPF_RUSTC") {
        say(format!("BPF toolchain: {} (PROFILER_EBPF_RUSTC)", Path::new(&rustc).display()));
        return Ok(());
    }
    if nightly_has_source() {
        say("BPF toolchain: rustup's nightly with rust-src");
        return Ok(());
    }
    let distribution = ["rustc-web", "libstd-rust-web-dev-bpf"];
    if !has_ready_core() && apt.offers(&distribution)? {
        apt.install(&distribution)?;
    }
    if has_ready_core() {
        say("BPF toolchain: the distribution's rustc with its ready core");
        return Ok(());
    }
    let rustup = find("rustup").context(
        "this distribution has no rustc for the BPF target and rustup is not installed; install \
         rustup and run `cargo xtask setup` again",
    )?;
    say("this distribution has no rustc for the BPF target; installing rustup's nightly");
    shell::run(command(&rustup).args([
        "toolchain",
        "install",
        "nightly",
        "--profile=minimal",
        "--component=rust-src",
    ]))?;
    ensure!(nightly_has_source(), "rustup's nightly still has no rust-src after its installation");
    say("BPF toolchain: rustup's nightly with rust-src (installed)");
    Ok(())
}

fn nightly_has_source() -> bool {
    let sysroot = find("rustup").and_then(|rustup| {
        output(command(rustup).args(["run", "nightly", "rustc", "--print=sysroot"])).ok()
    });
    sysroot.is_some_and(|root| Path::new(&root).join("lib/rustlib/src/rust/library/core").is_dir())
}

fn has_ready_core() -> bool {
    let Ok(sysroot) = output(command("/usr/bin/rustc").arg("--print=sysroot")) else {
        return false;
    };
    let library = PathBuf::from(sysroot).join("lib/rustlib/bpfel-unknown-none/lib");
    std::fs::read_dir(library).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

fn linker(apt: &mut Apt) -> Result<()> {
    if let Some(linker) = find("bpf-linker")
        && let Ok(version) = output(command(&linker).arg("--version"))
    {
        say(format!("{version}: already there ({})", linker.display()));
        return Ok(());
    }
    let missing: Vec<&str> =
        LINKER_LIBRARIES.into_iter().filter(|package| !installed(package)).collect();
    if apt.offers(&missing)? {
        apt.install(&missing)?;
        let prefix = format!("/usr/lib/llvm-{LLVM}");
        // Another LLVM's llvm-config earlier in PATH would be taken, and its
        // libraries do not link.
        let path = format!("{prefix}/bin:{}", env::var("PATH").unwrap_or_default());
        shell::run(
            cargo()
                .args(["install", "bpf-linker", "--version", BPF_LINKER, "--no-default-features"])
                .args(["--features", &format!("llvm-{LLVM}")])
                .env("PATH", path)
                .env("LLVM_PREFIX", &prefix)
                .env(format!("LLVM_SYS_{LLVM}1_PREFIX"), &prefix),
        )?;
    } else {
        say(format!("this distribution has no LLVM {LLVM}; fetching a prebuilt bpf-linker"));
        if find("cargo-binstall").is_none() {
            shell::run(cargo().args(["install", "--locked", "cargo-binstall"]))?;
        }
        let binstall =
            find("cargo-binstall").context("cargo-binstall is not where it should be")?;
        let wanted = format!("bpf-linker@{BPF_LINKER}");
        shell::run(command(binstall).args([
            "--no-confirm",
            "--disable-strategies=compile",
            &wanted,
        ]))?;
    }
    ensure!(find("bpf-linker").is_some(), "bpf-linker is not there after its installation");
    say(format!("bpf-linker {BPF_LINKER}: installed"));
    Ok(())
}

/// apt-get, whose package lists are updated once, and only when needed.
#[derive(Default)]
struct Apt {
    updated: bool,
}

impl Apt {
    fn update(&mut self) -> Result<()> {
        if self.updated {
            return Ok(());
        }
        if find("apt-get").is_none() {
            bail!(
                "only Debian and Ubuntu are set up by this task; install by hand what these \
                 packages hold: {}",
                PROGRAMS.map(|(_, package)| package).join(" ")
            );
        }
        shell::run(as_root("apt-get").args(["update", "--quiet"]))?;
        self.updated = true;
        Ok(())
    }

    fn install(&mut self, packages: &[&str]) -> Result<()> {
        if packages.is_empty() {
            return Ok(());
        }
        self.update()?;
        shell::run(
            as_root("apt-get")
                .args(["install", "--yes", "--quiet", "--no-install-recommends"])
                .args(packages)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )?;
        say(format!("packages installed: {}", packages.join(" ")));
        Ok(())
    }

    /// Whether every one of `packages` can be installed.
    fn offers(&mut self, packages: &[&str]) -> Result<bool> {
        if packages.is_empty() {
            return Ok(true);
        }
        self.update()?;
        Ok(packages.iter().all(|package| {
            output(command("apt-cache").args(["policy", package])).is_ok_and(|policy| {
                policy.contains("Candidate:") && !policy.contains("Candidate: (none)")
            })
        }))
    }
}

fn installed(package: &str) -> bool {
    output(command("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]))
        .is_ok_and(|status| status == "installed")
}
