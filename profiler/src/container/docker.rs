//! The Docker daemon's HTTP interface, as far as it is needed.
//!
//! Paths carry no version, so the daemon answers in its newest: a pinned one
//! is what daemons refuse when they are upgraded.

use std::io::{self, Write};
use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Why the daemon gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// Nothing listens.
    #[error("cannot reach the Docker daemon at {}: {source}; start it, or point DOCKER_HOST at its socket", socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// DOCKER_HOST names something other than a socket of this machine.
    #[error(
        "DOCKER_HOST is {0}; only unix:// sockets work, since profiling needs the containers on this machine"
    )]
    NotLocal(String),
    /// The daemon refused.
    #[error("the Docker daemon answered {status} to {path}: {message}")]
    Api {
        /// HTTP status.
        status: u16,
        /// What was asked.
        path: String,
        /// Its own words.
        message: String,
    },
    /// The connection broke.
    #[error("lost the connection to the Docker daemon while asking {path}: {message}; try again")]
    Broken {
        /// What was asked.
        path: String,
        /// The cause.
        message: String,
    },
    /// A local file could not be read or written.
    #[error("cannot copy data from or to the Docker daemon: {0}")]
    Io(#[from] io::Error),
}

impl DockerError {
    /// Whether the daemon says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { status: 404, .. })
    }
}

/// A Docker daemon on this machine.
#[derive(Debug, Clone)]
pub struct Docker {
    socket: PathBuf,
}

type Body = BoxBody<Bytes, io::Error>;

impl Docker {
    /// The daemon that `DOCKER_HOST` names, else the usual socket.
    ///
    /// # Errors
    /// [`DockerError::NotLocal`].
    pub fn from_env() -> Result<Self, DockerError> {
        match std::env::var("DOCKER_HOST") {
            Ok(host) if !host.is_empty() => match host.strip_prefix("unix://") {
                Some(path) => Ok(Self { socket: path.into() }),
                None => Err(DockerError::NotLocal(host)),
            },
            _ => Ok(Self { socket: DEFAULT_SOCKET.into() }),
        }
    }

    /// Asks for a JSON document.
    ///
    /// # Errors
    /// See [`DockerError`].
    pub async fn get_json(&self, path: &str) -> Result<Value, DockerError> {
        let response = self.request(Method::GET, path, empty()).await?;
        let body = response.into_body().collect().await.map_err(|e| broken(path, &e))?.to_bytes();
        serde_json::from_slice(&body).map_err(|e| broken(path, &e))
    }

    /// Asks for a stream of bytes, such as `/events` or `/images/X/get`.
    ///
    /// # Errors
    /// See [`DockerError`].
    pub async fn get_stream(&self, path: &str) -> Result<Incoming, DockerError> {
        Ok(self.request(Method::GET, path, empty()).await?.into_body())
    }

    /// [`get_json`](Self::get_json) for callers without a runtime.
    ///
    /// # Errors
    /// See [`DockerError`].
    pub fn get_json_blocking(&self, path: &str) -> Result<Value, DockerError> {
        runtime()?.block_on(self.get_json(path))
    }

    /// Sends a request without a body, for callers without a runtime; the
    /// answer tells nothing more.
    ///
    /// # Errors
    /// See [`DockerError`].
    pub fn send_blocking(&self, method: Method, path: &str) -> Result<(), DockerError> {
        runtime()?.block_on(async {
            let response = self.request(method, path, empty()).await?;
            response.into_body().collect().await.map_err(|e| broken(path, &e))?;
            Ok(())
        })
    }

    /// Copies what the daemon answers to a writer.
    ///
    /// # Errors
    /// See [`DockerError`].
    pub fn get_to_writer(&self, path: &str, writer: &mut dyn Write) -> Result<(), DockerError> {
        runtime()?.block_on(async {
            let mut body = self.get_stream(path).await?;
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame.map_err(|e| broken(path, &e))?.into_data() {
                    writer.write_all(&data)?;
                }
            }
            Ok(())
        })
    }

    /// Sends what a reader gives, such as an archive to `/images/load`, and
    /// returns the answer.
    ///
    /// # Errors
    /// See [`DockerError`].
    pub fn post_from(
        &self,
        path: &str,
        mut content: impl io::Read + Send + 'static,
    ) -> Result<Vec<u8>, DockerError> {
        // A thread reads ahead, so that the runtime never waits for the disk.
        let (sender, receiver) = tokio::sync::mpsc::channel::<io::Result<Frame<Bytes>>>(4);
        let reader = std::thread::spawn(move || {
            loop {
                let mut chunk = vec![0; 256 * 1024];
                let frame = match content.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(len) => {
                        chunk.truncate(len);
                        Ok(Frame::data(Bytes::from(chunk)))
                    }
                    Err(error) => Err(error),
                };
                let failed = frame.is_err();
                if sender.blocking_send(frame).is_err() || failed {
                    break;
                }
            }
        });
        let answer = runtime()?.block_on(async {
            let body = StreamBody::new(Receiver(receiver)).boxed();
            let response = self.request(Method::POST, path, body).await?;
            let body = response.into_body().collect().await.map_err(|e| broken(path, &e))?;
            Ok(body.to_bytes().to_vec())
        });
        let _ = reader.join();
        answer
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Response<Incoming>, DockerError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| DockerError::NotRunning { socket: self.socket.clone(), source })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(stream))
                .await
                .map_err(|e| broken(path, &e))?;
        tokio::spawn(async move {
            // Ends with the response; its error shows up there too.
            let _ = connection.await;
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "docker")
            .header(header::CONTENT_TYPE, "application/x-tar")
            .body(body)
            .map_err(|e| broken(path, &e))?;
        let response = sender.send_request(request).await.map_err(|e| broken(path, &e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.into_body().collect().await.map_err(|e| broken(path, &e))?.to_bytes();
        Err(DockerError::Api {
            status: status.as_u16(),
            path: path.into(),
            message: message_of(status, &body),
        })
    }
}

/// A channel as the stream that a body is made of.
struct Receiver(tokio::sync::mpsc::Receiver<io::Result<Frame<Bytes>>>);

impl futures_core::Stream for Receiver {
    type Item = io::Result<Frame<Bytes>>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

/// Percent-encodes what a path segment of a request may not hold; the bytes
/// of `also` stay too.
pub fn escape(name: &str, also: &str) -> String {
    name.chars()
        .map(|character| {
            if character.is_ascii_alphanumeric()
                || "-_.:".contains(character)
                || also.contains(character)
            {
                return character.to_string();
            }
            let mut bytes = [0; 4];
            character.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect()
        })
        .collect()
}

fn empty() -> Body {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed()
}

fn broken(path: &str, error: &dyn std::fmt::Display) -> DockerError {
    DockerError::Broken { path: path.into(), message: error.to_string() }
}

/// The daemon wraps its words in `{"message": …}`.
fn message_of(status: StatusCode, body: &[u8]) -> String {
    serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|value| value.get("message")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").to_owned())
}

fn runtime() -> Result<tokio::runtime::Runtime, DockerError> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn names_cannot_lead_to_another_request() {
        assert_eq!(escape("a-b_c.d:1", ""), "a-b_c.d:1");
        assert_eq!(escape("../x?y=\u{e9}", ""), "..%2Fx%3Fy%3D%C3%A9");
        assert_eq!(escape("r/n@sha256:0", "/@"), "r/n@sha256:0");
    }
}
