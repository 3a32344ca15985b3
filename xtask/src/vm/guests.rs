//! Machines that differ in their kernel and do the same task.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::initramfs;
use super::kernels::{KERNELS, Kernel, Unpacked};
use super::qemu::{Clock, Ended, Machine};
use crate::shell::{say, scratch};

/// What a guest does once it is up.
#[derive(Debug)]
pub struct Task<'a> {
    /// Where its tree and its logs are, below the scratch directory's `vm`.
    pub name: &'a str,
    /// The script in `xtask/vm` that `init.sh` takes in.
    pub script: &'a str,
    /// Variables of the scripts, without quotes in their values.
    pub settings: &'a [(&'a str, String)],
}

/// Everything that is needed to boot.
#[derive(Debug)]
pub struct Guests {
    /// Those wanted, in the order of the matrix, each once.
    pub kernels: Vec<Unpacked>,
    initramfs: PathBuf,
    directory: PathBuf,
}

impl Guests {
    /// Fetches the kernels (none means all of the matrix), builds the programs
    /// and packs them with the task's script.
    ///
    /// # Errors
    /// When a part cannot be had or built.
    pub fn prepare(wanted: &[Kernel], task: &Task) -> Result<Self> {
        let all = scratch()?.join("vm");
        let kernels = KERNELS
            .into_iter()
            .filter(|kernel| wanted.is_empty() || wanted.contains(kernel))
            .map(|kernel| kernel.fetch(&all.join("kernels")))
            .collect::<Result<Vec<_>>>()?;
        initramfs::build()?;
        let directory = all.join(task.name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let initramfs = initramfs::pack(&directory, &kernels, task)?;
        Ok(Self { kernels, initramfs, directory })
    }

    /// Boots one and waits for its end.
    ///
    /// # Errors
    /// When QEMU does not start or fails. A guest that goes wrong is none:
    /// its results say so.
    pub fn boot(&self, kernel: &Unpacked, clock: Clock, limit: Duration) -> Result<Ended> {
        let name = kernel.kernel.name;
        let place = self.place(kernel);
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
        let machine = Machine {
            kernel: &kernel.image,
            initramfs: &self.initramfs,
            directory: &place,
            clock,
            limit,
        };
        let ended = machine.run().with_context(|| format!("kernel {name}"))?;
        say(format!("kernel {name}: the guest ended after {:.1} s", ended.took.as_secs_f64()));
        Ok(ended)
    }

    /// Where a guest's logs are.
    pub fn place(&self, kernel: &Unpacked) -> PathBuf {
        self.logs().join(kernel.kernel.name)
    }

    /// Where all guests' logs are.
    pub fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }
}
