//! The file tree the image consists of.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::ALL;

/// A file in each case's directory that nothing touches.
const DECOY: &str = "decoy";

/// Makes the tree below `root`, with this program as `/bin/cases`.
///
/// # Errors
/// When something cannot be made; `root` must be empty or absent.
pub fn prepare(root: &Path) -> Result<()> {
    for directory in ["bin", "etc", "tmp", "proc", "dev", "sys", "case"] {
        fs::create_dir_all(root.join(directory))
            .with_context(|| format!("cannot make {directory} in {}", root.display()))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    let program = root.join("bin/cases");
    fs::copy("/proc/self/exe", &program)
        .with_context(|| format!("cannot copy this program to {}", program.display()))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/cases\n")?;
    for case in ALL {
        let tree = Tree { directory: root.join(&case.directory()[1..]) };
        tree.directory("")?;
        tree.file(DECOY)?;
        (case.prepare)(&tree).with_context(|| format!("case {:02}", case.number))?;
    }
    Ok(())
}

/// A case's directory under preparation.
pub struct Tree {
    directory: PathBuf,
}

impl Tree {
    fn at(&self, name: impl AsRef<[u8]>) -> PathBuf {
        match name.as_ref() {
            b"" => self.directory.clone(),
            name => self.directory.join(OsStr::from_bytes(name)),
        }
    }

    /// A directory, with those above it.
    pub fn directory(&self, name: impl AsRef<[u8]>) -> Result<()> {
        Ok(fs::create_dir_all(self.at(name))?)
    }

    /// A file that holds one page, so that it can be mapped.
    pub fn file(&self, name: impl AsRef<[u8]>) -> Result<()> {
        self.content(name, &[b'x'; super::sys::PAGE])
    }

    /// A file with this content, and the directories above it.
    pub fn content(&self, name: impl AsRef<[u8]>, content: &[u8]) -> Result<()> {
        let path = self.at(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(fs::write(path, content)?)
    }

    /// The same, executable.
    pub fn program(&self, name: &str, content: &[u8]) -> Result<()> {
        self.content(name, content)?;
        Ok(fs::set_permissions(self.at(name), fs::Permissions::from_mode(0o755))?)
    }

    /// A symbolic link.
    pub fn link(&self, name: &str, target: &str) -> Result<()> {
        Ok(symlink(target, self.at(name))?)
    }

    /// A second name of a file.
    pub fn hard_link(&self, name: &str, first: &str) -> Result<()> {
        Ok(fs::hard_link(self.at(first), self.at(name))?)
    }
}
