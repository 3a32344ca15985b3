//! A Docker daemon for the tasks that need one: the running one, the service
//! manager's, or one started here and stopped at the end.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::shell::{as_root, command, find, run, say, scratch, succeeds};

const LIMIT: Duration = Duration::from_secs(60);

/// A daemon that answers; dropping it stops what was started for it.
pub struct Engine {
    daemon: Option<Child>,
}

impl Engine {
    /// Makes sure that a Docker daemon answers.
    pub fn start() -> Result<Self> {
        if answers() {
            say("Docker: the running daemon answers");
            return Ok(Self { daemon: None });
        }
        let mut engine = if Path::new("/run/systemd/system").is_dir() {
            run(as_root("systemctl").args(["start", "docker"]))?;
            Self { daemon: None }
        } else {
            Self { daemon: Some(spawn()?) }
        };
        engine.wait()?;
        Ok(engine)
    }

    fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        while !answers() {
            if let Some(daemon) = &mut self.daemon
                && let Some(status) = daemon.try_wait().context("cannot wait for dockerd")?
            {
                bail!("dockerd ended ({status}); its log is {}", log()?.display());
            }
            if start.elapsed() > LIMIT {
                bail!(
                    "Docker does not answer after {} s; `docker info` says why, and {} may",
                    LIMIT.as_secs(),
                    log()?.display()
                );
            }
            sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let pid = daemon.id().to_string();
            // By a shell, because sudo may stand between: it passes the
            // signal on, and this process may not signal root's.
            if succeeds(as_root("sh").args(["-c", "kill -TERM \"$0\"", &pid]))
                && daemon.wait().is_ok()
            {
                say(format!("Docker: stopped the daemon started here (process {pid})"));
            }
        }
    }
}

fn answers() -> bool {
    succeeds(command("docker").arg("info"))
}

fn log() -> Result<std::path::PathBuf> {
    Ok(scratch()?.join("dockerd.log"))
}

fn spawn() -> Result<Child> {
    let program = find("dockerd").context("dockerd was not found; run `cargo xtask setup`")?;
    let path = log()?;
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    let daemon = as_root(program)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .context("cannot start dockerd")?;
    say(format!("Docker: started dockerd (process {}), log in {}", daemon.id(), path.display()));
    Ok(daemon)
}
