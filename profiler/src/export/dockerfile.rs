//! A multi-stage Dockerfile for any builder, BuildKit or not.
//!
//! Where the source image has a shell and GNU tar, its own tar picks the
//! files: links, owners, modes and file capabilities survive. Where it has
//! none, each file is copied by name; a builder follows symlinks then, so a
//! directory link becomes a directory and a file link a copy.

mod config;
mod mounted;

use std::io::Write;

use serde_json::Value;

use super::{Export, ExportError, Format};
use crate::image::{NodeKind, Tree};

/// Bytes of names in one instruction; builders limit the line, the kernel
/// the argument.
const CHUNK: usize = 16 * 1024;

/// What the first stage is done with.
const TOOLS: [&str; 6] = ["sh", "tar", "mkdir", "chmod", "chown", "rm"];

pub(super) struct Dockerfile;

impl Format for Dockerfile {
    fn write(&self, export: &Export<'_>, writer: &mut dyn Write) -> Result<(), ExportError> {
        let name = export.image.reference.trim_start_matches("docker-daemon:");
        writeln!(writer, "# Only what was used of {name}, {}.", export.image.id)?;
        if has_tools(export.tree) {
            by_tar(export, name, writer)?;
        } else {
            by_name(export, name, writer)?;
        }
        let config: Value = serde_json::from_slice(&export.image.config).unwrap_or_default();
        config::instructions(config.get("config").unwrap_or(&Value::Null), writer)
    }
}

/// A shell and tools, and a tar that is not busybox's (which lacks `--null`).
fn has_tools(tree: &Tree<'_>) -> bool {
    TOOLS.iter().all(|tool| {
        ["/bin", "/usr/bin"].iter().any(|directory| {
            let end = tree.walk(format!("{directory}/{tool}").as_bytes(), true).end;
            end.is_some_and(|end| *tool != "tar" || !tree.path(end).ends_with(b"busybox"))
        })
    })
}

fn by_tar(export: &Export<'_>, name: &str, writer: &mut dyn Write) -> Result<(), ExportError> {
    writeln!(writer, "FROM {name} AS pick\nUSER 0\nWORKDIR /\nSHELL [\"/bin/sh\", \"-c\"]")?;
    let mut line = String::new();
    for (path, id) in export.paths() {
        if mounted::hides(&path) && !matches!(export.tree.node(id).kind, NodeKind::Symlink(_)) {
            continue;
        }
        let word = format!(" '{}'", escaped(&path));
        if line.len() + word.len() > CHUNK {
            chunk(&line, writer)?;
            line.clear();
        }
        line.push_str(&word);
    }
    chunk(&line, writer)?;
    // By a file and not a pipe, whose first half could fail unseen: this shell
    // may know no pipefail.
    let options = "--numeric-owner --xattrs --xattrs-include=security.capability";
    writeln!(
        writer,
        "RUN : >> /.paths0 && mkdir /.picked \\\n \
         && tar -C / {options} --no-recursion --null -T /.paths0 -cf /.picked.tar \\\n \
         && tar -C /.picked {options} -xpf /.picked.tar && rm /.picked.tar"
    )?;
    mounted::make(export, writer)?;
    writeln!(writer, "FROM scratch\nCOPY --from=pick /.picked/ /")?;
    Ok(())
}

fn chunk(words: &str, writer: &mut dyn Write) -> std::io::Result<()> {
    if words.is_empty() {
        Ok(())
    } else {
        writeln!(writer, "RUN printf '%b\\0'{words} >> /.paths0")
    }
}

/// For `printf %b` within single quotes: everything unusual in octal.
fn escaped(path: &[u8]) -> String {
    path.iter()
        .map(|&byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            b'/' | b'.' | b'_' | b'-' | b'+' | b':' | b'@' | b',' | b'=' => {
                char::from(byte).to_string()
            }
            _ => format!("\\0{byte:03o}"),
        })
        .collect()
}

fn by_name(export: &Export<'_>, name: &str, writer: &mut dyn Write) -> Result<(), ExportError> {
    let mut copies = String::new();
    for (path, id) in export.paths() {
        // Directories come with the files in them.
        if matches!(export.tree.node(id).kind, NodeKind::File | NodeKind::Symlink(_)) {
            let leads_to = export.tree.walk(&export.tree.path(id), true).end;
            if leads_to.is_some_and(|end| export.tree.node(end).kind != NodeKind::File) {
                continue;
            }
            copies.push_str(&copy(&path)?);
        }
    }
    writeln!(
        writer,
        "# The image has no shell and GNU tar: files are copied one by one, symlinks as what they lead to.\n\
         FROM {name} AS source\nFROM scratch"
    )?;
    writer.write_all(copies.as_bytes())?;
    Ok(())
}

/// The instruction that copies one file. The source is a pattern (Go's
/// `filepath.Match`), where a class of one takes a character as it stands.
/// Quotes, backslashes and variables mean something to some builders and
/// nothing to others, so names with them are refused, as are those that are
/// not UTF-8.
fn copy(path: &[u8]) -> Result<String, ExportError> {
    let uncopyable = || ExportError::Uncopyable(String::from_utf8_lossy(path).into_owned());
    let path = std::str::from_utf8(path).map_err(|_| uncopyable())?;
    if path.contains(['\\', '\'', '"', '$']) {
        return Err(uncopyable());
    }
    let mut pattern = String::from("/");
    for character in path.chars() {
        match character {
            '*' | '?' | '[' => pattern.extend(['[', character, ']']),
            _ => pattern.push(character),
        }
    }
    let (pattern, path) = (Value::String(pattern), Value::String(format!("/{path}")));
    Ok(format!("COPY --from=source [{pattern}, {path}]\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusual_bytes_are_octal() {
        assert_eq!(escaped(b"etc/a b\n'\xff"), "etc/a\\0040b\\0012\\0047\\0377");
    }

    #[test]
    fn a_copied_name_is_no_pattern() {
        assert_eq!(
            copy(b"srv/a[1]*?.txt").unwrap(),
            "COPY --from=source [\"/srv/a[[]1][*][?].txt\", \"/srv/a[1]*?.txt\"]\n"
        );
        assert_eq!(
            copy("srv/caf\u{e9} x".as_bytes()).unwrap(),
            "COPY --from=source [\"/srv/caf\u{e9} x\", \"/srv/caf\u{e9} x\"]\n"
        );
    }

    #[test]
    fn a_name_that_cannot_be_copied_is_an_error_and_not_left_out() {
        for name in [b"srv/caf\xe9".as_slice(), b"a$b", b"a'b", b"a\"b", b"a\\b"] {
            let error = copy(name).unwrap_err().to_string();
            assert!(error.contains("paths0"), "{error}");
        }
    }
}
