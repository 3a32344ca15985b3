//! Java: what lies beside a kept `libjvm.so`.
//!
//! ```text
//! HOME/lib/server/libjvm.so        HOME/jre/lib/amd64/server/libjvm.so (8)
//! HOME/lib/{libjava,libnet,…}.so   beside the directory of libjvm
//! HOME/lib/{modules,jvm.cfg,tzdb.dat,…}, HOME/lib/security, HOME/conf
//! ```
//!
//! A class library loads its native part when one of its classes is first
//! used, and reads settings and time zones as late, so all are kept that a
//! server may come to need: with OpenJDK 17 some 2 MB beside a `modules` of
//! 120 MB. The libraries of `java.desktop` are kept when one of them is: they
//! are as large again and need fonts and the like. Those of debuggers are not.

use super::{shown, split};
use crate::minimize::keep::{Keeper, Rule};

/// Files of `lib`, as of OpenJDK 8 to 23.
const FILES: [&str; 12] = [
    "modules",
    "jvm.cfg",
    "tzdb.dat",
    "tzmappings",
    "jexec",
    "jspawnhelper",
    "rt.jar",
    "jce.jar",
    "jsse.jar",
    "charsets.jar",
    "resources.jar",
    "security",
];
/// `java.desktop`.
const DESKTOP: [&str; 12] = [
    "libawt.so",
    "libawt_headless.so",
    "libawt_xawt.so",
    "libfontmanager.so",
    "libfreetype.so",
    "libjavajpeg.so",
    "libjawt.so",
    "libjsound.so",
    "liblcms.so",
    "libmlib_image.so",
    "libsplashscreen.so",
    "libj2pcsc.so",
];
/// Debuggers and profilers.
const TOOLS: [&str; 5] =
    ["libjdwp.so", "libdt_socket.so", "libsaproc.so", "libhprof.so", "libjava_crw_demo.so"];

/// Keeps what a kept `libjvm.so` or library of `java.desktop` asks for.
pub fn keep(keeper: &mut Keeper<'_>, path: &[u8]) {
    let (directory, name) = split(path);
    if name == b"libjvm.so" {
        let (libraries, variant) = split(directory);
        if matches!(variant, b"server" | b"client" | b"minimal" | b"zero") {
            keep_runtime(keeper, libraries, path);
        }
    } else if DESKTOP.iter().any(|library| library.as_bytes() == name)
        && keeper.tree.lookup(&[directory, b"/libjava.so"].concat()).is_some()
    {
        let detail = format!("native library of java.desktop, as {}", shown(path));
        for library in DESKTOP {
            let library = [directory, b"/", library.as_bytes()].concat();
            keeper.keep_present(&library, Rule::Jvm, &detail);
        }
        for file in ["psfontj2d.properties", "psfont.properties.ja"] {
            let file = [directory, b"/", file.as_bytes()].concat();
            keeper.keep_present(&file, Rule::Jvm, &detail);
        }
    }
}

fn keep_runtime(keeper: &mut Keeper<'_>, libraries: &[u8], path: &[u8]) {
    let detail = format!("beside {}", shown(path));
    let (above, last) = split(libraries);
    // Up to Java 8 there is a directory for the architecture.
    let (home, lib) = if last == b"lib" { (above, libraries) } else { (split(above).0, above) };
    let mut paths: Vec<Vec<u8>> = Vec::new();
    let tree = keeper.tree;
    for id in tree.walk(libraries, true).end.into_iter().flat_map(|id| tree.children(id)) {
        let name = &tree.node(id).name;
        let is = |list: &[&str]| list.iter().any(|other| other.as_bytes() == name);
        if name.ends_with(b".so") && !is(&DESKTOP) && !is(&TOOLS) {
            paths.push(tree.path(id));
        }
    }
    paths.push([libraries, b"/jvm.cfg"].concat());
    paths.extend(FILES.iter().map(|file| [lib, b"/", file.as_bytes()].concat()));
    paths.extend(["conf", "release"].iter().map(|file| [home, b"/", file.as_bytes()].concat()));
    for path in paths {
        keeper.keep_below(&path, Rule::Jvm, &detail);
    }
}
