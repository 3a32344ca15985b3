//! Image references with a transport, as skopeo and podman write them.

use std::fmt;
use std::str::FromStr;

use super::ImageError;
use super::registry::Name;

/// Where an image is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The Docker daemon's store.
    DockerDaemon,
    /// A file as `docker save` writes it.
    DockerArchive,
    /// An OCI image layout directory.
    Oci,
    /// An OCI image layout in a tar file.
    OciArchive,
    /// Podman's storage, which Buildah, CRI-O and skopeo use, too.
    ContainersStorage,
    /// A registry.
    Registry,
}

impl Transport {
    /// The word before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::DockerDaemon => "docker-daemon",
            Self::DockerArchive => "docker-archive",
            Self::Oci => "oci",
            Self::OciArchive => "oci-archive",
            Self::ContainersStorage => "containers-storage",
            Self::Registry => "docker",
        }
    }

    /// What stands between that word and the name.
    fn separator(self) -> &'static str {
        if self == Self::Registry { "://" } else { ":" }
    }
}

/// A parsed reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where it is kept.
    pub transport: Transport,
    /// Image name, file or directory.
    pub name: String,
    /// Tag inside an archive or layout.
    pub tag: Option<String>,
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let wrong = |why: &str| ImageError::Reference { text: text.into(), why: why.into() };
        let transports = [
            Transport::DockerDaemon,
            Transport::DockerArchive,
            Transport::OciArchive,
            Transport::Oci,
            Transport::ContainersStorage,
            Transport::Registry,
        ];
        let found = transports.into_iter().find_map(|transport| {
            let rest = text.strip_prefix(transport.name())?.strip_prefix(transport.separator())?;
            Some((transport, rest))
        });
        let Some((transport, rest)) = found else {
            if text.starts_with("docker:") {
                return Err(wrong("a registry is written docker://HOST/NAME"));
            }
            for other in ["dir:", "registry:"] {
                if text.starts_with(other) {
                    return Err(wrong(&format!("transport {other} is not supported")));
                }
            }
            if text.is_empty() || text.starts_with('-') || text.contains(char::is_whitespace) {
                return Err(wrong("not an image name"));
            }
            return Ok(Self { transport: Transport::DockerDaemon, name: text.into(), tag: None });
        };
        if rest.is_empty() {
            return Err(wrong("nothing after the transport"));
        }
        let (name, tag) = match transport {
            Transport::DockerDaemon | Transport::ContainersStorage => (rest, None),
            Transport::Registry => {
                Name::parse(rest)?;
                (rest, None)
            }
            // A tag follows the last colon, unless a slash comes after it.
            _ => match rest.split_once(':') {
                Some((name, tag)) if !name.is_empty() && !tag.is_empty() => (name, Some(tag)),
                Some(_) => return Err(wrong("empty file name or tag")),
                None => (rest, None),
            },
        };
        Ok(Self { transport, name: name.into(), tag: tag.map(str::to_owned) })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.transport.name(), self.transport.separator(), self.name)?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_names_and_tags() {
        let parse = |text: &str| text.parse::<Reference>().unwrap();
        assert_eq!(parse("nginx:1.27").transport, Transport::DockerDaemon);
        assert_eq!(parse("nginx:1.27").name, "nginx:1.27");
        assert_eq!(parse("docker-daemon:a/b:c").name, "a/b:c");
        let oci = parse("oci:/tmp/x:v1");
        assert_eq!((oci.transport, oci.name.as_str()), (Transport::Oci, "/tmp/x"));
        assert_eq!(oci.tag.as_deref(), Some("v1"));
        let archive = parse("docker-archive:x.tar:nginx:1");
        assert_eq!(archive.tag.as_deref(), Some("nginx:1"));
        assert_eq!(archive.to_string(), "docker-archive:x.tar:nginx:1");
        let registry = parse("docker://localhost:5000/a/b:c");
        assert_eq!(registry.transport, Transport::Registry);
        assert_eq!(registry.name, "localhost:5000/a/b:c");
        assert_eq!(registry.to_string(), "docker://localhost:5000/a/b:c");
        let storage = parse("containers-storage:localhost/a:b");
        assert_eq!(storage.transport, Transport::ContainersStorage);
        assert_eq!(storage.name, "localhost/a:b");
        for wrong in ["", "oci:", "docker:x", "docker://", "docker://X", "oci::x", "a b", "dir:x"] {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong}");
        }
    }
}
