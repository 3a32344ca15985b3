//! Node.js: `package.json` says how the files below it are to be loaded
//! (`type`, `main`, `exports`, `imports`). Source: Node's documentation,
//! "Modules: Packages", `LOOKUP_PACKAGE_SCOPE`.

use super::{extension, shown, split};
use crate::minimize::keep::{Keeper, Rule};

/// Keeps every `package.json` from a kept module up to its package's root
/// below `node_modules`; for an application's own files up to the root. Whole
/// packages on demand.
pub fn keep(keeper: &mut Keeper<'_>, path: &[u8], whole: bool) {
    if !matches!(extension(path), b"js" | b"cjs" | b"mjs" | b"node" | b"json" | b"wasm" | b"ts") {
        return;
    }
    let (mut directory, name) = split(path);
    if name == b"package.json" && !whole {
        return;
    }
    let detail = format!("package of {}", shown(path));
    while !directory.is_empty() {
        let manifest = [directory, b"/package.json"].concat();
        if keeper.tree.lookup(&manifest).is_some() {
            keeper.keep_present(&manifest, Rule::Node, &detail);
        }
        if is_root(directory) {
            if whole {
                keep_package(keeper, directory, &detail);
            }
            return;
        }
        (directory, _) = split(directory);
    }
}

/// `…/node_modules/NAME` and `…/node_modules/@SCOPE/NAME`.
fn is_root(directory: &[u8]) -> bool {
    let (above, _) = split(directory);
    let (over, scope) = split(above);
    let is_modules = |path: &[u8]| split(path).1 == b"node_modules";
    is_modules(above) || (scope.starts_with(b"@") && is_modules(over))
}

/// All of a package, without the packages inside it.
fn keep_package(keeper: &mut Keeper<'_>, root: &[u8], detail: &str) {
    let mut pending: Vec<_> = keeper.tree.lookup(root).into_iter().collect();
    while let Some(id) = pending.pop() {
        keeper.keep(id, Rule::Node, detail);
        let tree = keeper.tree;
        pending.extend(tree.children(id).filter(|&id| tree.node(id).name != b"node_modules"));
    }
}
