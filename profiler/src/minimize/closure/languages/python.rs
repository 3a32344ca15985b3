//! Python: distributions' metadata, sources of compiled modules, codecs.
//!
//! Sources: "Recording installed projects" and "Entry points" of the Python
//! packaging specifications; PEP 3147 for `__pycache__`.
//!
//! ```text
//! site-packages/           or dist-packages
//! ├── flask/…              a module: keeps
//! ├── flask-3.1.dist-info/ RECORD names every file of the distribution
//! └── six-1.16.egg-info/   installed-files.txt or top_level.txt do so
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::super::text::read;
use super::{extension, shown, split};
use crate::image::{ImageError, NodeId, NodeKind, Tree};
use crate::minimize::keep::{Keeper, Rule};

/// Who owns which file, found out when the first one asks.
pub struct Distributions {
    /// Metadata directories (or files, for some eggs).
    metadata: Vec<NodeId>,
    /// Files by the distributions that list them.
    owners: BTreeMap<NodeId, BTreeSet<usize>>,
    /// Files of each that lists them.
    files: Vec<Vec<NodeId>>,
    /// Modules and packages at the top of a site directory, by the
    /// distributions that have no list of files.
    modules: BTreeMap<(NodeId, Vec<u8>), BTreeSet<usize>>,
    read: bool,
    done: BTreeSet<usize>,
}

impl Distributions {
    /// Looks for metadata directories by their names.
    pub fn new(tree: &Tree<'_>) -> Self {
        let metadata = tree.all().into_iter().filter(|&id| {
            let name = &tree.node(id).name;
            name.ends_with(b".dist-info") || name.ends_with(b".egg-info")
        });
        Self {
            metadata: metadata.collect(),
            owners: BTreeMap::new(),
            files: Vec::new(),
            modules: BTreeMap::new(),
            read: false,
            done: BTreeSet::new(),
        }
    }

    /// Keeps the metadata of the distributions that a file belongs to, or all
    /// of them.
    ///
    /// # Errors
    /// When a list of files cannot be read.
    pub fn keep(
        &mut self,
        keeper: &mut Keeper<'_>,
        id: NodeId,
        path: &[u8],
        whole: bool,
    ) -> Result<(), ImageError> {
        if self.metadata.is_empty() {
            return Ok(());
        }
        if !self.read {
            self.read = true;
            for number in 0..self.metadata.len() {
                self.index(keeper.tree, number)?;
            }
        }
        let mut owners = self.owners.get(&id).cloned().unwrap_or_default();
        // Compiled modules need not be listed: their source is.
        if let Some(source) = source_of(path).and_then(|source| keeper.tree.lookup(&source)) {
            owners.extend(self.owners.get(&source).into_iter().flatten());
        }
        owners.extend(self.by_module(keeper.tree, id));
        for number in owners {
            if !self.done.insert(number) {
                continue;
            }
            let metadata = keeper.tree.path(self.metadata[number]);
            let detail = format!("Python distribution of {}", shown(path));
            keeper.keep_below(&metadata, Rule::Python, &detail);
            if whole {
                for &file in &self.files[number] {
                    keeper.keep(file, Rule::Python, &detail);
                }
            }
        }
        Ok(())
    }

    fn index(&mut self, tree: &Tree<'_>, number: usize) -> Result<(), ImageError> {
        let directory = self.metadata[number];
        let site = tree.node(directory).parent;
        let mut files = Vec::new();
        let text = |name: &str| match tree.child(directory, name.as_bytes()) {
            Some(list) if tree.node(list).kind == NodeKind::File => read(tree, list),
            _ => Ok(Vec::new()),
        };
        for line in text("RECORD")?.split(|&byte| byte == b'\n') {
            files.extend(tree.walk_from(site, &first_field(line), false).end);
        }
        // From the metadata directory on, other than in a RECORD.
        for line in text("installed-files.txt")?.split(|&byte| byte == b'\n') {
            files.extend(tree.walk_from(directory, line.trim_ascii(), false).end);
        }
        files.retain(|&file| tree.node(file).kind == NodeKind::File);
        if files.is_empty() {
            let list = text("top_level.txt")?;
            let mut modules: Vec<Vec<u8>> = list
                .split(|&byte| byte == b'\n')
                .map(|line| line.trim_ascii().to_vec())
                .filter(|line| !line.is_empty())
                .collect();
            if modules.is_empty() {
                // At least it may be called like its module.
                let name = &tree.node(directory).name;
                let name = name.split(|&byte| byte == b'-').next().unwrap_or_default();
                let name = name.iter().map(|&b| if b == b'.' { b'_' } else { b });
                modules.push(name.map(|byte| byte.to_ascii_lowercase()).collect());
            }
            for module in modules {
                files.extend(module_files(tree, site, &module));
                self.modules.entry((site, module)).or_default().insert(number);
            }
        } else {
            for &file in &files {
                self.owners.entry(file).or_default().insert(number);
            }
        }
        self.files.push(files);
        Ok(())
    }

    /// Distributions without a list of files, by the module a file is of.
    fn by_module(&self, tree: &Tree<'_>, id: NodeId) -> BTreeSet<usize> {
        let mut at = id;
        while at != tree.root() {
            let node = tree.node(at);
            let name = node.name.split(|&byte| byte == b'.').next().unwrap_or_default();
            if let Some(owners) = self.modules.get(&(node.parent, name.to_vec())) {
                return owners.clone();
            }
            at = node.parent;
        }
        BTreeSet::new()
    }
}

