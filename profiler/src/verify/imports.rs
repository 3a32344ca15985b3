//! Python modules that a run did not find without looking for them.
//!
//! Python's finder lists a directory of its path once and asks for nothing
//! that the list does not hold (`importlib.machinery.FileFinder`), so the
//! import of a module that is gone makes no lookup fail. What can be known
//! are the import statements of the modules that were loaded.

use std::collections::BTreeMap;

use super::comparison::Comparison;
use super::{Findings, Note, Why};
use crate::image::{ImageError, NodeId, NodeKind};
use crate::minimize::python_source_of;
use crate::profile::{Kind, KindSet, Profile};

/// Longest source that is looked at.
const SOURCE_MAX: u64 = 4 << 20;

impl Comparison<'_> {
    /// Adds notes about modules of the original that are gone, that a module
    /// which was loaded imports, and whose directory was listed.
    ///
    /// # Errors
    /// When a source in the original cannot be read.
    pub fn add_imports(
        &self,
        profile: &Profile,
        findings: &mut Findings,
    ) -> Result<(), ImageError> {
        let lists = |kinds: KindSet| kinds.contains(Kind::List);
        let listed = profile.paths.iter().filter(|entry| lists(entry.kinds));
        let listed: Vec<NodeId> =
            listed.filter_map(|entry| self.original.lookup(entry.path.as_bytes())).collect();
        let mut sources = BTreeMap::new();
        for entry in profile.paths.iter().filter(|entry| entry.kinds.contains(Kind::Open)) {
            let path = entry.path.as_bytes();
            let source = python_source_of(path).unwrap_or_else(|| path.to_vec());
            if let Some(id) = self.original.lookup(&source)
                && self.original.node(id).kind == NodeKind::File
            {
                sources.entry(id).or_insert(&entry.comm);
            }
        }
        for (source, comm) in sources {
            if !self.is_python(source)? {
                continue;
            }
            let text = self.original.read(source, SOURCE_MAX)?;
            let mut gone: Vec<NodeId> = Vec::new();
            for import in imports(&String::from_utf8_lossy(&text)) {
                gone.extend(self.module(&import, source, &listed));
            }
            gone.sort();
            gone.dedup();
            let packaged = self.inventory.owner(source).is_some();
            let why = if packaged { Why::ImportedByPackage } else { Why::Imported };
            for id in gone {
                findings.notes.push(Note {
                    why,
                    path: self.original.path(source).into(),
                    gone: vec![self.gone(id)],
                    comm: comm.clone(),
                });
            }
        }
        findings.notes.sort();
        Ok(())
    }

    /// By its name, or by its first line.
    fn is_python(&self, id: NodeId) -> Result<bool, ImageError> {
        if self.original.node(id).name.ends_with(b".py") {
            return Ok(true);
        }
        let start = self.original.read(id, 128)?;
        let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
        Ok(line.starts_with(b"#!") && line.windows(6).any(|part| part == b"python"))
    }

    /// What is gone of the files that make a module and the packages around
    /// it; nothing where no directory that was listed has it.
    fn module(&self, import: &Import, importer: NodeId, listed: &[NodeId]) -> Vec<NodeId> {
        let mut base = self.original.node(importer).parent;
        for _ in 1..import.level {
            base = self.original.node(base).parent;
        }
        let from: &[NodeId] = if import.level > 0 { &[base] } else { listed };
        for &directory in from {
            let (mut at, mut gone, mut found) = (directory, Vec::new(), false);
            for part in &import.parts {
                let package = self.original.child(at, part.as_bytes());
                let init = package.and_then(|id| self.original.child(id, b"__init__.py"));
                let file = init.or_else(|| self.file_of_module(at, part));
                found |= file.is_some() || package.is_some();
                gone.extend(file.filter(|id| !self.present.contains(id)));
                match package {
                    Some(package) => at = package,
                    None => break,
                }
            }
            if found {
                return gone;
            }
        }
        Vec::new()
    }

    /// `NAME.py`, or an extension module.
    fn file_of_module(&self, directory: NodeId, name: &str) -> Option<NodeId> {
        let source = self.original.child(directory, format!("{name}.py").as_bytes());
        let begin = format!("{name}.");
        source.or_else(|| {
            self.original.children(directory).find(|&id| {
                let name = &self.original.node(id).name;
                name.starts_with(begin.as_bytes()) && name.ends_with(b".so")
            })
        })
    }
}

/// A module that a source names.
#[derive(Debug, PartialEq, Eq)]
struct Import {
    /// How many dots stand before it.
    level: usize,
    parts: Vec<String>,
}

/// The import statements of a source, as far as a reader of lines finds them.
/// A name taken from a package may be a module of it, so it is given as one.
fn imports(text: &str) -> Vec<Import> {
    let mut all = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(modules) = line.strip_prefix("import ") {
            let names = modules.split(',').filter_map(first_word);
            all.extend(names.filter_map(|name| import(name, None)));
        } else if let Some((module, names)) =
            line.strip_prefix("from ").and_then(|rest| rest.split_once(" import"))
        {
            let mut names = names.trim().to_owned();
            if names.starts_with('(') {
                while !names.contains(')') {
                    let Some(more) = lines.next() else { break };
                    names.push_str(more.split('#').next().unwrap_or_default());
                }
            }
            let names = names.replace(['(', ')', '\\'], " ");
            let before = all.len();
            all.extend(
                names.split(',').filter_map(first_word).filter_map(|name| {
                    import(module.trim(), Some(name).filter(|&name| name != "*"))
                }),
            );
            if all.len() == before {
                all.extend(import(module.trim(), None));
            }
        }
    }
    all
}

fn first_word(text: &str) -> Option<&str> {
    text.split([' ', ';', '\t']).find(|word| !word.is_empty())
}

fn import(module: &str, name: Option<&str>) -> Option<Import> {
    let path = module.trim_start_matches('.');
    let level = module.len() - path.len();
    let parts = path.split('.').filter(|part| !part.is_empty()).chain(name);
    let parts: Vec<String> = parts.map(str::to_owned).collect();
    let is_name = |part: &String| part.chars().all(|c| c.is_alphanumeric() || c == '_');
    (!parts.is_empty() && parts.iter().all(is_name)).then_some(Import { level, parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_every_form_are_read() {
        let text = "import a.b as c, d  # x\n\
            def f():\n    from x.y import (one,\n        two)  # z\n    from . import near\n\
            from ..up import *\nfrom z import q; import no\nimportant = 1\nfrom here to there\n";
        let found: Vec<String> = imports(text)
            .iter()
            .map(|import| format!("{}{}", ".".repeat(import.level), import.parts.join(".")))
            .collect();
        assert_eq!(found, ["a.b", "d", "x.y.one", "x.y.two", ".near", "..up", "z.q"]);
    }
}
