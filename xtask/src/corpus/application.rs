//! The applications: one directory each under `tests/corpus`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::shell::workspace;

/// One directory of the corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The directory's name, and the images' middle name.
    pub name: String,
    /// Where it is.
    pub directory: PathBuf,
}

impl Application {
    /// The image as built, `full`, or minimized, `min`.
    pub fn image(&self, tag: &str) -> String {
        format!("profiler-corpus/{}:{tag}", self.name)
    }

    /// Programs that its tests need on this machine, each with the package
    /// that has it: the lines of the file `programs`, if there is one.
    ///
    /// # Errors
    /// When a line is not of two words.
    pub fn programs(&self) -> Result<Vec<(String, String)>> {
        let path = self.directory.join("programs");
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        text.lines()
            .map(|line| match line.split_once(' ') {
                Some((program, package)) => Ok((program.to_owned(), package.to_owned())),
                None => {
                    anyhow::bail!("{}: expected PROGRAM PACKAGE, found {line:?}", path.display())
                }
            })
            .collect()
    }
}

/// The applications of these names; all of them, by name, for none.
///
/// # Errors
/// When there is none of a name, or one has no Dockerfile or test.
pub fn choose(names: &[String]) -> Result<Vec<Application>> {
    let root = workspace().join("tests/corpus");
    let mut all = Vec::new();
    let entries = fs::read_dir(&root).with_context(|| format!("cannot read {}", root.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", root.display()))?;
        let directory = entry.path();
        if !directory.is_dir() {
            continue;
        }
        for file in ["Dockerfile", "test", "second"] {
            ensure!(
                directory.join(file).exists(),
                "{} has no {file}; {}/README.md says what an application needs",
                directory.display(),
                root.display()
            );
        }
        all.push(Application { name: entry.file_name().to_string_lossy().into_owned(), directory });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    if names.is_empty() {
        return Ok(all);
    }
    names
        .iter()
        .map(|name| {
            all.iter().find(|one| one.name == *name).cloned().with_context(|| {
                let known: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
                format!("the corpus has no {name}; there are {}", known.join(", "))
            })
        })
        .collect()
}
