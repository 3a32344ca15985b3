//! `--debug-twin`: the second image, beside the first.

use std::path::PathBuf;

use anyhow::bail;
use profiler::image::{self, Reference, SourceImage, Transport, Tree};
use profiler::minimize::{Busybox, DebugTwin, debug_twin};

/// Flags of the twin.
#[derive(Debug, clap::Args)]
pub struct TwinArgs {
    /// Write a second image under this tag: the small one, and a static
    /// busybox in /busybox at the end of its PATH.
    #[arg(long, value_name = "TAG")]
    debug_twin: Option<String>,
    /// The static busybox to take; without it the image's own, else this
    /// machine's.
    #[arg(long, value_name = "FILE", requires = "debug_twin")]
    debug_busybox: Option<PathBuf>,
}

impl TwinArgs {
    /// Whether there is to be one.
    pub fn wanted(&self) -> bool {
        self.debug_twin.is_some()
    }

    /// Where the twin goes, if there is to be one: asked before the work
    /// begins.
    pub fn output(&self, output: &Reference, force: bool) -> anyhow::Result<Option<Reference>> {
        let Some(tag) = &self.debug_twin else { return Ok(None) };
        let twin = beside(output, tag)?;
        image::check_output(&twin, force)?;
        Ok(Some(twin))
    }

    /// What the twin has more than the small image.
    pub fn make(&self, source: &SourceImage, tree: &Tree<'_>) -> anyhow::Result<DebugTwin> {
        let busybox = Busybox::find(source, tree, self.debug_busybox.as_deref())?;
        Ok(debug_twin(&busybox, tree, &source.config)?)
    }
}

/// The same place under another tag; in Docker a whole name may be given.
fn beside(output: &Reference, tag: &str) -> anyhow::Result<Reference> {
    let valid = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    if !tag.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        || !tag.chars().all(|character| valid(character) || "/:".contains(character))
    {
        bail!("--debug-twin {tag}: not a tag; use letters, digits, dots, dashes, underscores");
    }
    let twin = match output.transport {
        Transport::DockerDaemon if tag.contains(['/', ':']) => {
            Reference { name: tag.to_owned(), ..output.clone() }
        }
        Transport::DockerDaemon => {
            let directory = output.name.rfind('/').map_or(0, |at| at + 1);
            let end = output.name[directory..].find([':', '@']).map(|at| directory + at);
            let name = &output.name[..end.unwrap_or(output.name.len())];
            Reference { name: format!("{name}:{tag}"), ..output.clone() }
        }
        Transport::Oci if tag.chars().all(valid) => {
            if output.tag.is_none() {
                bail!(
                    "--debug-twin {tag}: two images in {} need a tag each; write to oci:{}:TAG",
                    output.name,
                    output.name
                );
            }
            Reference { tag: Some(tag.to_owned()), ..output.clone() }
        }
        _ => bail!(
            "--debug-twin {tag} does not go beside {output}; write to docker-daemon:NAME or oci:DIR:TAG"
        ),
    };
    if twin == *output {
        bail!("--debug-twin {tag} is the name of the output itself; give it another tag");
    }
    Ok(twin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twin_stands_beside_the_output() {
        let of = |output: &str, tag: &str| {
            let twin = beside(&output.parse().unwrap(), tag);
            twin.map(|twin| twin.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(of("app:min", "debug").unwrap(), "docker-daemon:app:debug");
        assert_eq!(of("host:5000/a/app", "debug").unwrap(), "docker-daemon:host:5000/a/app:debug");
        assert_eq!(of("app:min", "app-debug:1").unwrap(), "docker-daemon:app-debug:1");
        assert_eq!(of("oci:out:min", "debug").unwrap(), "oci:out:debug");
        for (output, tag, word) in [
            ("app:min", "min", "itself"),
            ("app:min", "a b", "not a tag"),
            ("app:min", "-x", "not a tag"),
            ("oci:out", "debug", "oci:out:TAG"),
            ("oci:out:min", "a/b", "does not go"),
            ("oci-archive:out.tar:min", "debug", "does not go"),
        ] {
            let error = of(output, tag).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