/// Files of a module at the top of a site directory: `NAME.py`, `NAME.*.so`,
/// or everything below `NAME/`.
fn module_files(tree: &Tree<'_>, site: NodeId, module: &[u8]) -> Vec<NodeId> {
    let mut files = Vec::new();
    let mut pending: Vec<NodeId> = tree
        .children(site)
        .filter(|&child| {
            let name = &tree.node(child).name;
            let stem = name.split(|&byte| byte == b'.').next().unwrap_or_default();
            stem == module && !name.ends_with(b"-info")
        })
        .collect();
    while let Some(id) = pending.pop() {
        if tree.node(id).kind == NodeKind::File {
            files.push(id);
        }
        pending.extend(tree.children(id));
    }
    files
}

/// First field of a line of CSV, which is quoted when it holds a comma.
fn first_field(line: &[u8]) -> Vec<u8> {
    match line.strip_prefix(b"\"") {
        Some(quoted) => {
            let end = quoted.windows(2).position(|two| two == b"\",").unwrap_or(quoted.len());
            let text = String::from_utf8_lossy(&quoted[..end]).replace("\"\"", "\"");
            text.into_bytes()
        }
        None => line.split(|&byte| byte == b',').next().unwrap_or_default().to_vec(),
    }
}

/// `DIR/NAME.py` of `DIR/__pycache__/NAME.cpython-311.opt-1.pyc`.
fn source_of(path: &[u8]) -> Option<Vec<u8>> {
    let (directory, name) = split(path);
    let parent = directory.strip_suffix(b"/__pycache__")?;
    let stem = name.strip_suffix(b".pyc")?.split(|&byte| byte == b'.').next()?;
    Some([parent, b"/", stem, b".py"].concat())
}

/// Keeps the source of a compiled module and what makes the directories above
/// a module packages.
///
/// The source, since a `.pyc` in `__pycache__` is found by the source's name
/// only, and is not taken without it.
pub fn keep_modules(keeper: &mut Keeper<'_>, path: &[u8]) {
    if let Some(source) = source_of(path) {
        let detail = format!("source of {}", shown(path));
        keeper.keep_present(&source, Rule::Python, &detail);
        return;
    }
    if !matches!(extension(path), b"py" | b"so" | b"pyc" | b"pyd") {
        return;
    }
    let detail = format!("package of {}", shown(path));
    let (mut directory, _) = split(path);
    while !directory.is_empty() {
        let init = ["__init__.py", "__init__.pyc"].iter().any(|name| {
            let init = [directory, b"/", name.as_bytes()].concat();
            keeper.keep_present(&init, Rule::Python, &detail)
        });
        if !init {
            break;
        }
        (directory, _) = split(directory);
    }
}

/// Keeps the codecs of a kept Python: they are imported by name when a text
/// first needs one, say `idna` for the first host name. Not the generated
/// tables of old code pages, which are most of the package's bytes; a test
/// that used one has touched it. Sources only: they are small, and a missing
/// `.pyc` is made or done without.
pub fn keep_encodings(keeper: &mut Keeper<'_>, path: &[u8]) {
    let (directory, name) = split(path);
    if name != b"__init__.py" || !directory.ends_with(b"/encodings") {
        return;
    }
    // `encodings/__init__.py` is read at every start of Python.
    let (library, _) = split(directory);
    if keeper.tree.lookup(&[library, b"/codecs.py"].concat()).is_none() {
        return;
    }
    let Some(encodings) = keeper.tree.lookup(directory) else { return };
    let sources: Vec<Vec<u8>> = keeper
        .tree
        .children(encodings)
        .filter(|&id| is_common(&keeper.tree.node(id).name))
        .map(|id| keeper.tree.path(id))
        .collect();
    for source in sources {
        keeper.keep_present(&source, Rule::Python, "codec that Python imports by name");
    }
    // What `idna` needs beside extension modules.
    let stringprep = [library, b"/stringprep.py"].concat();
    keeper.keep_present(&stringprep, Rule::Python, "needed by the codec idna");
}

fn is_common(name: &[u8]) -> bool {
    const TABLES: [&[u8]; 9] = [
        b"cp",
        b"hp_roman8",
        b"iso8859_",
        b"koi8_",
        b"kz1048",
        b"mac_",
        b"palmos",
        b"ptcp154",
        b"tis_620",
    ];
    const COMMON: [&[u8]; 4] = [b"cp437.py", b"cp1252.py", b"iso8859_1.py", b"iso8859_15.py"];
    name.ends_with(b".py")
        && (COMMON.contains(&name) || !TABLES.iter().any(|table| name.starts_with(table)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_record() {
        assert_eq!(first_field(b"a/b.py,sha256=x,12"), b"a/b.py");
        assert_eq!(first_field(b"\"a,\"\"b\"\".py\",,"), b"a,\"b\".py");
    }

    #[test]
    fn sources_of_compiled_modules() {
        let source = source_of(b"/x/__pycache__/a.cpython-311.opt-1.pyc").unwrap();
        assert_eq!(source, b"/x/a.py");
        assert_eq!(source_of(b"/x/a.pyc"), None);
    }
}
