//! NUL-terminated paths: any name can stand in such a list.

use std::io::Write;

use super::{Export, ExportError, Format};

pub(super) struct Paths0;

impl Format for Paths0 {
    fn write(&self, export: &Export<'_>, writer: &mut dyn Write) -> Result<(), ExportError> {
        for (path, _) in export.paths() {
            writer.write_all(&path)?;
            writer.write_all(b"\0")?;
        }
        Ok(())
    }
}
