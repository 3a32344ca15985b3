//! One path a line.

use std::io::Write;

use super::{Export, ExportError, Format};

pub(super) struct Paths;

impl Format for Paths {
    fn write(&self, export: &Export<'_>, writer: &mut dyn Write) -> Result<(), ExportError> {
        let paths = export.paths();
        // tar takes backslashes for escapes and a leading dash for an option;
        // refused before anything is written.
        let unspeakable =
            |path: &[u8]| path.iter().any(|byte| b"\n\\".contains(byte)) || path.starts_with(b"-");
        if let Some((path, _)) = paths.iter().find(|(path, _)| unspeakable(path)) {
            return Err(ExportError::Unspeakable(String::from_utf8_lossy(path).into_owned()));
        }
        for (path, _) in paths {
            writer.write_all(&path)?;
            writer.write_all(b"\n")?;
        }
        Ok(())
    }
}
