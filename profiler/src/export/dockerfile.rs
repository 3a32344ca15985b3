//! A multi-stage Dockerfile for any builder, BuildKit or not.
//!
//! Where the source image has a shell and GNU tar, its own tar picks the
//! files: links, owners and modes survive. Where it has none, each file is
//! copied by name; a builder follows symlinks then, so a directory link
//! becomes a directory and a file link a copy.

use std::io::{self, Write};

use serde_json::Value;

use super::{Export, ExportError, Format};
use crate::image::{NodeKind, Tree};

/// Bytes of names in one instruction; builders limit the line, the kernel
/// the argument.
const CHUNK: usize = 16 * 1024;

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
        instructions(config.get("config").unwrap_or(&Value::Null), writer)?;
        Ok(())
    }
}

/// A shell, and a tar that is not busybox's (which lacks `--null`).
fn has_tools(tree: &Tree<'_>) -> bool {
    let tar = ["/bin/tar", "/usr/bin/tar"].iter().any(|path| {
        let end = tree.walk(path.as_bytes(), true).end;
        end.is_some_and(|end| !tree.path(end).ends_with(b"busybox"))
    });
    tar && tree.walk(b"/bin/sh", true).end.is_some()
}

fn by_tar(export: &Export<'_>, name: &str, writer: &mut dyn Write) -> io::Result<()> {
    writeln!(writer, "FROM {name} AS pick\nUSER 0\nWORKDIR /\nSHELL [\"/bin/sh\", \"-c\"]")?;
    let mut line = String::new();
    for (path, _) in export.paths() {
        let word = format!(" '{}'", escaped(&path));
        if line.len() + word.len() > CHUNK {
            chunk(&line, writer)?;
            line.clear();
        }
        line.push_str(&word);
    }
    chunk(&line, writer)?;
    writeln!(
        writer,
        "RUN mkdir /.picked && tar -C / --no-recursion --null -T /.paths0 -cf - | tar -C /.picked -xpf -\n\
         FROM scratch\nCOPY --from=pick /.picked/ /"
    )
}

fn chunk(words: &str, writer: &mut dyn Write) -> io::Result<()> {
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

fn by_name(export: &Export<'_>, name: &str, writer: &mut dyn Write) -> io::Result<()> {
    writeln!(
        writer,
        "# The image has no shell and GNU tar: files are copied one by one, symlinks as what they lead to.\n\
         FROM {name} AS source\nFROM scratch"
    )?;
    for (path, id) in export.paths() {
        // Directories come with the files in them.
        if matches!(export.tree.node(id).kind, NodeKind::File | NodeKind::Symlink(_)) {
            let leads_to = export.tree.walk(&export.tree.path(id), true).end;
            if leads_to.is_some_and(|end| export.tree.node(end).kind != NodeKind::File) {
                continue;
            }
            let Ok(path) = std::str::from_utf8(&path) else { continue };
            let path = Value::String(format!("/{path}"));
            writeln!(writer, "COPY --from=source [{path}, {path}]")?;
        }
    }
    Ok(())
}

/// The config as instructions.
fn instructions(config: &Value, writer: &mut dyn Write) -> io::Result<()> {
    let text = |key: &str| config.get(key).and_then(Value::as_str).filter(|t| !t.is_empty());
    let keys = |key: &str| {
        let map = config.get(key).and_then(Value::as_object);
        map.into_iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    for entry in config.get("Env").and_then(Value::as_array).into_iter().flatten() {
        if let Some((name, value)) = entry.as_str().and_then(|entry| entry.split_once('=')) {
            writeln!(writer, "ENV {name}={}", quoted(value))?;
        }
    }
    for (key, value) in config.get("Labels").and_then(Value::as_object).into_iter().flatten() {
        writeln!(writer, "LABEL {}={}", quoted(key), quoted(value.as_str().unwrap_or_default()))?;
    }
    for port in keys("ExposedPorts") {
        writeln!(writer, "EXPOSE {port}")?;
    }
    if let Some(directory) = text("WorkingDir") {
        writeln!(writer, "WORKDIR {directory}")?;
    }
    if let Some(user) = text("User") {
        writeln!(writer, "USER {user}")?;
    }
    let volumes = keys("Volumes");
    if !volumes.is_empty() {
        writeln!(writer, "VOLUME {}", Value::from(volumes))?;
    }
    if let Some(signal) = text("StopSignal") {
        writeln!(writer, "STOPSIGNAL {signal}")?;
    }
    for (instruction, key) in [("SHELL", "Shell"), ("ENTRYPOINT", "Entrypoint"), ("CMD", "Cmd")] {
        if let Some(list @ Value::Array(words)) = config.get(key)
            && !words.is_empty()
        {
            writeln!(writer, "{instruction} {list}")?;
        }
    }
    if let Some(check) = config.get("Healthcheck") {
        health_check(check, writer)?;
    }
    Ok(())
}

fn health_check(check: &Value, writer: &mut dyn Write) -> io::Result<()> {
    let Some(test) = check.get("Test").and_then(Value::as_array) else { return Ok(()) };
    let Some((kind, words)) = test.split_first() else { return Ok(()) };
    if kind.as_str() == Some("NONE") {
        return writeln!(writer, "HEALTHCHECK NONE");
    }
    let mut options = String::new();
    for (option, key) in
        [("interval", "Interval"), ("timeout", "Timeout"), ("start-period", "StartPeriod")]
    {
        if let Some(nanoseconds) = check.get(key).and_then(Value::as_i64).filter(|&n| n > 0) {
            options.push_str(&format!("--{option}={nanoseconds}ns "));
        }
    }
    if let Some(retries) = check.get("Retries").and_then(Value::as_i64).filter(|&n| n > 0) {
        options.push_str(&format!("--retries={retries} "));
    }
    match (kind.as_str(), words) {
        (Some("CMD-SHELL"), [command]) => {
            writeln!(writer, "HEALTHCHECK {options}CMD {}", command.as_str().unwrap_or_default())
        }
        _ => writeln!(writer, "HEALTHCHECK {options}CMD {}", Value::from(words)),
    }
}

/// A value in double quotes; builders expand variables in there.
fn quoted(value: &str) -> String {
    let mut quoted = String::from("\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_becomes_instructions() {
        let config = serde_json::json!({
            "Env": ["PATH=/bin", "MONEY=a\"$b"],
            "User": "www",
            "WorkingDir": "/srv",
            "Entrypoint": ["nginx", "-g"],
            "Healthcheck": {"Test": ["CMD-SHELL", "true || false"], "Interval": 5_000_000_000_i64},
        });
        let mut text = Vec::new();
        instructions(&config, &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "ENV PATH=\"/bin\"\nENV MONEY=\"a\\\"\\$b\"\nWORKDIR /srv\nUSER www\n\
             ENTRYPOINT [\"nginx\",\"-g\"]\nHEALTHCHECK --interval=5000000000ns CMD true || false\n"
        );
    }

    #[test]
    fn unusual_bytes_are_octal() {
        assert_eq!(escaped(b"etc/a b\n'\xff"), "etc/a\\0040b\\0012\\0047\\0377");
    }
}
