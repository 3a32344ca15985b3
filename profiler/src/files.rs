//! Files that appear only when they are whole.

use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

/// The directory a file is in; the current one for a bare name.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A temporary file beside `path`, removed unless it [`appear`]s.
///
/// # Errors
/// When the directory cannot be written.
pub fn beside(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".profiler-").tempfile_in(directory_of(path))
}

/// Renames the file of [`beside`] to its place, as an ordinary file:
/// temporary ones are readable by their owner alone.
///
/// # Errors
/// When it cannot be renamed; it is removed then, and what was at `path`
/// stays.
pub fn appear(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Writes a whole file.
///
/// # Errors
/// When it cannot be written; what was at `path` stays.
pub fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = beside(path)?;
    let mut writer = BufWriter::new(file.as_file_mut());
    fill(&mut writer)?;
    writer.flush()?;
    drop(writer);
    appear(file, path)
}
