//! gRPC over a local socket, for the engines that speak it.
//!
//! The messages are declared by hand where they are used, with the fields that
//! are needed and their numbers from the published `.proto` files; protobuf
//! skips what it does not know.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers hold image configs and specs, which have no upper limit.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// Nothing listens.
    #[error("cannot reach {}: {source}; start the engine, or name its socket in {variable}", socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// The environment variable that names another.
        variable: &'static str,
        /// The cause.
        source: tonic::transport::Error,
    },
    /// It refused.
    #[error("{} refused {method}: {} ({:?})", socket.display(), status.message(), status.code())]
    Refused {
        /// The socket.
        socket: PathBuf,
        /// What was asked.
        method: &'static str,
        /// Its own words.
        status: Box<Status>,
    },
}

impl GrpcError {
    /// Whether it says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if status.code() == Code::NotFound)
    }
}

/// A connection.
#[derive(Debug, Clone)]
pub(super) struct Client {
    socket: PathBuf,
    channel: Channel,
}

impl Client {
    /// Connects to a socket.
    pub(super) async fn connect(socket: &Path, variable: &'static str) -> Result<Self, GrpcError> {
        let failed = |source| GrpcError::NotRunning { socket: socket.to_owned(), variable, source };
        let endpoint =
            Endpoint::try_from(format!("unix://{}", socket.display())).map_err(failed)?;
        let channel = endpoint.connect_timeout(PATIENCE).connect().await.map_err(failed)?;
        Ok(Self { socket: socket.to_owned(), channel })
    }

    /// Asks for one answer. `namespace` is containerd's.
    pub(super) async fn ask<Q, A>(
        &self,
        method: &'static str,
        question: Q,
        namespace: Option<&str>,
    ) -> Result<A, GrpcError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut request = self.request(method, question, namespace)?;
        request.set_timeout(PATIENCE);
        let mut grpc = self.ready(method).await?;
        let answer = grpc
            .unary(request, PathAndQuery::from_static(method), ProstCodec::<Q, A>::default())
            .await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.refused(method, status))
    }

    /// Asks for a stream of answers.
    pub(super) async fn listen<Q, A>(
        &self,
        method: &'static str,
        question: Q,
        namespace: Option<&str>,
    ) -> Result<Streaming<A>, GrpcError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let request = self.request(method, question, namespace)?;
        let mut grpc = self.ready(method).await?;
        let answer = grpc
            .server_streaming(
                request,
                PathAndQuery::from_static(method),
                ProstCodec::<Q, A>::default(),
            )
            .await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.refused(method, status))
    }

    fn request<Q>(
        &self,
        method: &'static str,
        question: Q,
        namespace: Option<&str>,
    ) -> Result<Request<Q>, GrpcError> {
        let mut request = Request::new(question);
        if let Some(namespace) = namespace {
            let value = AsciiMetadataValue::try_from(namespace).map_err(|error| {
                self.refused(method, Status::invalid_argument(error.to_string()))
            })?;
            request.metadata_mut().insert("containerd-namespace", value);
        }
        Ok(request)
    }

    async fn ready(&self, method: &'static str) -> Result<Grpc<Channel>, GrpcError> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(ANSWER_MAX);
        grpc.ready()
            .await
            .map_err(|error| self.refused(method, Status::unavailable(error.to_string())))?;
        Ok(grpc)
    }

    /// An error of this connection.
    pub(super) fn refused(&self, method: &'static str, status: Status) -> GrpcError {
        GrpcError::Refused { socket: self.socket.clone(), method, status: Box::new(status) }
    }
}
