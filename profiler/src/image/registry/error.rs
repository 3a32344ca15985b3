//! What can go wrong with registries.

/// Why a registry could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No connection, or one that broke.
    #[error("cannot reach registry {host}: {why}{next}")]
    Unreachable {
        /// The registry.
        host: String,
        /// The cause.
        why: String,
        /// What to do, beginning with a semicolon.
        next: String,
    },
    /// A login is asked for and none is known, or it was refused.
    #[error(
        "registry {host} does not let {who} {what} {repository}: {why}; log in with `podman login {host}` or `docker login {host}`"
    )]
    Unauthorized {
        /// The registry.
        host: String,
        /// "anonymous" or the user, and where the login comes from.
        who: String,
        /// "pull" or "push to".
        what: &'static str,
        /// Image name without its tag.
        repository: String,
        /// The registry's own words.
        why: String,
    },
    /// Any other answer than the one hoped for.
    #[error("registry {host} answered {status} when asked to {what}: {why}")]
    Answer {
        /// The registry.
        host: String,
        /// HTTP status.
        status: u16,
        /// What it was asked.
        what: String,
        /// Its own words.
        why: String,
    },
    /// A login is kept somewhere it cannot be read from.
    #[error("cannot read the login to a registry from {place}: {why}; log in again")]
    Credentials {
        /// File or program.
        place: String,
        /// The cause.
        why: String,
    },
}
