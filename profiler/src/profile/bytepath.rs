//! Paths are bytes, JSON is not: how one is written as the other.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The member that holds the bytes of what is not UTF-8.
const BASE64: &str = "base64";

/// A path or name of any bytes but NUL.
///
/// In JSON a string where the bytes are UTF-8, else `{"base64": "…"}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BytePath(pub Vec<u8>);

impl BytePath {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is that directory or below it, as far as the text tells.
    pub fn is_in(&self, directory: &Self) -> bool {
        let rest = self.0.strip_prefix(directory.as_bytes());
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(b"/") || directory.0.ends_with(b"/")
        })
    }

    /// For people: bytes that are not UTF-8 become U+FFFD.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl From<&str> for BytePath {
    fn from(path: &str) -> Self {
        Self(path.as_bytes().to_vec())
    }
}

impl From<&[u8]> for BytePath {
    fn from(path: &[u8]) -> Self {
        Self(path.to_vec())
    }
}

impl From<Vec<u8>> for BytePath {
    fn from(path: Vec<u8>) -> Self {
        Self(path)
    }
}

impl fmt::Display for BytePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_string_lossy())
    }
}

impl Serialize for BytePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(BASE64, &STANDARD.encode(&self.0))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for BytePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

/// Reads either form. By hand, because serde's untagged enums copy the value
/// to look at it twice, and a profile consists of paths.
struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = BytePath;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a path, or its bytes as {\"base64\": \"...\"}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<BytePath, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<BytePath, E> {
        Ok(text.into_bytes().into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BytePath, A::Error> {
        let mut bytes = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == BASE64 {
                bytes = Some(map.next_value::<String>()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let bytes = bytes.ok_or_else(|| A::Error::missing_field(BASE64))?;
        STANDARD.decode(bytes).map(BytePath).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_holds_itself_and_what_is_below_and_no_neighbour() {
        let is_in = |path: &str, directory: &str| BytePath::from(path).is_in(&directory.into());
        assert!(
            is_in("/a/b", "/a") && is_in("/a", "/a") && is_in("/a", "/") && is_in("/a/b", "/a/")
        );
        assert!(!is_in("/ab", "/a") && !is_in("/", "/a"));
    }

    #[test]
    fn any_bytes_survive_json() {
        for bytes in [&b"/etc/passwd"[..], b"/a\nb\"c", b"/caf\xe9", b"/\xff\xfe", b""] {
            let path = BytePath::from(bytes);
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<BytePath>(&json).unwrap(), path, "{json}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for json in ["7", "null", "{}", r#"{"base64": 7}"#, r#"{"base64": "="}"#, r#"["/a"]"#] {
            assert!(serde_json::from_str::<BytePath>(json).is_err(), "{json}");
        }
    }
}
