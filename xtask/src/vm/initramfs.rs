//! The guest's file tree, packed as an initial ramdisk: the profiler and the
//! case programs, both static; runc and busybox of this machine; scripts.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::guests::Task;
use super::kernels::Unpacked;
use crate::shell::{self, cargo, command, find, output, target, workspace};

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Builds what the guest runs; returns where the case programs are.
///
/// # Errors
/// When a build fails.
pub fn build() -> Result<PathBuf> {
    // Static, because the guest has no libraries but runc's. A target named
    // keeps the flags away from build scripts and proc macros, and the
    // results apart from the machine's own.
    shell::run(
        cargo()
            .args(["build", "--target", TRIPLE])
            .args(["--package", "profiler", "--bin", "profiler"])
            .args(["--package", "integration-tests", "--bin", "cases"])
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            // An emulated processor feels the difference, and nothing in the
            // guest reads debug information, most of a file otherwise.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("CARGO_PROFILE_DEV_STRIP", "true"),
    )?;
    Ok(built("cases"))
}

/// A program that [`build`] built.
fn built(name: &str) -> PathBuf {
    target().join(TRIPLE).join("debug").join(name)
}

/// Packs the tree with every kernel's modules into `directory` and returns
/// the archive. Nothing is compressed: an emulated processor would take
/// longer to undo it than reading takes.
///
/// # Errors
/// When a part is missing or a program fails.
pub fn pack(directory: &Path, kernels: &[Unpacked], task: &Task) -> Result<PathBuf> {
    let tree = directory.join("guest");
    let _ = fs::remove_dir_all(&tree);
    for place in ["bin", "etc", "lib/modules", "usr/bin", "usr/sbin"] {
        create(&tree.join(place))?;
    }
    for name in ["profiler", "cases"] {
        copy(&built(name), &tree.join("usr/bin").join(name))?;
    }
    let busybox = program("busybox")?;
    ensure!(
        libraries(&busybox)?.is_empty(),
        "{} is not static; `cargo xtask setup` installs busybox-static",
        busybox.display()
    );
    copy(&busybox, &tree.join("bin/busybox"))?;
    let runc = program("runc")?;
    for library in libraries(&runc)? {
        let place = tree.join(library.strip_prefix("/").unwrap_or(&library));
        create(place.parent().unwrap_or(&tree))?;
        copy(&library, &place)?;
    }
    copy(&runc, &tree.join("usr/sbin/runc"))?;

    let sources = workspace().join("xtask/vm");
    copy(&sources.join("config.json"), &tree.join("etc/config.json"))?;
    copy(&sources.join(task.script), &tree.join("etc/task"))?;
    for (source, place) in [
        ("init.sh", "init"),
        ("containers.sh", "usr/bin/containers"),
        ("observe.sh", "usr/bin/observe"),
    ] {
        let place = tree.join(place);
        copy(&sources.join(source), &place)?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", place.display()))?;
    }
    let settings = tree.join("etc/vm.conf");
    let lines = task.settings.iter().map(|(name, value)| format!("{name}='{value}'\n"));
    fs::write(&settings, lines.collect::<String>())
        .with_context(|| format!("cannot write {}", settings.display()))?;

    for kernel in kernels {
        let place = tree.join("lib/modules").join(&kernel.release);
        create(&place)?;
        for (number, module) in kernel.modules.iter().enumerate() {
            let name = module.file_name().context("a module without a name")?;
            // The script loads them in the order of their names.
            copy(module, &place.join(format!("{number}-{}", name.to_string_lossy())))?;
        }
    }
    archive(&tree, &directory.join("initramfs.cpio"))
}

/// Writes `tree` as the kind of archive that the kernel unpacks.
fn archive(tree: &Path, archive: &Path) -> Result<PathBuf> {
    let file =
        File::create(archive).with_context(|| format!("cannot create {}", archive.display()))?;
    shell::run(
        command("sh")
            .args([
                "-c",
                "find . -print0 | cpio --null --create --quiet --format=newc --owner=+0:+0",
            ])
            .current_dir(tree)
            .stdout(file),
    )?;
    Ok(archive.to_owned())
}

/// A program of this machine.
fn program(name: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("{name} was not found; `cargo xtask setup` installs it"))
}

/// The shared libraries a program needs and its loader; none for a static
/// one, which ldd refuses.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let Ok(listing) = output(command("ldd").arg(program)) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for line in listing.lines() {
        ensure!(!line.contains("not found"), "{} lacks a library: {line}", program.display());
        let path = line.split_whitespace().find(|word| word.starts_with('/'));
        found.extend(path.map(PathBuf::from));
    }
    Ok(found)
}

fn create(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
