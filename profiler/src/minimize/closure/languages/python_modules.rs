//! Python: sources of compiled modules, packages, codecs.
//!
//! Source: PEP 3147 for `__pycache__`.

use super::{extension, shown, split};
use crate::minimize::keep::{Keeper, Rule};

/// `DIR/NAME.py` of `DIR/__pycache__/NAME.cpython-311.opt-1.pyc`.
pub fn source_of(path: &[u8]) -> Option<Vec<u8>> {
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
    fn sources_of_compiled_modules() {
        let source = source_of(b"/x/__pycache__/a.cpython-311.opt-1.pyc").unwrap();
        assert_eq!(source, b"/x/a.py");
        assert_eq!(source_of(b"/x/a.pyc"), None);
    }
}
