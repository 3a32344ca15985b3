//! The Debian base image that the demo's and the tests' images stand on.

use std::fs;

use anyhow::{Context as _, Result};

use crate::shell::{as_root, command, find, run, say, scratch, succeeds};

const SUITE: &str = "bookworm";

/// Its name in the Docker daemon.
pub const NAME: &str = "profiler-xtask/debian:bookworm";

/// Makes sure that the daemon has [`NAME`]. The archive it is imported from
/// is kept, so that a daemon that starts empty does not cost a bootstrap.
pub fn ensure() -> Result<()> {
    if succeeds(command("docker").args(["image", "inspect", NAME])) {
        say(format!("base image: {NAME} is there"));
        return Ok(());
    }
    let archive = scratch()?.join(format!("debian-{SUITE}.tar"));
    if !archive.exists() {
        let part = archive.with_extension("part.tar");
        let program = find("mmdebstrap").context("mmdebstrap was not found")?;
        run(as_root(program).args(["--quiet", "--variant=minbase", SUITE]).arg(&part))?;
        fs::rename(&part, &archive).with_context(|| format!("cannot rename {}", part.display()))?;
    }
    run(command("docker")
        .args(["import", "--change", "CMD [\"/bin/bash\"]"])
        .arg(&archive)
        .arg(NAME))?;
    say(format!("base image: imported {NAME}"));
    Ok(())
}
