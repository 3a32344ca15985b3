//! A virtual machine that runs until it powers itself off.
//!
//! Two serial ports, each written to a file: the console, and the results.
//! The processor is emulated: nested virtualization is rare where tests run,
//! and the emulation needs no privilege.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::results::tail;
use crate::shell::{command, find};

/// What the guest's clock counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Clock {
    /// Time, as it passes here.
    Wall,
    /// Instructions of the guest while it has any to run, a nanosecond each,
    /// by one processor: how busy this machine is does not show.
    Instructions,
}

impl Clock {
    /// With its processors: Debian's 6.1 does not get a second one up when
    /// time stands still unless something runs.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Wall => &["-smp", "2"],
            Self::Instructions => &["-smp", "1", "-icount", "shift=0"],
        }
    }
}

/// What a machine needs.
#[derive(Debug)]
pub struct Machine<'a> {
    /// Kernel image.
    pub kernel: &'a Path,
    /// Initial ramdisk.
    pub initramfs: &'a Path,
    /// Where the logs go; must exist.
    pub directory: &'a Path,
    /// The guest's clock.
    pub clock: Clock,
    /// When it is stopped.
    pub limit: Duration,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// What the guest wrote to its second serial port.
    pub results: String,
    /// The file with what it wrote to its console.
    pub console: PathBuf,
    /// The limit passed before it powered off.
    pub timed_out: bool,
    /// From start to end.
    pub took: Duration,
}

impl Machine<'_> {
    /// Boots it and waits for its end.
    ///
    /// # Errors
    /// When QEMU does not start or fails.
    pub fn run(&self) -> Result<Ended> {
        let console = self.directory.join("console.log");
        let results = self.directory.join("results.log");
        for log in [&console, &results] {
            fs::write(log, "").with_context(|| format!("cannot write {}", log.display()))?;
        }
        let program = find("qemu-system-x86_64")
            .context("qemu-system-x86_64 was not found; `cargo xtask setup` installs it")?;
        let messages = self.directory.join("qemu.log");
        let log = fs::File::create(&messages)
            .with_context(|| format!("cannot create {}", messages.display()))?;
        let start = Instant::now();
        let child = command(program)
            // One thread for both processors: with one each, a processor may
            // run a stale translation of code that the other has just patched
            // (a static key's breakpoint), which the kernel takes for a fault.
            .args(["-accel", "tcg,thread=single", "-cpu", "max", "-m", "1024"])
            .args(self.clock.arguments())
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .arg("-serial")
            .arg(port(&console))
            .arg("-serial")
            .arg(port(&results))
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-initrd")
            .arg(self.initramfs)
            // A panic reboots, and a reboot ends it. On a busy machine the
            // emulated timer is late, which the kernel takes for a broken one.
            .args(["-append", "console=ttyS0 quiet panic=1 no_timer_check"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start qemu-system-x86_64")?;
        let mut running = Running(child);
        let status = loop {
            if let Some(status) = running.0.try_wait().context("cannot wait for QEMU")? {
                break Some(status);
            }
            if start.elapsed() > self.limit {
                break None;
            }
            sleep(Duration::from_millis(100));
        };
        drop(running);
        ensure!(
            status.is_none_or(|status| status.success()),
            "QEMU failed: {}; its messages are in {}",
            fs::read_to_string(&messages).unwrap_or_default().trim(),
            messages.display()
        );
        let bytes =
            fs::read(&results).with_context(|| format!("cannot read {}", results.display()))?;
        Ok(Ended {
            results: String::from_utf8_lossy(&bytes).into_owned(),
            console,
            timed_out: status.is_none(),
            took: start.elapsed(),
        })
    }
}

impl Ended {
    /// The end of its console, and where the rest is.
    pub fn last_words(&self) -> String {
        let console = fs::read(&self.console).unwrap_or_default();
        let said = tail(&String::from_utf8_lossy(&console));
        format!("the end of the console ({}):\n{said}", self.console.display())
    }
}

/// A serial port into a file, as QEMU spells it.
fn port(file: &Path) -> String {
    format!("file:{}", file.display())
}

/// A QEMU that does not outlive its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that is gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
