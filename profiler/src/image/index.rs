//! Which manifest of an index is meant.
//!
//! Sources: OCI image specification, "image-index.md"; for attestations
//! BuildKit's "attestation-storage.md".

use std::collections::BTreeSet;

use serde_json::Value;

use super::{ImageError, Platform};

/// Media types of manifests of one image.
const MANIFESTS: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Media types of lists of manifests.
const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// What a document behind a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// Config and layers of one image.
    Manifest,
    /// A list of manifests.
    Index,
}

/// Tells a manifest from an index: by its media type, which old writers leave
/// out, else by its keys.
///
/// # Errors
/// [`ImageError::Unsupported`] when it is neither.
pub fn document(image: &str, value: &Value) -> Result<Document, ImageError> {
    let unsupported = |what: String, next: &str| ImageError::Unsupported {
        image: image.into(),
        what,
        next: next.into(),
    };
    match value.get("mediaType").and_then(Value::as_str) {
        Some(kind) if MANIFESTS.contains(&kind) => return Ok(Document::Manifest),
        Some(kind) if INDEXES.contains(&kind) => return Ok(Document::Index),
        Some(kind) => {
            return Err(unsupported(format!("a manifest of media type {kind}"), ""));
        }
        None => {}
    }
    if value.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
        return Err(unsupported(
            "a manifest of Docker's schema 1".into(),
            "; copy it with `skopeo copy --format v2s2`",
        ));
    }
    match (value.get("manifests"), value.get("layers")) {
        (Some(Value::Array(_)), _) => Ok(Document::Index),
        (_, Some(Value::Array(_))) => Ok(Document::Manifest),
        _ => Err(ImageError::damaged(image, "its manifest has neither layers nor manifests")),
    }
}

/// Chooses the descriptor of the wanted platform; without one, that of this
/// machine's, or the only one there is. Attestations are not counted.
///
/// # Errors
/// [`ImageError::NotFound`], with the platforms that are there.
pub fn choose<'a>(
    image: &str,
    descriptors: &[&'a Value],
    wanted: Option<&Platform>,
) -> Result<&'a Value, ImageError> {
    let images: Vec<(&Value, Option<Platform>)> = descriptors
        .iter()
        .filter(|descriptor| is_image(descriptor))
        .map(|&descriptor| (descriptor, descriptor.get("platform").and_then(Platform::of)))
        .collect();
    if let [(only, platform)] = images.as_slice()
        && (wanted.is_none() || platform.is_none() || platform.as_ref() == wanted)
    {
        return Ok(only);
    }
    let machine = Platform::of_machine();
    let platform = wanted.unwrap_or(&machine);
    let there: BTreeSet<String> =
        images.iter().filter_map(|(_, one)| one.as_ref()).map(ToString::to_string).collect();
    let there = there.into_iter().collect::<Vec<_>>().join(", ");
    if let Some((found, _)) = images.iter().find(|(_, one)| one.as_ref() == Some(platform)) {
        if wanted.is_none() {
            log::info!("{image} has images for {there}: the one for {platform} is taken");
        }
        return Ok(found);
    }
    let there = if there.is_empty() {
        "; its index names no platforms".to_owned()
    } else {
        format!("; its index has {there}; name one of these platforms")
    };
    Err(ImageError::NotFound {
        image: image.into(),
        hint: format!(" for platform {platform}{there}"),
    })
}

/// Whether a descriptor is of an image, and not of the provenance or SBOM that
/// BuildKit and others put beside.
pub fn is_image(descriptor: &Value) -> bool {
    let kind = descriptor.pointer("/annotations/vnd.docker.reference.type");
    kind.and_then(Value::as_str) != Some("attestation-manifest")
        && descriptor.get("artifactType").is_none()
        && !descriptor.get("platform").and_then(Platform::of).is_some_and(|one| one.is_unknown())
}

/// Fails for a layer of a kind that this program does not read; says of one
/// that is kept elsewhere where that is. `there`: whether its blob is here
/// all the same.
///
/// # Errors
/// [`ImageError::Unsupported`].
pub fn check_layer(image: &str, descriptor: &Value, there: bool) -> Result<(), ImageError> {
    let kind = descriptor.get("mediaType").and_then(Value::as_str).unwrap_or_default();
    let unsupported =
        |what: String, next: String| ImageError::Unsupported { image: image.into(), what, next };
    let foreign = kind.contains("nondistributable") || kind.contains(".foreign.");
    if foreign && !there {
        let urls = descriptor.get("urls").and_then(Value::as_array).into_iter().flatten();
        let urls: Vec<&str> = urls.filter_map(Value::as_str).collect();
        let place = if urls.is_empty() { "elsewhere".into() } else { urls.join(" or ") };
        return Err(unsupported(
            format!("a foreign layer, which is kept at {place},"),
            "; put its blob beside the others, or take the image from an engine that has it".into(),
        ));
    }
    if kind.ends_with("+encrypted") {
        return Err(unsupported(
            "an encrypted layer".into(),
            "; decrypt it with `skopeo copy --decryption-key`".into(),
        ));
    }
    // What holds no tar is an artifact's.
    if !kind.is_empty() && !kind.contains("tar") {
        return Err(unsupported(format!("a layer of media type {kind}"), String::new()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(os: &str, architecture: &str, variant: &str) -> Value {
        json!({"platform": {"os": os, "architecture": architecture, "variant": variant}})
    }

    #[test]
    fn the_platform_asked_for_is_chosen_and_attestations_never() {
        let all =
            [of("unknown", "unknown", ""), of("linux", "arm64", "v8"), of("linux", "s390x", "")];
        let all: Vec<&Value> = all.iter().collect();
        let chosen = |text: &str| choose("x", &all, Some(&text.parse().unwrap())).cloned();
        assert_eq!(chosen("linux/arm64").unwrap(), *all[1]);
        let error = chosen("linux/riscv64").unwrap_err().to_string();
        assert!(error.contains("linux/arm64, linux/s390x"), "{error}");
        assert!(!error.contains("unknown"), "{error}");
        assert!(choose("x", &all[..2], None).is_ok(), "the only image beside an attestation");
        assert!(choose("x", &all[..1], None).is_err(), "nothing but an attestation");
    }

    #[test]
    fn manifests_are_known_by_type_or_by_keys() {
        for kind in MANIFESTS {
            assert_eq!(document("x", &json!({"mediaType": kind})).unwrap(), Document::Manifest);
        }
        for kind in INDEXES {
            assert_eq!(document("x", &json!({"mediaType": kind})).unwrap(), Document::Index);
        }
        assert_eq!(document("x", &json!({"layers": []})).unwrap(), Document::Manifest);
        assert_eq!(document("x", &json!({"manifests": []})).unwrap(), Document::Index);
        let error = document("x", &json!({"schemaVersion": 1, "fsLayers": []})).unwrap_err();
        assert!(error.to_string().contains("schema 1"), "{error}");
        assert!(document("x", &json!({})).is_err());
    }

    #[test]
    fn a_foreign_layer_that_is_not_here_is_refused_with_its_place() {
        let layer = json!({
            "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            "urls": ["https://example.com/layer"],
        });
        let error = check_layer("x", &layer, false).unwrap_err().to_string();
        assert!(error.contains("https://example.com/layer"), "{error}");
        check_layer("x", &layer, true).unwrap();
    }
}
