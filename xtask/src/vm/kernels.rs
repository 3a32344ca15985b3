//! The kernels of the matrix: Debian's packages, fetched once and unpacked.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::shell::{as_root, command, find, output, run, say, workspace};

/// A line of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// What the command line and the tables call it.
    pub name: &'static str,
    /// Debian's suite.
    suite: &'static str,
    /// The suite's metapackage whose only kernel is the newest of its series.
    package: &'static str,
}

/// The matrix. A kernel must have `CONFIG_DEBUG_INFO_BTF`, and a serial port
/// and an initial ramdisk without modules.
pub const KERNELS: [Kernel; 2] = [
    Kernel { name: "6.1", suite: "bookworm", package: "linux-image-cloud-amd64" },
    Kernel { name: "6.12", suite: "bookworm", package: "linux-image-6.12-cloud-amd64" },
];

/// Modules the guest loads, in this order.
pub const MODULES: [&str; 1] = ["overlay"];

/// Where the package has its modules.
const MODULE_ROOT: &str = "lib/modules";

/// What an unpacked package gives.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// Its line in the matrix.
    pub kernel: Kernel,
    /// `uname -r`.
    pub release: String,
    /// The image to boot.
    pub image: PathBuf,
    /// The files of [`MODULES`], not compressed.
    pub modules: Vec<PathBuf>,
}

impl Kernel {
    /// The kernel of this name.
    ///
    /// # Errors
    /// When there is none; the message lists those there are.
    pub fn named(name: &str) -> Result<Self, String> {
        KERNELS.into_iter().find(|kernel| kernel.name == name).ok_or_else(|| {
            let names = KERNELS.map(|kernel| kernel.name).join(", ");
            format!("no such kernel; there are {names}")
        })
    }

    /// Downloads and unpacks it below `directory`, unless that was done
    /// before: a kernel once fetched stays until the directory is removed.
    ///
    /// # Errors
    /// When the archive does not answer, or the package holds something else
    /// than it should.
    pub fn fetch(self, directory: &Path) -> Result<Unpacked> {
        let ready = directory.join(self.name);
        if !ready.is_dir() {
            let part = directory.join(format!("{}.part", self.name));
            let _ = fs::remove_dir_all(&part);
            fs::create_dir_all(&part)
                .with_context(|| format!("cannot create {}", part.display()))?;
            self.unpack(&part)?;
            fs::rename(&part, &ready)
                .with_context(|| format!("cannot rename {}", part.display()))?;
        }
        let unpacked = self.look(&ready).with_context(|| {
            format!("{} is not whole; remove it and try again", ready.display())
        })?;
        say(format!("kernel {}: {}", self.name, unpacked.release));
        Ok(unpacked)
    }

    fn unpack(self, part: &Path) -> Result<()> {
        let mmdebstrap = find("mmdebstrap").context("mmdebstrap was not found")?;
        let hook = workspace().join("xtask/vm/download.sh");
        run(as_root(mmdebstrap)
            .args(["--quiet", "--variant=custom", "--format=null"])
            .arg(format!("--customize-hook={}", hook.display()))
            .args([self.suite, "-"])
            .env("VM_PACKAGE", self.package)
            .env("VM_DIRECTORY", part))
        .with_context(|| {
            format!("cannot download the kernel of Debian's {} ({})", self.package, self.suite)
        })?;
        let archive = only(part, |name| name.ends_with(".deb"))?;
        let tree = part.join("tree");
        run(command("dpkg-deb").arg("--extract").arg(&archive).arg(&tree))?;
        let image = only(&tree.join("boot"), |name| name.starts_with("vmlinuz-"))?;
        let release = only(&tree.join(MODULE_ROOT), |_| true)?;
        for module in MODULES {
            let packed = search(&release, module)?
                .with_context(|| format!("{} has no module {module}", archive.display()))?;
            let plain = part.join(format!("{module}.ko"));
            copy(&packed, &plain)?;
        }
        // Its name says the release.
        let name = image.file_name().context("a kernel image without a name")?;
        fs::rename(&image, part.join(name))
            .with_context(|| format!("cannot rename {}", image.display()))?;
        fs::remove_dir_all(&tree).with_context(|| format!("cannot remove {}", tree.display()))
    }

    fn look(self, directory: &Path) -> Result<Unpacked> {
        let image = only(directory, |name| name.starts_with("vmlinuz-"))?;
        let release = image
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix("vmlinuz-"))
            .context("a kernel image's name is not text")?
            .to_owned();
        let modules: Vec<_> =
            MODULES.iter().map(|module| directory.join(format!("{module}.ko"))).collect();
        for module in &modules {
            ensure!(module.is_file(), "{} is missing", module.display());
        }
        Ok(Unpacked { kernel: self, release, image, modules })
    }
}

/// Copies a module and takes its compression off: the guest's insmod does
/// not know any, and not every kernel does.
fn copy(packed: &Path, plain: &Path) -> Result<()> {
    match packed.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => {
            fs::copy(packed, plain).with_context(|| format!("cannot copy {}", packed.display()))?;
            Ok(())
        }
        Some("xz") => {
            let file = fs::File::create(plain)
                .with_context(|| format!("cannot create {}", plain.display()))?;
            run(command("xz").args(["--decompress", "--stdout"]).arg(packed).stdout(file))
        }
        _ => bail!("{} is compressed in a way this task does not know", packed.display()),
    }
}

/// The only entry of a directory whose name fits.
fn only(directory: &Path, fits: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("cannot read directory {}", directory.display()))?;
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(&fits))
        .map(|entry| entry.path())
        .collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        count => bail!("{} holds {count} such entries where one was awaited", directory.display()),
    }
}

/// Finds a module's file, whatever its compression.
fn search(directory: &Path, module: &str) -> Result<Option<PathBuf>> {
    let found = output(command("find").arg(directory).args([
        "-name",
        &format!("{module}.ko*"),
        "-type",
        "f",
    ]))?;
    Ok(found.lines().next().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_found_by_its_whole_name() {
        assert_eq!(Kernel::named("6.12").map(|kernel| kernel.name), Ok("6.12"));
        assert_eq!(Kernel::named("6.1").map(|kernel| kernel.name), Ok("6.1"));
        let error = Kernel::named("6").unwrap_err();
        assert!(error.contains("6.1, 6.12"), "{error}");
    }
}
