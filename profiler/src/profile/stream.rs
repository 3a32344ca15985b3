//! A profile document from entries that are made while it is written.

use serde::{Serialize, Serializer};

use super::{ImageId, Run};

/// What [`Profile`](super::Profile) is in JSON, with anything that serializes
/// as a sequence in the place of the three lists.
#[derive(Debug, Serialize)]
pub struct Streamed<'a, P, N, M> {
    /// Format version, [`VERSION`](super::VERSION).
    pub version: u32,
    /// The image whose containers were watched.
    pub image: &'a ImageId,
    /// Every run that is folded into this profile.
    pub runs: &'a [Run],
    /// See [`Profile::marks`](super::Profile::marks).
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub marks: &'a [String],
    /// [`PathEntry`](super::PathEntry)s, sorted by path.
    pub paths: P,
    /// [`NameEntry`](super::NameEntry)s, sorted by name.
    pub names: N,
    /// The same.
    pub missing: M,
}

/// A sequence of what the function's iterator gives, held one at a time.
#[derive(Debug)]
pub struct Each<F>(pub F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: IntoIterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NameEntry, PathEntry, Profile};
    use super::*;

    #[test]
    fn the_document_is_that_of_a_profile() {
        let mut profile = Profile::new(ImageId { id: "sha256:1".into(), ..ImageId::default() });
        profile.runs = vec![Run { missing_dropped: 3, ..Run::default() }, Run::default()];
        for count in 0..3 {
            let name = |number| format!("/{number}").as_str().into();
            profile.marks = (0..count).map(|number| number.to_string()).collect();
            profile.paths = (0..count)
                .map(|number| PathEntry { path: name(number), ..PathEntry::default() })
                .collect();
            profile.names = (0..count)
                .map(|number| NameEntry { name: name(number), ..NameEntry::default() })
                .collect();
            let streamed = Streamed {
                version: profile.version,
                image: &profile.image,
                runs: &profile.runs,
                marks: &profile.marks,
                paths: Each(|| profile.paths.iter()),
                names: Each(|| profile.names.iter().filter(|_| true)),
                missing: Each(|| profile.missing.iter()),
            };
            assert_eq!(
                serde_json::to_string_pretty(&streamed).unwrap(),
                serde_json::to_string_pretty(&profile).unwrap()
            );
        }
    }
}
