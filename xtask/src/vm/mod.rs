//! The cases on the kernels of the matrix, in emulated machines: kernel ×
//! case × tier.
//!
//! ```text
//! kernels    Debian's packages ─┐
//! initramfs  static programs ───┴─► qemu ──► serial port ──► report ──► table
//! ```

mod initramfs;
mod kernels;
mod qemu;
mod report;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
pub use initramfs::build as build_programs;
use kernels::{KERNELS, Kernel, Unpacked};
use qemu::Machine;
use report::Report;

use crate::setup;
use crate::shell::{say, scratch};

/// The hook tiers each guest is asked for, in this order.
const TIERS: [&str; 2] = ["tracepoint", "fexit"];

/// Arguments of `cargo xtask vm`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kernels of the matrix, such as 6.12; none means all.
    #[arg(value_name = "KERNEL", value_parser = Kernel::named)]
    kernels: Vec<Kernel>,
    /// Stop a machine that takes longer than this.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    limit: u64,
}

impl Default for Args {
    /// As without any argument.
    fn default() -> Self {
        Self { kernels: Vec::new(), limit: 300 }
    }
}

/// Runs the task.
///
/// # Errors
/// When a part is missing, or a kernel's results are not what they must be.
pub fn run(args: &Args) -> Result<()> {
    setup::run_steps()?;
    run_steps(args)
}

/// Runs the task where everything is installed.
///
/// # Errors
/// As [`run`].
pub fn run_steps(args: &Args) -> Result<()> {
    // In the order of the matrix, each once.
    let wanted = KERNELS
        .into_iter()
        .filter(|kernel| args.kernels.is_empty() || args.kernels.contains(kernel));
    let directory = scratch()?.join("vm");
    let fetched = wanted
        .map(|kernel| kernel.fetch(&directory.join("kernels")))
        .collect::<Result<Vec<_>>>()?;
    initramfs::build()?;
    let initramfs = initramfs::pack(&directory, &fetched)?;

    let limit = Duration::from_secs(args.limit);
    let reports = thread::scope(|scope| {
        let guests: Vec<_> = fetched
            .iter()
            .map(|kernel| {
                let place = directory.join("logs").join(kernel.kernel.name);
                let initramfs = &initramfs;
                let guest = scope.spawn(move || boot(kernel, initramfs, &place, limit));
                (kernel.kernel.name, guest)
            })
            .collect();
        guests
            .into_iter()
            .map(|(name, guest)| match guest.join() {
                Ok(report) => Ok((name, report?)),
                Err(_) => bail!("the thread of kernel {name} panicked"),
            })
            .collect::<Result<Vec<_>>>()
    })?;
    let (text, well) = report::table(&reports);
    println!("\n{text}");
    ensure!(
        well,
        "vm: not every case is as it must be; the guests' logs are below {}",
        directory.join("logs").display()
    );
    say("vm: every kernel is as it must be");
    Ok(())
}

/// Runs one guest and reads what it said; its logs and profiles stay in
/// `place`.
fn boot(kernel: &Unpacked, initramfs: &Path, place: &Path, limit: Duration) -> Result<Report> {
    let name = kernel.kernel.name;
    let _ = fs::remove_dir_all(place);
    fs::create_dir_all(place).with_context(|| format!("cannot create {}", place.display()))?;
    let machine = Machine { kernel: &kernel.image, initramfs, directory: place, limit };
    let ended = machine.run().with_context(|| format!("kernel {name}"))?;
    say(format!("kernel {name}: the guest ended after {:.1} s", ended.took.as_secs_f64()));
    let mut report = Report::read(&ended.results);
    for (tier, profile) in &report.profiles {
        let file = place.join(format!("{tier}.json"));
        fs::write(&file, profile).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if ended.timed_out {
        report.problems.push(format!("stopped after the limit of {} s (--limit)", limit.as_secs()));
    }
    if !report.problems.is_empty() {
        let console = fs::read(&ended.console).unwrap_or_default();
        report.problems.push(format!(
            "the end of the console ({}):\n{}",
            ended.console.display(),
            report::tail(&String::from_utf8_lossy(&console))
        ));
    }
    Ok(report)
}
