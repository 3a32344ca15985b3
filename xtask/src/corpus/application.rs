//! The applications: one directory each under `tests/corpus`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

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
        let lacks = |what: &str| {
            format!(
                "{} has no {what}; {}/README.md says what an application needs",
                directory.display(),
                root.display()
            )
        };
        ensure!(directory.join("Dockerfile").is_file(), lacks("Dockerfile"));
        for test in ["test", "second"] {
            ensure!(is_executable(&directory.join(test)), lacks(&format!("executable {test}")));
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

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn every_directory_is_complete_and_says_what_its_tests_need() {
        let all = choose(&[]).unwrap();
        assert!(all.iter().any(|one| one.name == "redis"));
        for one in all {
            one.programs().unwrap();
        }
    }

    #[test]
    fn a_name_that_is_not_there_is_told_with_those_that_are() {
        let error = choose(&["redsi".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("redsi") && error.contains("redis"), "{error}");
    }
}
