//! A terminal that is none: programs believe in it, tests read what it shows.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, ExitStatus, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// What a program wrote to its terminal.
#[derive(Debug)]
pub struct Shown {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote, control sequences included.
    pub text: String,
}

/// Runs `command` to its end with stdout and stderr at a terminal of the type
/// `term`.
#[track_caller]
pub fn run(command: &mut Command, term: &str) -> Shown {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("a terminal of one's own");
    unlockpt(&master).expect("an unlocked terminal");
    let name = ptsname(&master, Vec::new()).expect("its name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = File::from(rustix::fs::open(name, flags, Mode::empty()).expect("its other end"));
    command
        .env("TERM", term)
        .stdin(Stdio::null())
        .stdout(slave.try_clone().expect("a descriptor"))
        .stderr(slave);
    let mut child = command.spawn().expect("the program starts");
    // They hold the other end, and while anybody does, reading does not end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut bytes = Vec::new();
    let mut master = File::from(master);
    // It ends with EIO when the last program has closed the other end.
    let _ = master.read_to_end(&mut bytes);
    let status = child.wait().expect("the program ends");
    Shown { status, text: String::from_utf8_lossy(&bytes).into_owned() }
}
