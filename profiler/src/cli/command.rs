//! A command that runs while a session watches, and the signals meant for it.

use std::process::ExitStatus;

use anyhow::Context as _;
use profiler::mark::{Pending, SOCKET, Server};
use profiler::session::Session;
use tokio::process::{Child, Command};

use super::signals::Signals;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The status as a shell tells it: 128 and the signal's number for a
    /// killed command.
    pub status: i32,
    /// Whether this program was told to stop meanwhile.
    pub interrupted: bool,
}

/// A command that has started.
pub struct Started {
    child: Child,
    /// Where it can mark its tests; none when there is no room for a socket.
    marks: Option<Server>,
}

/// Starts a command, with the socket for its marks in its environment.
///
/// # Errors
/// When it cannot be started.
pub fn start(mut command: Command) -> anyhow::Result<Started> {
    let marks = Server::start()
        .map_err(|error| {
            log::warn!(
                "tests cannot be marked: no socket for it in {}: {error}; free some room there, or set TMPDIR",
                std::env::temp_dir().display()
            );
        })
        .ok();
    match &marks {
        Some(server) => command.env(SOCKET, server.path()),
        // That of another run around this one.
        None => command.env_remove(SOCKET),
    };
    let child = command.spawn().with_context(|| {
        let program = command.as_std().get_program().to_string_lossy();
        format!("cannot start {program}; check the command after --")
    })?;
    Ok(Started { child, marks })
}

/// Runs a command to its end, as [`start`] and [`follow`] do.
///
/// # Errors
/// Theirs.
pub async fn run(
    session: &mut Session,
    command: Command,
    signals: &mut Signals,
) -> anyhow::Result<Ended> {
    follow(session, start(command)?, signals).await
}

/// Watches until a command ends. Signals are passed on to it.
///
/// # Errors
/// When the session fails: the command runs on then.
pub async fn follow(
    session: &mut Session,
    started: Started,
    signals: &mut Signals,
) -> anyhow::Result<Ended> {
    let Started { mut child, mut marks } = started;
    let mut interrupted = false;
    loop {
        tokio::select! {
            status = child.wait() => {
                return Ok(Ended { status: exit_status(status?), interrupted });
            }
            pumped = session.pump() => pumped?,
            mark = next_mark(&mut marks) => mark.settle(|name| session.mark(name)),
            signal = signals.next() => {
                interrupted = true;
                forward(&child, signal);
            }
        }
    }
}

/// Waits for what a test suite says, if it can.
async fn next_mark(marks: &mut Option<Server>) -> Pending {
    match marks {
        Some(server) => server.next().await,
        None => std::future::pending().await,
    }
}

/// Passes a signal on, unless the terminal already did: it signals the whole
/// foreground process group, and a second Ctrl-C makes many programs give up
/// their clean-up.
fn forward(child: &Child, signal: i32) {
    // SAFETY: plain system calls on descriptor 0 and process numbers; the
    // child has not been waited for, so its number is still its own.
    unsafe {
        let from_terminal = [libc::SIGINT, libc::SIGQUIT].contains(&signal)
            && libc::isatty(0) == 1
            && libc::tcgetpgrp(0) == libc::getpgrp();
        if let Some(pid) = child.id()
            && !from_terminal
        {
            libc::kill(pid as i32, signal);
        }
    }
}

fn exit_status(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
