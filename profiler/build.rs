//! Compiles `profiler-ebpf` for the BPF target and puts the object at
//! `OUT_DIR/profiler-ebpf`, where `capture` embeds it.
//!
//! Three toolchains can do it, tried in this order:
//!
//! 1. the `rustc` that `PROFILER_EBPF_RUSTC` names, with a ready BPF core;
//! 2. rustup's nightly with `rust-src`, which builds core itself;
//! 3. a distribution's `/usr/bin/rustc` with a ready BPF core.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // One line: cargo prints each `cargo::error` line by itself.
            println!("cargo::error={}", message.replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let ebpf = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("../profiler-ebpf");
    let workspace = ebpf.join("..");
    for watched in
        [ebpf.join("src"), ebpf.join("Cargo.toml"), workspace.join("Cargo.lock"), "build.rs".into()]
    {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    println!("cargo::rerun-if-env-changed=PROFILER_EBPF_RUSTC");

    let out = PathBuf::from(variable("OUT_DIR")?);
    let target = match variable("CARGO_CFG_TARGET_ENDIAN")?.as_str() {
        "little" => "bpfel-unknown-none",
        _ => "bpfeb-unknown-none",
    };
    let linker = find_program("bpf-linker")
        .ok_or("bpf-linker was not found; run `cargo xtask setup` to install it")?;
    let mut cargo = Toolchain::find(target)?.cargo()?;
    clean_environment(&mut cargo);
    // Apart from the outer target directory, whose lock the outer cargo holds.
    let target_dir = out.join("ebpf");
    cargo
        .args(["build", "--release", "--bin", "profiler-ebpf", "--target", target])
        .arg("--manifest-path")
        .arg(ebpf.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(&linker)?);

    let status = cargo
        .status()
        .map_err(|error| format!("cannot start {:?}: {error}", cargo.get_program()))?;
    if !status.success() {
        return Err(format!(
            "profiler-ebpf did not compile for {target} ({status}); the compiler's messages are \
             above; if its toolchain is at fault, run `cargo xtask setup`"
        ));
    }
    let object = target_dir.join(target).join("release/profiler-ebpf");
    fs::copy(&object, out.join("profiler-ebpf"))
        .map_err(|error| format!("cannot copy {}: {error}", object.display()))?;
    Ok(())
}

/// What compiles for the BPF target.
enum Toolchain {
    /// This `rustc` has `core` for the BPF target in its sysroot.
    ReadyCore(PathBuf),
    /// This `rustup` has a nightly with `rust-src`.
    Nightly(PathBuf),
}

impl Toolchain {
    fn find(target: &str) -> Result<Self, String> {
        if let Some(rustc) = env::var_os("PROFILER_EBPF_RUSTC") {
            let rustc = PathBuf::from(rustc);
            return if has_core(&rustc, target) {
                Ok(Self::ReadyCore(rustc))
            } else {
                Err(format!(
                    "PROFILER_EBPF_RUSTC names {}, which has no core for {target}; unset it, or \
                     run `cargo xtask setup` for a toolchain that has",
                    rustc.display()
                ))
            };
        }
        if let Some(rustup) = find_program("rustup").filter(|rustup| has_nightly_source(rustup)) {
            return Ok(Self::Nightly(rustup));
        }
        let distribution = PathBuf::from("/usr/bin/rustc");
        if has_core(&distribution, target) {
            return Ok(Self::ReadyCore(distribution));
        }
        Err(format!(
            "no Rust toolchain here compiles for {target}; run `cargo xtask setup` to install one"
        ))
    }

    fn cargo(&self) -> Result<Command, String> {
        match self {
            Self::ReadyCore(rustc) => {
                let mut cargo = Command::new(variable("CARGO")?);
                // eBPF needs unstable features, which a stable compiler
                // grants only to those who ask this way.
                cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
                Ok(cargo)
            }
            Self::Nightly(rustup) => {
                let mut cargo = Command::new(rustup);
                cargo.args(["run", "nightly", "cargo", "-Zbuild-std=core"]).env_remove("RUSTC");
                Ok(cargo)
            }
        }
    }
}

/// Takes back what the outer cargo (or clippy) set for its own compiler, and
/// sets the profile apart from the workspace's: BTF is made from debug
/// information, so nothing may be stripped.
fn clean_environment(cargo: &mut Command) {
    for name in [
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTFLAGS",
        "TARGET",
    ] {
        cargo.env_remove(name);
    }
    for (name, value) in [
        ("CODEGEN_UNITS", "1"),
        ("DEBUG", "2"),
        ("LTO", "false"),
        ("OPT_LEVEL", "3"),
        ("PANIC", "abort"),
        ("STRIP", "none"),
    ] {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{name}"), value);
    }
}

fn rustflags(linker: &Path) -> Result<OsString, String> {
    let arch = variable("CARGO_CFG_TARGET_ARCH")?;
    // aya-ebpf knows the kernel's register layout by this name.
    let arch = if arch.starts_with("riscv64") { "riscv64" } else { arch.as_str() };
    let mut flags = OsString::from(format!(
        "--cfg=bpf_target_arch=\"{arch}\"\x1f-Cdebuginfo=2\x1f-Clink-arg=--btf\x1f-Clinker="
    ));
    flags.push(linker);
    Ok(flags)
}

/// Whether `rustc`'s sysroot has a compiled `core` for `target`.
fn has_core(rustc: &Path, target: &str) -> bool {
    let Some(sysroot) = output(Command::new(rustc).args(["--print", "sysroot"])) else {
        return false;
    };
    let library = Path::new(&sysroot).join("lib/rustlib").join(target).join("lib");
    fs::read_dir(library).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

fn has_nightly_source(rustup: &Path) -> bool {
    output(Command::new(rustup).args(["run", "nightly", "rustc", "--print", "sysroot"]))
        .is_some_and(|sysroot| {
            Path::new(&sysroot).join("lib/rustlib/src/rust/library/core").is_dir()
        })
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.env_remove("RUSTC").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Looks in `PATH`, then where `cargo install` puts programs.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    env::split_paths(&path)
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("cargo did not set {name}: {error}"))
}
