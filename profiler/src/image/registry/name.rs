//! Names of images in registries: `HOST/NAME[:TAG][@DIGEST]`.

use super::super::ImageError;

/// What `docker pull` takes for names without a host.
const HUB: &str = "docker.io";

/// A parsed name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Host with its port.
    pub host: String,
    /// Repository within the registry.
    pub repository: String,
    /// Tag; "latest" when neither tag nor digest was given.
    tag: Option<String>,
    /// Digest.
    digest: Option<String>,
}

impl Name {
    /// Parses what follows `docker://`.
    ///
    /// # Errors
    /// [`ImageError::Reference`].
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        let wrong =
            |why: &str| ImageError::Reference { text: format!("docker://{text}"), why: why.into() };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (path, tag) = match rest[slash..].split_once(':') {
            Some((last, tag)) => (&rest[..slash + last.len()], Some(tag)),
            None => (rest, None),
        };
        let (host, repository) = match path.split_once('/') {
            Some((host, name)) if host.contains(['.', ':']) || host == "localhost" => (host, name),
            _ => (HUB, path),
        };
        let repository = match repository.contains('/') || host != HUB {
            true => repository.to_owned(),
            false => format!("library/{repository}"),
        };
        let of_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
        let good = repository.split('/').all(|part| {
            part.bytes().all(of_name) && part.starts_with(|c: char| c.is_ascii_alphanumeric())
        });
        if !good {
            return Err(wrong("an image name has lower-case letters, digits and . _ - /"));
        }
        if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b)) {
            return Err(wrong("not a host name"));
        }
        let of_tag = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if tag.is_some_and(|tag| tag.is_empty() || tag.len() > 128 || !tag.bytes().all(of_tag)) {
            return Err(wrong("a tag has at most 128 letters, digits and . _ -"));
        }
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(wrong("a digest is sha256: and 64 lower-case hexadecimal digits"));
        }
        let tag = match digest {
            None => Some(tag.unwrap_or("latest")),
            Some(_) => tag,
        };
        Ok(Self {
            host: host.into(),
            repository,
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// Parses the name of an image to be written, which has a tag only.
    ///
    /// # Errors
    /// [`ImageError::Reference`].
    pub fn for_output(text: &str) -> Result<Self, ImageError> {
        let name = Self::parse(text)?;
        match name.digest {
            None => Ok(name),
            Some(_) => Err(ImageError::Reference {
                text: format!("docker://{text}"),
                why: "an output is named by a tag, its digest is what comes out".into(),
            }),
        }
    }

    /// What stands for the image in requests: the digest, else the tag.
    pub fn reference(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }

    /// Host name that speaks the registry's protocol.
    pub fn api_host(&self) -> &str {
        if self.host == HUB || self.host == "index.docker.io" {
            "registry-1.docker.io"
        } else {
            &self.host
        }
    }

    /// Whether the registry is on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = match self.host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.host,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// Whether it is a SHA-256 digest.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, String) {
        let name = Name::parse(text).unwrap();
        let reference = name.reference().to_owned();
        (name.host, name.repository, reference)
    }

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, host, repository, reference) in [
            ("nginx", "docker.io", "library/nginx", "latest"),
            ("bitnami/nginx:1", "docker.io", "bitnami/nginx", "1"),
            ("localhost/a/b:c", "localhost", "a/b", "c"),
            ("127.0.0.1:5000/a", "127.0.0.1:5000", "a", "latest"),
            ("registry.example:5000/a/b_c.d-e:V1.0", "registry.example:5000", "a/b_c.d-e", "V1.0"),
            (&format!("h.example/a@{digest}"), "h.example", "a", &digest),
            (&format!("h.example/a:b@{digest}"), "h.example", "a", &digest),
        ] {
            assert_eq!(parts(text), (host.into(), repository.into(), reference.into()), "{text}");
        }
    }

    #[test]
    fn names_that_would_ask_for_something_else_are_refused() {
        let long = format!("h.example/a:{}", "x".repeat(129));
        for text in [
            "",
            "/",
            "h.example/",
            "h.example/A",
            "h.example/a:",
            "h.example/a?b",
            "h.example/../a",
            "h.example/a b",
            "h.example/a@sha256:12",
            "h.example/a//b",
            "user@h.example/a",
            &long,
        ] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, loopback) in [
            ("localhost/a", true),
            ("localhost:5000/a", true),
            ("127.3.2.1:5000/a", true),
            ("[::1]:5000/a", true),
            ("localhost.example/a", false),
            ("10.0.0.1/a", false),
            ("127.0.0.1.example/a", false),
        ] {
            assert_eq!(Name::parse(text).unwrap().is_loopback(), loopback, "{text}");
        }
    }
}
