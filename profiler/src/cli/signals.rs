//! Signals that end a run.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those by which people and machines end programs, as far as they are not
/// ignored: `nohup` has its reasons.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Option<Signal>,
    quit: Option<Signal>,
}

impl Signals {
    /// Catches them from now on.
    pub fn listen() -> io::Result<Self> {
        let unless_ignored =
            |kind: SignalKind| (!is_ignored(kind.as_raw_value())).then(|| signal(kind)).transpose();
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: unless_ignored(SignalKind::hangup())?,
            quit: unless_ignored(SignalKind::quit())?,
        })
    }

    /// Waits for one and gives its number. Safe to cancel.
    pub async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => libc::SIGINT,
            _ = self.terminate.recv() => libc::SIGTERM,
            () = received(&mut self.hang_up) => libc::SIGHUP,
            () = received(&mut self.quit) => libc::SIGQUIT,
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: asks for the disposition and changes nothing; the structure is
    // plain data that the call fills in.
    unsafe {
        let mut now = std::mem::zeroed::<libc::sigaction>();
        libc::sigaction(signal, std::ptr::null(), &mut now) == 0
            && now.sa_sigaction == libc::SIG_IGN
    }
}
