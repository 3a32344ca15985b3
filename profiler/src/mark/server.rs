//! The side that answers.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::{LINE_MAX, Name, Request, RequestError};

/// Connections at a time; a client may keep one for a whole run.
const CLIENTS_MAX: usize = 128;

/// Requests that wait, of all clients; each client has one at most.
const WAITING_MAX: usize = 16;

/// Longest path of a socket that the kernel takes.
const PATH_MAX: usize = 107;

/// A socket in a private directory; both are gone when this is dropped.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    accepting: JoinHandle<()>,
    requests: mpsc::Receiver<Pending>,
    _directory: TempDir,
}

/// A request that waits for its answer. Dropping it closes the connection.
#[derive(Debug)]
pub struct Pending {
    request: Request,
    answer: oneshot::Sender<Result<(), String>>,
}

impl Pending {
    /// Does what is asked for and answers.
    pub fn settle<E: std::fmt::Display>(self, switch: impl FnOnce(Option<Name>) -> Result<(), E>) {
        let done = switch(self.request.into_name()).map_err(|error| error.to_string());
        // A client that is gone wants no answer.
        let _ = self.answer.send(done);
    }
}

impl Server {
    /// Makes the socket and listens. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When neither the directory for temporary files nor `/tmp` takes it.
    pub fn start() -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut private = tempfile::Builder::new();
        private.prefix("profiler-").permissions(std::fs::Permissions::from_mode(0o700));
        let directory = private.tempdir();
        let fits = |directory: &TempDir| socket_in(directory).as_os_str().len() <= PATH_MAX;
        let directory = match directory {
            Ok(directory) if fits(&directory) => directory,
            _ => private.tempdir_in("/tmp")?,
        };
        let path = socket_in(&directory);
        let listener = UnixListener::bind(&path)?;
        let (sender, requests) = mpsc::channel(WAITING_MAX);
        let accepting = tokio::spawn(accept(listener, sender));
        Ok(Self { path, accepting, requests, _directory: directory })
    }

    /// Where clients connect.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for a request. Safe to cancel.
    pub async fn next(&mut self) -> Pending {
        match self.requests.recv().await {
            Some(pending) => pending,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // With it its connections.
        self.accepting.abort();
    }
}

fn socket_in(directory: &TempDir) -> PathBuf {
    directory.path().join("socket")
}

