//! The cases on the kernels of the matrix, in emulated machines: kernel ×
//! case × tier.
//!
//! ```text
//! kernels    Debian's packages ─┐
//! initramfs  static programs ───┴─► qemu ──► serial port ──► report ──► table
//! ```
//!
//! Up to the serial port it serves the benchmark of the tiers too: what the
//! guests do is a [`guests::Task`].

pub mod guests;
mod initramfs;
pub mod kernels;
pub mod qemu;
mod report;
pub mod results;

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use guests::{Guests, Task};
pub use initramfs::build as build_programs;
use kernels::{Kernel, Unpacked};
use qemu::Clock;
use report::Report;

use crate::setup;
use crate::shell::say;

/// The hook tiers each guest is asked for, in this order.
pub const TIERS: [&str; 2] = ["tracepoint", "fexit"];

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
    let task = Task { name: "cases", script: "cases.sh", settings: &[("TIERS", TIERS.join(" "))] };
    let guests = Guests::prepare(&args.kernels, &task)?;
    let limit = Duration::from_secs(args.limit);
    let reports = thread::scope(|scope| {
        let running: Vec<_> = guests
            .kernels
            .iter()
            .map(|kernel| {
                let guests = &guests;
                (kernel.kernel.name, scope.spawn(move || boot(guests, kernel, limit)))
            })
            .collect();
        running
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
        guests.logs().display()
    );
    say("vm: every kernel is as it must be");
    Ok(())
}

/// Runs one guest and reads what it said; its profiles stay beside its logs.
fn boot(guests: &Guests, kernel: &Unpacked, limit: Duration) -> Result<Report> {
    let ended = guests.boot(kernel, Clock::Wall, limit)?;
    let mut report = Report::read(&ended.results);
    for (tier, profile) in &report.profiles {
        let file = guests.place(kernel).join(format!("{tier}.json"));
        fs::write(&file, profile).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if ended.timed_out {
        report.problems.push(format!("stopped after the limit of {} s (--limit)", limit.as_secs()));
    }
    if !report.problems.is_empty() {
        report.problems.push(ended.last_words());
    }
    Ok(report)
}
