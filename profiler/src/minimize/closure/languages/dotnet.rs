//! .NET: the host reads `NAME.runtimeconfig.json` and `NAME.deps.json` of an
//! application or framework. The assemblies that the latter names are not
//! kept for that: the host looks whether they are there, which is a touch.
//! Source: "Runtime configuration files" in dotnet/runtime's host
//! documentation.

use super::{extension, shown, split};
use crate::minimize::keep::{Keeper, Rule};

/// Keeps both kinds of file beside a kept assembly.
pub fn keep(keeper: &mut Keeper<'_>, path: &[u8]) {
    if extension(path) != b"dll" {
        return;
    }
    let (directory, _) = split(path);
    let Some(id) = keeper.tree.lookup(directory) else { return };
    let tree = keeper.tree;
    let manifests: Vec<Vec<u8>> = tree
        .children(id)
        .filter(|&child| {
            let name = &tree.node(child).name;
            name.ends_with(b".deps.json") || name.ends_with(b".runtimeconfig.json")
        })
        .map(|child| tree.path(child))
        .collect();
    for manifest in manifests {
        let detail = format!("read by the .NET host for {}", shown(path));
        keeper.keep_present(&manifest, Rule::Dotnet, &detail);
    }
}