async fn accept(listener: UnixListener, requests: mpsc::Sender<Pending>) {
    let mut clients = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        while clients.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) if clients.len() < CLIENTS_MAX => {
                clients.spawn(serve(stream, requests.clone()));
            }
            Ok((stream, _)) => {
                // There is room in the buffer of a new connection.
                let _ = stream.try_write(b"error: too many clients; close some\n");
            }
            Err(error) => {
                log::info!("cannot take a client of the marks' socket: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Reads requests and writes answers, as long as the client makes sense.
async fn serve(mut stream: UnixStream, requests: mpsc::Sender<Pending>) {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::with_capacity(LINE_MAX + 1, reader);
    let mut line = Vec::with_capacity(LINE_MAX + 1);
    loop {
        line.clear();
        let mut limited = (&mut reader).take(LINE_MAX as u64 + 1);
        if !limited.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
            return;
        }
        let (parsed, goes_on) = match line.strip_suffix(b"\n") {
            Some(line) => (Request::parse(line), true),
            // Where the next line begins is not known.
            None if line.len() > LINE_MAX => (Err(RequestError::TooLong), false),
            None => (Err(RequestError::Unfinished), false),
        };
        let done = match parsed {
            Ok(request) => {
                let (answer, answered) = oneshot::channel();
                if requests.send(Pending { request, answer }).await.is_err() {
                    return;
                }
                // The run has ended.
                let Ok(done) = answered.await else { return };
                done
            }
            Err(error) => Err(error.to_string()),
        };
        let answer = match done {
            Ok(()) => "ok\n".to_owned(),
            Err(why) => format!("error: {}\n", why.replace('\n', " ")),
        };
        if writer.write_all(answer.as_bytes()).await.is_err() || !goes_on {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::super::{ClientError, NAME_MAX, send};
    use super::*;

    /// Runs `clients` beside a server that notes what it is asked for and
    /// refuses the test "no".
    fn served(clients: impl FnOnce(&Path) + Send + 'static) -> (Vec<Option<String>>, PathBuf) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (ended, end) = channel::<()>();
        let mut asked = Vec::new();
        let path = runtime.block_on(async {
            let mut server = Server::start().unwrap();
            let path = server.path().to_owned();
            let socket = path.clone();
            let clients = thread::spawn(move || {
                clients(&socket);
                drop(ended);
            });
            loop {
                let pending = tokio::time::timeout(Duration::from_millis(10), server.next()).await;
                if let Ok(pending) = pending {
                    pending.settle(|name| {
                        let name = name.map(String::from);
                        let refused = name.as_deref() == Some("no");
                        asked.push(name);
                        if refused { Err("not this one") } else { Ok(()) }
                    });
                } else if end.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected) {
                    break;
                }
            }
            drop(server);
            clients.join().unwrap();
            path
        });
        (asked, path)
    }

    fn answer(path: &Path, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        // Refused before all is written: the rest has nowhere to go.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn requests_are_answered_in_turn_and_the_socket_is_gone_at_the_end() {
        let (asked, path) = served(|path| {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = path.parent().unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
            send(path, &Request::Begin("a".parse().unwrap())).unwrap();
            assert_eq!(answer(path, b"mark b\nend\nnonsense\nmark c\n").lines().count(), 4);
            let refused = send(path, &Request::Begin("no".parse().unwrap())).unwrap_err();
            assert_eq!(refused.to_string(), "the run refused: not this one");
            send(path, &Request::End).unwrap();
        });
        let told: Vec<_> = asked.iter().map(Option::as_deref).collect();
        assert_eq!(told, [Some("a"), Some("b"), None, Some("c"), Some("no"), None]);
        assert!(!path.parent().unwrap().exists());
        assert!(matches!(send(&path, &Request::End), Err(ClientError::Ended(_))));
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_holds_nobody_up() {
        let (asked, _) = served(|path| {
            // Says nothing until the end.
            let silent: Vec<_> = (0..50).map(|_| UnixStream::connect(path).unwrap()).collect();
            let long = vec![b'x'; 64 << 20];
            assert!(answer(path, &long).is_empty() || answer(path, &long).starts_with("error: "));
            assert!(answer(path, b"mark a").starts_with("error: the request does not end"));
            assert!(answer(path, b"\0\xff\n\n").starts_with("error: "));
            let name = format!("mark {}\n", "n".repeat(NAME_MAX));
            assert_eq!(answer(path, name.as_bytes()), "ok\n");
            // Never reads an answer.
            let mut deaf = UnixStream::connect(path).unwrap();
            deaf.set_nonblocking(true).unwrap();
            while deaf.write(&[b'\n'; 4096]).is_ok() {}
            assert_eq!(answer(path, b"mark b\n"), "ok\n");
            drop((silent, deaf));
        });
        assert_eq!(asked.len(), 2);
    }

    #[test]
    fn many_clients_at_once_are_all_answered_and_too_many_are_told_so() {
        let (asked, _) = served(|path| {
            thread::scope(|scope| {
                for client in 0..60 {
                    scope.spawn(move || {
                        for _ in 0..5 {
                            send(path, &Request::Begin(client.to_string().parse().unwrap()))
                                .unwrap();
                        }
                    });
                }
            });
            let held: Vec<_> =
                (0..CLIENTS_MAX).map(|_| UnixStream::connect(path).unwrap()).collect();
            let refused = loop {
                // Those before may not be taken yet.
                if let Err(error) = send(path, &Request::End) {
                    break error.to_string();
                }
            };
            assert!(refused.contains("too many clients"), "{refused}");
            drop(held);
            while send(path, &Request::End).is_err() {
                thread::sleep(Duration::from_millis(5));
            }
        });
        assert!(asked.iter().filter(|name| name.is_some()).count() == 300);
    }
}
