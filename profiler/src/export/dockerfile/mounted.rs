//! Places where a builder mounts something of its own while it runs the first
//! stage: what lies there is the builder's and not the image's. It is made
//! from the image's index instead.

use std::io::{Read as _, Write};

use super::{CHUNK, escaped};
use crate::export::{Export, ExportError};
use crate::image::{NodeId, NodeKind};

/// Directories that are mounted over, with all that is in them.
const DIRECTORIES: [&[u8]; 3] = [b"dev", b"proc", b"sys"];

/// Files that are mounted over.
const FILES: [&[u8]; 3] = [b"etc/hostname", b"etc/hosts", b"etc/resolv.conf"];

/// Longest content that is written into the Dockerfile; such files hold a few
/// lines.
const CONTENT_MAX: u64 = CHUNK as u64;

/// Whether a builder's mount lies over a path, which is relative to the root.
pub fn hides(path: &[u8]) -> bool {
    let first = path.split(|&byte| byte == b'/').next().unwrap_or_default();
    DIRECTORIES.contains(&first) || FILES.contains(&path)
}

/// Writes instructions that make in `/.picked` what the image has in those
/// places: directories, and files with their content. Devices and FIFOs are
/// left out, as every engine mounts its own `/dev`.
///
/// # Errors
/// When a file cannot be read or is too long for a Dockerfile.
pub fn make(export: &Export<'_>, writer: &mut dyn Write) -> Result<(), ExportError> {
    for (path, id) in export.paths().into_iter().filter(|(path, _)| hides(path)) {
        let node = export.tree.node(id);
        let place = format!("\"$(printf '%b' '/.picked/{}')\"", escaped(&path));
        let making = match node.kind {
            NodeKind::Dir => format!("mkdir -p {place}"),
            NodeKind::File => format!("printf '%b' '{}' > {place}", escaped(&content(export, id)?)),
            _ => continue,
        };
        let (uid, gid, mode) = (node.uid, node.gid, node.mode);
        writeln!(writer, "RUN {making} && chown {uid}:{gid} {place} && chmod {mode:04o} {place}")?;
    }
    Ok(())
}

fn content(export: &Export<'_>, id: NodeId) -> Result<Vec<u8>, ExportError> {
    let mut bytes = Vec::new();
    if let Some(reader) = export.tree.open(id)? {
        reader.take(CONTENT_MAX + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > CONTENT_MAX {
        let path = String::from_utf8_lossy(&export.tree.path(id)).into_owned();
        return Err(ExportError::Uncopyable(path));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::{Tar, image};
    use crate::image::{SourceImage, Tree};
    use crate::minimize::{Plan, Reason, Rule};

    /// The Dockerfile of an image of which everything is kept.
    fn dockerfile(image: &SourceImage) -> String {
        let tree = Tree::build(&image.layers).unwrap();
        let reason = Reason { rule: Rule::Touched, detail: String::new() };
        let kept = tree.all().into_iter().map(|id| (id, reason.clone())).collect();
        let plan = Plan { kept, ..Plan::default() };
        let mut text = Vec::new();
        let export = Export { image, tree: &tree, plan: &plan };
        crate::export::dockerfile().write(&export, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_the_builder_mounts_is_made_from_the_image_and_never_picked() {
        let mut tar =
            Tar::new().dir("proc").dir("dev").file("dev/kept", "").file("etc/hosts", "a b\n");
        for tool in super::super::TOOLS {
            tar = tar.file(&format!("bin/{tool}"), "x");
        }
        let image = image(vec![tar.link("etc/resolv.conf", "../run/resolv.conf").bytes()]);
        let text = dockerfile(&image);
        let picked = text.lines().find(|line| line.ends_with(">> /.paths0")).unwrap();
        for path in ["proc", "dev", "dev/kept", "etc/hosts"] {
            assert!(!picked.contains(&format!("'{path}'")), "{path} is picked: {text}");
        }
        assert!(picked.contains("'etc/resolv.conf'"), "a link is no mount: {text}");
        assert!(text.contains("printf '%b' 'a\\0040b\\0012' > "), "{text}");
        assert!(
            text.contains("RUN mkdir -p \"$(printf '%b' '/.picked/proc')\" && chown 7:8"),
            "{text}"
        );
        assert!(!text.contains(" | "), "a pipe hides a failure: {text}");
    }
}
