//! The side that asks.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Request;

/// Longest wait for an answer; it takes a millisecond on a machine that is
/// not busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest answer that is read.
const ANSWER_MAX: u64 = 1024;

/// Why a request was not met.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens, or no longer.
    #[error("no run listens at {path}: it has ended; start one with `profiler run`", path = .0.display())]
    Ended(PathBuf),
    /// The socket cannot be used.
    #[error("cannot ask the run at {path}: {source}; see that the command runs as the user who started `profiler run`, and that the run goes on", path = .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The run said no.
    #[error("the run refused: {0}")]
    Refused(String),
}

/// Asks the run that listens at `socket`; returns when the switch is made.
///
/// # Errors
/// See [`ClientError`].
pub fn send(socket: &Path, request: &Request) -> Result<(), ClientError> {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotFound,
    };
    let answer = ask(socket, request).map_err(|source| match source.kind() {
        NotFound | ConnectionRefused | ConnectionReset | ConnectionAborted | BrokenPipe => {
            ClientError::Ended(socket.into())
        }
        _ => ClientError::Io { path: socket.into(), source },
    })?;
    match answer.strip_suffix('\n') {
        Some("ok") => Ok(()),
        Some(answer) => {
            let why = answer.strip_prefix("error: ").unwrap_or(answer);
            Err(ClientError::Refused(why.to_owned()))
        }
        // Closed in the middle of it.
        None => Err(ClientError::Ended(socket.into())),
    }
}

fn ask(socket: &Path, request: &Request) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // One that takes no more clients answers without reading.
    let asked = stream.write_all(format!("{request}\n").as_bytes());
    let mut answer = String::new();
    // The line alone: behind it the connection may be reset.
    let read = BufReader::new(stream.take(ANSWER_MAX)).read_line(&mut answer);
    if answer.is_empty() {
        asked?;
    }
    read?;
    Ok(answer)
}
