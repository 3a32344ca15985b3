//! Platforms: which of an index's images is meant.
//!
//! Names are those of Go's `GOOS` and `GOARCH`. Source: OCI image
//! specification, "image-index.md", property `platform`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::ImageError;

/// `OS/ARCH[/VARIANT]`, as in `linux/arm64` or `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub architecture: String,
    /// Variant of the architecture; none where there is only one in use.
    pub variant: Option<String>,
}

/// Why a text is no platform.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("platform {0:?} is not OS/ARCH or OS/ARCH/VARIANT, such as linux/arm64")]
pub struct PlatformError(String);

impl Platform {
    /// The platform of images this machine runs.
    pub fn of_machine() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self::new("linux", architecture, None)
    }

    /// The variant that an architecture has when none is named is left out,
    /// and other tools' names of architectures become Go's. Source:
    /// containerd's package `platforms`, "Normalization".
    fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let (os, architecture) = (os.to_lowercase(), architecture.to_lowercase());
        let variant = variant.map(str::to_lowercase).filter(|variant| !variant.is_empty());
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64".to_owned(), None),
            ("aarch64" | "arm64", None | Some("v8" | "8")) => ("arm64".to_owned(), None),
            ("armhf", None) | ("arm", None | Some("v7" | "7")) => ("arm".to_owned(), None),
            ("armel", None) | ("arm", Some("v6" | "6")) => {
                ("arm".to_owned(), Some("v6".to_owned()))
            }
            ("i386", None) => ("386".to_owned(), None),
            _ => (architecture, variant),
        };
        Self { os, architecture, variant }
    }

    /// Reads the `platform` of a descriptor, or an image config, which has
    /// the same keys; none where the essential ones are missing.
    pub fn of(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        Some(Self::new(text("os")?, text("architecture")?, text("variant")))
    }

    /// Whether it is the placeholder of things that are no images, such as
    /// attestations.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }

    /// Fails if an image's config is of another platform than the one asked
    /// for. A config that does not say is taken.
    ///
    /// # Errors
    /// [`ImageError::NotFound`].
    pub(super) fn check(
        wanted: Option<&Self>,
        image: &str,
        config: &[u8],
    ) -> Result<(), ImageError> {
        let Some(wanted) = wanted else { return Ok(()) };
        let value: Value = serde_json::from_slice(config).unwrap_or_default();
        match Self::of(&value) {
            Some(found) if found != *wanted => Err(ImageError::NotFound {
                image: image.into(),
                hint: format!(" for platform {wanted}; it is of {found}"),
            }),
            _ => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let fine = |part: &&str| -> bool {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        match parts.as_slice() {
            [os, architecture] if parts.iter().all(fine) => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] if parts.iter().all(fine) => {
                Ok(Self::new(os, architecture, Some(variant)))
            }
            _ => Err(PlatformError(text.into())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_written_as_it_is_read_but_for_default_variants() {
        let shown = |text: &str| text.parse::<Platform>().unwrap().to_string();
        assert_eq!(shown("linux/amd64"), "linux/amd64");
        assert_eq!(shown("linux/arm/v6"), "linux/arm/v6");
        assert_eq!(shown("linux/arm64/v8"), "linux/arm64");
        assert_eq!(shown("Linux/aarch64"), "linux/arm64");
        assert_eq!(shown("linux/arm/v7"), "linux/arm");
        for wrong in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64"] {
            let error = wrong.parse::<Platform>().unwrap_err().to_string();
            assert!(error.contains("linux/arm64"), "{error}");
        }
    }
}
