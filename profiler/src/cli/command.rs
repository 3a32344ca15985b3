//! A command that runs while a session watches, and the signals meant for it.

use std::io;
use std::process::ExitStatus;

use anyhow::Context as _;
use profiler::session::Session;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The status as a shell tells it: 128 and the signal's number for a
    /// killed command.
    pub status: i32,
    /// Whether this program was told to stop meanwhile.
    pub interrupted: bool,
}

/// The signals that tell this program to stop. From the moment they are
/// listened to they do not end it, so that it can put things in order.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None where the caller wants it ignored, as `nohup` does.
    hangup: Option<Signal>,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: match is_ignored(libc::SIGHUP) {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    /// The next one's number. Safe to cancel.
    pub async fn next(&mut self) -> i32 {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => libc::SIGINT,
            _ = self.terminate.recv() => libc::SIGTERM,
            _ = hangup => libc::SIGHUP,
        }
    }
}

/// Starts a command.
///
/// # Errors
/// When it cannot be started.
pub fn start(mut command: Command) -> anyhow::Result<Child> {
    command.spawn().with_context(|| {
        let program = command.as_std().get_program().to_string_lossy();
        format!("cannot start {program}; check the command after --")
    })
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
    mut child: Child,
    signals: &mut Signals,
) -> anyhow::Result<Ended> {
    let mut interrupted = false;
    loop {
        tokio::select! {
            status = child.wait() => {
                return Ok(Ended { status: exit_status(status?), interrupted });
            }
            pumped = session.pump() => pumped?,
            signal = signals.next() => {
                interrupted = true;
                forward(&child, signal);
            }
        }
    }
}

/// Passes a signal on, unless the terminal already did: it signals the whole
/// foreground process group, and a second Ctrl-C makes many programs give up
/// their clean-up.
fn forward(child: &Child, signal: i32) {
    // SAFETY: plain system calls on descriptor 0 and process numbers; the
    // child has not been waited for, so its number is still its own.
    unsafe {
        let from_terminal =
            signal == libc::SIGINT && libc::isatty(0) == 1 && libc::tcgetpgrp(0) == libc::getpgrp();
        if let Some(pid) = child.id()
            && !from_terminal
        {
            libc::kill(pid as i32, signal);
        }
    }
}

/// Whether this program was started with the signal ignored.
fn is_ignored(signal: i32) -> bool {
    // SAFETY: the call writes the action, all of whose bits may be zero, and
    // changes nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

fn exit_status(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
