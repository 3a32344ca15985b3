//! Whether a document has members that the type read from it does not know.
//!
//! `serde_ignored` tells which they are, and copies every key for it, which
//! takes as long as the reading itself. This only tells whether there are any:
//! in almost every profile there are none, and nobody has to be told of them.

use std::cell::Cell;

use serde::Deserializer;
use serde::de::{Deserialize, DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

/// Reads a value of a self-describing format, and says whether something in
/// it was ignored.
///
/// # Errors
/// Those of the format, and of the type.
pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<(T, bool), D::Error> {
    let ignored = Cell::new(false);
    let value = T::deserialize(Noting { inner: deserializer, ignored: &ignored })?;
    Ok((value, ignored.get()))
}

/// Something of serde's, and where it is noted that a value was ignored.
struct Noting<'a, T> {
    inner: T,
    ignored: &'a Cell<bool>,
}

impl<'a, T> Noting<'a, T> {
    fn around<U>(&self, inner: U) -> Noting<'a, U> {
        Noting { inner, ignored: self.ignored }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Noting<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_option(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_identifier(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.ignored.set(true);
        self.inner.deserialize_ignored_any(visitor)
    }

    // The format says itself what follows.
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct
    }
}

/// Scalars are handed on as they come.
macro_rules! hand_on {
    ($($method:ident($type:ty)),* $(,)?) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Noting<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.expecting(formatter)
    }

    hand_on! {
        visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_i128(i128),
        visit_u128(u128), visit_str(&str), visit_borrowed_str(&'de str), visit_string(String),
        visit_bytes(&[u8]), visit_borrowed_bytes(&'de [u8]), visit_byte_buf(Vec<u8>),
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<V::Value, D::Error> {
        let some = self.around(some);
        self.inner.visit_some(some)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inside: D) -> Result<V::Value, D::Error> {
        let inside = self.around(inside);
        self.inner.visit_newtype_struct(inside)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<V::Value, A::Error> {
        let sequence = self.around(sequence);
        self.inner.visit_seq(sequence)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let map = self.around(map);
        self.inner.visit_map(map)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        let variant = self.around(variant);
        self.inner.visit_enum(variant)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Noting<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let deserializer = self.around(deserializer);
        self.inner.deserialize(deserializer)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Noting<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = self.around(seed);
        self.inner.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Noting<'_, A> {
    type Error = A::Error;

    // A key is never ignored, only what belongs to it.
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.around(seed);
        self.inner.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Noting<'_, A> {
    type Error = A::Error;
    type Variant = A::Variant;

    // No variant of a profile has content of its own.
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, A::Variant), A::Error> {
        self.inner.variant_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{ImageId, NameEntry, PathEntry, Run};

    fn ignored<'de, T: Deserialize<'de> + PartialEq>(json: &'de str) -> bool {
        let read = || serde_json::Deserializer::from_str(json);
        let (value, ignored) = deserialize::<T, _>(&mut read()).expect("a value");
        assert!(value == T::deserialize(&mut read()).expect("a value"), "another value: {json}");
        ignored
    }

    #[test]
    fn a_member_that_is_not_known_is_noticed_wherever_it_stands() {
        assert!(!ignored::<ImageId>(r#"{"reference": "x", "id": "y"}"#));
        assert!(ignored::<ImageId>(r#"{"reference": "x", "id": "y", "later": null}"#));
        let run = r#"{"command": ["a"], "exit_status": 3, "started": "", "ended": "", "kernel": "",
            "tier": "", "containers": ["c"], "mounts": ["/a", {"base64": "/w=="}], "lost": {"ring_full": 0,
            "path_too_deep": 0, "missed_runs": 0, "unattributed": 0, "unreadable": 0}}"#;
        assert!(!ignored::<Run>(run));
        assert!(ignored::<Run>(&run.replace("\"unreadable\"", "\"later\": [], \"unreadable\"")));
        assert!(ignored::<Run>(&run.replace("\"/w==\"", "\"/w==\", \"later\": 1")));
        let path =
            r#"{"path": "/a", "kinds": ["open", "exec"], "comm": "sh", "exe": {"base64": "/w=="}}"#;
        assert!(!ignored::<PathEntry>(path));
        assert!(ignored::<PathEntry>(&path.replace("\"/w==\"", "\"/w==\", \"later\": 1")));
        let names = r#"[{"name": "/a", "kinds": [], "comm": "sh"}, {"name": "/a", "kinds": [], "comm": "sh"}]"#;
        assert!(!ignored::<Vec<NameEntry>>(names));
        assert!(ignored::<Vec<NameEntry>>(&names.replace("sh\"}]", "sh\", \"later\": {}}]")));
    }
}
