//! Marks from the outside: what a test suite says to split a run into named
//! tests.
//!
//! A run listens on a Unix stream socket, whose path stands in the command's
//! environment ([`SOCKET`]). A client writes lines, and each is answered by
//! one:
//!
//! | line | means |
//! |---|---|
//! | `mark NAME` | the test NAME begins; the one before it ends |
//! | `end` | the test ends, and none begins |
//!
//! The answer is `ok`, or `error: ` and why. It is given when the switch is
//! made: what was touched before belongs to the test before, what is touched
//! after it to the new one.
//!
//! Only processes of the user who runs the profiler, and root, can connect.

mod client;
mod server;

use std::fmt;
use std::str::FromStr;

pub use client::{ClientError, send};
pub use server::{Pending, Server};

/// Name of the environment variable that holds the socket's path.
pub const SOCKET: &str = "PROFILER_SOCKET";

/// Longest name of a test, in bytes.
pub const NAME_MAX: usize = 256;

/// Longest line, without its end.
const LINE_MAX: usize = BEGIN.len() + NAME_MAX;

const BEGIN: &str = "mark ";
const END: &str = "end";

/// Name of a test: not blank, without control characters, not longer than
/// [`NAME_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// Why a line is no request, or a text no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Neither of the two.
    #[error("unknown request; write \"mark NAME\" or \"end\"")]
    Unknown,
    /// Nothing but blanks.
    #[error("the name of a test is empty; give one")]
    Empty,
    /// A tab or the like, which would break lines and tables.
    #[error("the name of a test has a control character; leave it out")]
    Control,
    /// See [`NAME_MAX`].
    #[error("the name of a test is longer than {NAME_MAX} bytes; shorten it")]
    TooLong,
    /// Documents are UTF-8.
    #[error("the request is not UTF-8")]
    NotUtf8,
    /// The connection ended in it.
    #[error("the request does not end with a line break")]
    Unfinished,
}

impl FromStr for Name {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        if text.len() > NAME_MAX {
            Err(RequestError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(RequestError::Control)
        } else if text.trim().is_empty() {
            Err(RequestError::Empty)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A test begins.
    Begin(Name),
    /// The test ends.
    End,
}

impl Request {
    /// The test that goes on from now, if any.
    pub fn into_name(self) -> Option<Name> {
        match self {
            Self::Begin(name) => Some(name),
            Self::End => None,
        }
    }

    /// Reads a line, without its end.
    fn parse(line: &[u8]) -> Result<Self, RequestError> {
        if line.len() > LINE_MAX {
            return Err(RequestError::TooLong);
        }
        let line = std::str::from_utf8(line).map_err(|_| RequestError::NotUtf8)?;
        match line.strip_prefix(BEGIN) {
            Some(name) => name.parse().map(Self::Begin),
            None if line == END => Ok(Self::End),
            None => Err(RequestError::Unknown),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(name) => write!(f, "{BEGIN}{}", name.0),
            Self::End => f.write_str(END),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are_written() {
        for line in ["mark a", "mark tests/test_a.py::test[x y-ä]", "mark  two blanks", "end"] {
            assert_eq!(Request::parse(line.as_bytes()).unwrap().to_string(), line);
        }
        let longest = format!("mark {}", "x".repeat(NAME_MAX));
        assert_eq!(Request::parse(longest.as_bytes()).unwrap().to_string(), longest);
    }

    #[test]
    fn what_is_no_request_says_why() {
        let long = format!("mark {}", "x".repeat(NAME_MAX + 1));
        for (line, error) in [
            (&b""[..], RequestError::Unknown),
            (b"mark", RequestError::Unknown),
            (b"end ", RequestError::Unknown),
            (b"MARK a", RequestError::Unknown),
            (b"mark ", RequestError::Empty),
            (b"mark   ", RequestError::Empty),
            (b"mark a\r", RequestError::Control),
            (b"mark a\tb", RequestError::Control),
            ("mark a\u{85}b".as_bytes(), RequestError::Control),
            (b"mark \xff", RequestError::NotUtf8),
            (long.as_bytes(), RequestError::TooLong),
        ] {
            assert_eq!(Request::parse(line), Err(error), "{}", line.escape_ascii());
        }
    }
}
