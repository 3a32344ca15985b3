//! The observers: how each is started, known to be attached, and ended.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use tempfile::TempDir;

use super::findings::{self, Findings};
use super::process;
use crate::shell::{self, command, find, scratch, target, workspace};

/// Programs that the setup does not install, and the package that has each.
pub const PROGRAMS: [(&str, &str); 1] = [("opensnoop.bt", "bpftrace")];

/// How long an observer may take to attach, or to end.
const LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(10);

/// How often memory is asked for while the workload runs.
const SAMPLING: Duration = Duration::from_millis(50);

/// An observer whose output has not grown for this long has caught up.
const QUIET: Duration = Duration::from_millis(500);

/// Who observes; the variants' order is the table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Observer {
    /// Nobody: the baseline.
    None,
    /// `profiler run`.
    Profiler,
    /// bpftrace's `opensnoop.bt`.
    Opensnoop,
    /// fanotify on the container's file system, as fatrace uses it.
    Fanotify,
    /// strace attached to the container's first process, following its children.
    Strace,
}

impl Observer {
    /// Name in tables and on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether it must be there before the container is.
    pub fn comes_first(self) -> bool {
        self == Self::Profiler
    }
}

/// What an observer is pointed at.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The container's image.
    pub image: &'a str,
    /// The container's first process; 0 for an observer that comes first.
    pub pid: u32,
    /// Hook tier for `profiler run`.
    pub tier: Option<&'a str>,
    /// Prefix of the paths that count.
    pub prefix: Option<&'a str>,
}

/// What an observer cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// CPU seconds of its process from the opening of the gate to its end,
    /// in user mode and in the kernel.
    pub cpu: f64,
    /// Peak resident memory of its process (`VmHWM`), KiB.
    pub peak_kib: u64,
}

/// An attached observer. Dropping it ends it.
pub struct Running {
    observer: Observer,
    child: Child,
    directory: TempDir,
    cpu_before: f64,
    /// The highest `VmHWM` read until now, KiB.
    peak_kib: Arc<AtomicU64>,
    sampler: Option<JoinHandle<()>>,
}

/// Builds what an observer needs and the distribution does not have.
///
/// # Errors
/// When rustc fails.
pub fn build() -> Result<()> {
    shell::run(
        command("rustc")
            .args(["--edition=2024", "-Copt-level=2"])
            .arg(workspace().join("xtask/bench/fanotify.rs"))
            .arg("-o")
            .arg(fanotify()?),
    )
}

fn fanotify() -> Result<PathBuf> {
    Ok(scratch()?.join("bench-fanotify"))
}

impl Running {
    /// Starts `observer` and waits until it is attached; none for
    /// [`Observer::None`].
    ///
    /// # Errors
    /// When it does not start or attach.
    pub fn start(observer: Observer, at: Target<'_>) -> Result<Option<Self>> {
        let directory = tempfile::tempdir_in(scratch()?).context("cannot make a directory")?;
        let Some(mut command) = observer_command(observer, at, directory.path())? else {
            return Ok(None);
        };
        let name = observer.name();
        let errors = File::create(directory.path().join("stderr"))?;
        let child =
            command.stderr(errors).spawn().with_context(|| format!("cannot start {name}"))?;
        let mut running = Self {
            observer,
            child,
            directory,
            cpu_before: 0.0,
            peak_kib: Arc::default(),
            sampler: None,
        };
        running.wait_until_attached(at.pid).with_context(|| {
            let said = fs::read_to_string(running.path("stderr")).unwrap_or_default();
            format!("{name} did not attach; it says: {}", said.trim())
        })?;
        Ok(Some(running))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// To be called before the gate opens: CPU time until now does not count,
    /// and memory is watched from now on. strace ends with the workload, and
    /// an ended process has no memory to ask for.
    ///
    /// # Errors
    /// When its process is gone.
    pub fn begin(&mut self) -> Result<()> {
        let pid = self.pid();
        self.cpu_before = process::stat(pid)?.cpu;
        let peak = Arc::clone(&self.peak_kib);
        self.sampler = Some(std::thread::spawn(move || {
            while let Some(kib) = process::status(pid, "VmHWM") {
                peak.fetch_max(kib, Ordering::Relaxed);
                sleep(SAMPLING);
            }
        }));
        Ok(())
    }

    /// Lets it catch up, ends it, and reads what it found.
    ///
    /// # Errors
    /// When it does not end, or its output cannot be read.
    pub fn finish(mut self, at: Target<'_>) -> Result<(Cost, Findings)> {
        match self.observer {
            // The end of its command's stdin ends the command.
            Observer::Profiler => drop(self.child.stdin.take()),
            // It ends with the process it is attached to.
            Observer::Strace | Observer::None => {}
            Observer::Fanotify => {
                self.settle()?;
                self.interrupt();
            }
            // It sees the whole machine, which never falls silent. What it has
            // not read by now are its buffers, 256 KiB a processor.
            Observer::Opensnoop => {
                let start = Instant::now();
                let from = fs::metadata(self.path("output"))?.len();
                while !self.hears_of_an_open(from)? {
                    ensure!(start.elapsed() < LIMIT, "opensnoop does not catch up");
                    sleep(PAUSE);
                }
                sleep(QUIET);
                self.interrupt();
            }
        }
        let cost = self.watch_end()?;
        let status = self.child.wait().context("cannot wait for an observer")?;
        if self.observer == Observer::Profiler {
            let said = fs::read_to_string(self.path("stderr")).unwrap_or_default();
            ensure!(status.success(), "profiler run ended with {status}: {}", said.trim());
        }
        let findings = match self.observer {
            Observer::Profiler => findings::of_profile(&self.path("output"), at.prefix)?,
            Observer::Opensnoop => {
                let mut found = findings::of_lines(&self.path("output"), at.prefix)?;
                found.lost = Some(
                    findings::bpftrace_lost(&fs::read_to_string(self.path("stderr"))?)
                        + found.lost.unwrap_or(0),
                );
                found
            }
            Observer::Fanotify => findings::of_lines(&self.path("output"), at.prefix)?,
            // ptrace stops the process until the event is taken.
            Observer::Strace | Observer::None => {
                Findings { lost: Some(0), ..findings::of_lines(&self.path("output"), at.prefix)? }
            }
        };
        Ok((cost, findings))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn wait_until_attached(&mut self, pid: u32) -> Result<()> {
        if self.observer == Observer::Profiler {
            // Its command runs once the programs are attached.
            let stdout = self.child.stdout.take().context("profiler run has no stdout")?;
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line)?;
            ensure!(line == "attached\n", "it ended before it ran its command");
            return Ok(());
        }
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            let attached = match self.observer {
                Observer::Strace => process::status(pid, "TracerPid") == Some(self.pid().into()),
                Observer::Fanotify => process::has_fanotify_mark(self.pid()),
                // It says that it traces before it does.
                _ => self.hears_of_an_open(0)?,
            };
            if attached {
                return Ok(());
            }
            ensure!(start.elapsed() < LIMIT, "not within {} s", LIMIT.as_secs());
            sleep(PAUSE);
        }
    }

