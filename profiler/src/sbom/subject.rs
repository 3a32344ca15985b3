//! The image that a document is about.

use jiff::Timestamp;
use packageurl::PackageUrl;
use serde_json::Value;
use uuid::Uuid;

use crate::packages::Distro;

/// What identifiers are derived from: a place of this program's own, where
/// nothing need be found.
const SPACE: &str = "https://github.com/profiler-rs/profiler";

/// Identity of the minimized image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Its name, without registry and tag.
    pub name: String,
    /// Digest of its manifest where it has one yet, else of its config.
    pub digest: String,
    /// Digest of the source's config.
    pub source: String,
    /// When the image says that it was created, to the second; the epoch when
    /// it does not.
    pub created: String,
    /// Its distribution.
    pub distro: Distro,
}

impl Subject {
    /// Puts an identity together. `reference` is how people call the image;
    /// `config` is the source's, whose time of creation the result keeps.
    pub fn new(
        reference: &str,
        digest: &str,
        source: &str,
        config: &[u8],
        distro: &Distro,
    ) -> Self {
        let config: Value = serde_json::from_slice(config).unwrap_or_default();
        let created = config["created"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let seconds = created.map_or(0, Timestamp::as_second);
        Self {
            name: name(reference),
            digest: digest.into(),
            source: source.into(),
            created: Timestamp::from_second(seconds).unwrap_or_default().to_string(),
            distro: distro.clone(),
        }
    }

    /// The image as a package URL.
    pub fn purl(&self) -> String {
        let url = PackageUrl::new("oci", self.name.as_str()).and_then(|mut url| {
            url.with_version(self.digest.as_str())?;
            Ok(url.to_string())
        });
        url.unwrap_or_else(|_| format!("pkg:oci/image@{}", self.digest))
    }

    /// An identifier of a document about it: the same for the same image, and
    /// another for each kind of document.
    pub fn uuid(&self, kind: &str) -> Uuid {
        let name = format!("{SPACE}/{kind}/{}/{}", self.source, self.digest);
        Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes())
    }

    /// [`Subject::uuid`] as an address.
    pub fn address(&self, kind: &str) -> String {
        format!("{SPACE}/{kind}/{}", self.uuid(kind))
    }
}

/// Last component of a reference, without tag and digest, in lower case.
fn name(reference: &str) -> String {
    let path = reference.split('@').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let name = last.split(':').next().unwrap_or_default().to_lowercase();
    if name.is_empty() { "image".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_without_registry_tag_and_digest() {
        assert_eq!(name("registry.example:5000/team/App:1.2@sha256:aa"), "app");
        assert_eq!(name("nginx"), "nginx");
        assert_eq!(name(""), "image");
    }

    #[test]
    fn times_are_the_images_to_the_second() {
        let subject = |created: &str| {
            let config = format!("{{\"created\":\"{created}\"}}");
            Subject::new("x", "d", "s", config.as_bytes(), &Distro::default()).created
        };
        assert_eq!(subject("2024-05-06T07:08:09.123456789+02:00"), "2024-05-06T05:08:09Z");
        assert_eq!(subject("yesterday"), "1970-01-01T00:00:00Z");
    }
}
