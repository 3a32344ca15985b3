//! A container that waits at a gate until everything is in place.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::shell::{command, output, scratch};

const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// For Docker's client to start and connect.
const CLIENT: Duration = Duration::from_millis(200);

/// A container whose workload has not begun. Dropping it removes it.
pub struct Gated {
    id: String,
    pid: u32,
    gate: TempDir,
    /// Both ends of the FIFO, so that writing to it never waits.
    go: File,
}

impl Gated {
    /// Starts a container of `image` with the workload program's `arguments`;
    /// returns when it waits.
    ///
    /// # Errors
    /// When Docker fails, or the program does not come to the gate.
    pub fn start(image: &str, arguments: &[String]) -> Result<Self> {
        let gate = tempfile::tempdir_in(scratch()?).context("cannot make a gate")?;
        let fifo = gate.path().join("go");
        make_fifo(&fifo)?;
        let go = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&fifo)
            .with_context(|| format!("cannot open {}", fifo.display()))?;
        let volume = format!("{}:/gate", gate.path().display());
        let id = output(
            command("docker")
                .args(["run", "--detach", "--network", "none", "--volume", &volume, image])
                .args(arguments),
        )?;
        let mut gated = Self { id, pid: 0, gate, go };
        let start = Instant::now();
        while !gated.gate.path().join("ready").exists() {
            ensure!(
                start.elapsed() < LIMIT,
                "the workload did not come to its gate; its container says: {}",
                gated.log()
            );
            sleep(PAUSE);
        }
        let pid =
            output(command("docker").args(["inspect", "--format={{.State.Pid}}", &gated.id]))?;
        gated.pid = pid.parse().with_context(|| format!("docker says the process is {pid:?}"))?;
        Ok(gated)
    }

    /// The workload's first process, as the host numbers it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Opens the gate and waits for the end; returns nanoseconds an operation.
    ///
    /// # Errors
    /// When the workload failed.
    pub fn work(&mut self) -> Result<f64> {
        // Docker's client is there before the clock starts, so that its own
        // start is not in the measure.
        let waiter = command("docker")
            .args(["wait", &self.id])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start docker wait")?;
        sleep(CLIENT);
        self.go.write_all(b"go\n").context("cannot open the gate")?;
        let answer = waiter.wait_with_output().context("cannot wait for docker wait")?;
        let status = String::from_utf8_lossy(&answer.stdout);
        ensure!(
            status.trim() == "0",
            "the workload ended with status {}: {}",
            status.trim(),
            self.log()
        );
        let path = self.gate.path().join("result");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        parse(&text).with_context(|| format!("{} is not as expected: {text}", path.display()))
    }

    fn log(&self) -> String {
        output(command("sh").args(["-c", "docker logs \"$0\" 2>&1", &self.id])).unwrap_or_default()
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        // It may be gone with the daemon; there is nobody to tell.
        let _ = output(command("docker").args(["rm", "--force", "--volumes", &self.id]));
    }
}

/// `OPERATIONS NANOSECONDS`.
fn parse(text: &str) -> Option<f64> {
    let (operations, nanoseconds) = text.trim().split_once(' ')?;
    let operations: u64 = operations.parse().ok()?;
    let nanoseconds: u64 = nanoseconds.parse().ok()?;
    (operations > 0).then(|| nanoseconds as f64 / operations as f64)
}

fn make_fifo(path: &Path) -> Result<()> {
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: the name is a C string that outlives the call.
    let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
    ensure!(made == 0, "cannot make {}: {}", path.display(), std::io::Error::last_os_error());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_time_by_operations() {
        assert_eq!(parse("4 1000\n"), Some(250.0));
        assert_eq!(parse("0 1000\n"), None);
        assert_eq!(parse("1000\n"), None);
    }
}