    /// Opens a file that is not there; whether the output tells of that, or of
    /// such an open before, behind byte `from`.
    fn hears_of_an_open(&self, from: u64) -> Result<bool> {
        // Short, because opensnoop.bt cuts names off at 64 bytes.
        let name = format!("/profiler-bench-{}", std::process::id());
        let _ = File::open(&name);
        let mut output = File::open(self.path("output"))?;
        output.seek(SeekFrom::Start(from))?;
        let mut text = Vec::new();
        output.read_to_end(&mut text)?;
        Ok(text.windows(name.len()).any(|window| window == name.as_bytes()))
    }

    /// Waits until the output no longer grows.
    fn settle(&self) -> Result<()> {
        let size = || Ok::<_, anyhow::Error>(fs::metadata(self.path("output"))?.len());
        let start = Instant::now();
        let mut last = (size()?, start);
        while last.1.elapsed() < QUIET {
            sleep(PAUSE);
            let now = size()?;
            if now != last.0 {
                last = (now, Instant::now());
            }
            ensure!(
                start.elapsed() < LIMIT,
                "{} still writes after {} s",
                self.observer.name(),
                LIMIT.as_secs()
            );
        }
        Ok(())
    }

    fn interrupt(&self) {
        // SAFETY: a plain system call; the child has not been waited for, so
        // its number is still its own.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGINT) };
    }

    /// Waits until its process has ended. Memory is read more often here than
    /// before, because the workload is over and need not be left alone, and
    /// because a profile is made now.
    fn watch_end(&mut self) -> Result<Cost> {
        let start = Instant::now();
        loop {
            if let Some(kib) = process::status(self.pid(), "VmHWM") {
                self.peak_kib.fetch_max(kib, Ordering::Relaxed);
            }
            let stat = process::stat(self.pid())?;
            if stat.zombie {
                // The process's end is the sampler's.
                if let Some(sampler) = self.sampler.take() {
                    let _ = sampler.join();
                }
                return Ok(Cost {
                    cpu: (stat.cpu - self.cpu_before).max(0.0),
                    peak_kib: self.peak_kib.load(Ordering::Relaxed),
                });
            }
            ensure!(
                start.elapsed() < LIMIT,
                "{} did not end within {} s",
                self.observer.name(),
                LIMIT.as_secs()
            );
            sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After an error only; killing one that has ended changes nothing.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The command, with its output to the file `output` in `directory`.
fn observer_command(
    observer: Observer,
    at: Target<'_>,
    directory: &Path,
) -> Result<Option<Command>> {
    let output = directory.join("output");
    let root = format!("/proc/{}/root", at.pid);
    let mut observed = match observer {
        Observer::None => return Ok(None),
        Observer::Profiler => {
            let mut run = command(target().join("release/profiler"));
            run.args(["run", "--image", at.image, "--output"]).arg(&output);
            if let Some(tier) = at.tier {
                run.args(["--tier", tier]);
            }
            run.args(["--", "sh", "-c", "echo attached; read line; true"]);
            run.stdin(Stdio::piped()).stdout(Stdio::piped());
            return Ok(Some(run));
        }
        Observer::Opensnoop => {
            // It reads the tracepoints' formats below tracefs, which is not
            // mounted everywhere; a mount namespace of its own leaves the
            // machine as it is. Both commands become bpftrace, so the child's
            // number is bpftrace's.
            let script = "test -e /sys/kernel/tracing/events \
                          || mount -t tracefs tracefs /sys/kernel/tracing; exec \"$0\"";
            let program = find("opensnoop.bt").context("opensnoop.bt was not found")?;
            let mut opensnoop = command("unshare");
            opensnoop.args(["--mount", "sh", "-c", script]).arg(program);
            opensnoop.stdout(File::create(&output)?);
            opensnoop
        }
        Observer::Fanotify => {
            let mut fanotify = command(fanotify()?);
            fanotify.arg(root).arg(&output).stdout(Stdio::null());
            fanotify
        }
        Observer::Strace => {
            let calls = "trace=open,openat,openat2,creat,execve,execveat";
            let mut strace = command("strace");
            strace.args(["-f", "-q", "-e", calls, "-p", &at.pid.to_string(), "-o"]).arg(&output);
            strace.stdout(Stdio::null());
            strace
        }
    };
    observed.stdin(Stdio::null());
    Ok(Some(observed))
}
