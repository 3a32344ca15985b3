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
//! server may come to need: with OpenJDK 17 some 4 MB beside a `modules` of
//! 120 MB. Of `java.desktop` those for images are among them. Those for fonts,
//! which need a stack of libraries and fonts, come when any of that module was
//! touched; those for screens and sound, and for debuggers, not by themselves.

use super::{shown, split};
use crate::image::NodeId;
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
/// Images in `java.desktop`.
const IMAGES: [&str; 5] =
    ["libawt.so", "libawt_headless.so", "libjavajpeg.so", "liblcms.so", "libmlib_image.so"];
/// Fonts in it.
const FONTS: [&str; 4] =
    ["libfontmanager.so", "libfreetype.so", "psfontj2d.properties", "psfont.properties.ja"];
/// Screens and sound; debuggers and profilers; smart cards.
const OTHERS: [&str; 10] = [
    "libawt_xawt.so",
    "libjawt.so",
    "libjsound.so",
    "libsplashscreen.so",
    "libjdwp.so",
    "libdt_socket.so",
    "libsaproc.so",
    "libhprof.so",
    "libjava_crw_demo.so",
    "libj2pcsc.so",
];

/// Keeps what a kept `libjvm.so` asks for.
pub fn keep(keeper: &mut Keeper<'_>, path: &[u8]) {
    let (directory, name) = split(path);
    if name == b"libjvm.so" {
        let (libraries, variant) = split(directory);
        if matches!(variant, b"server" | b"client" | b"minimal" | b"zero") {
            keep_runtime(keeper, libraries, path);
        }
    }
}

/// Keeps the libraries for fonts, when one of `java.desktop` was touched.
pub fn keep_fonts(keeper: &mut Keeper<'_>, id: NodeId, path: &[u8]) {
    let (directory, name) = split(path);
    let desktop = IMAGES.iter().chain(&FONTS).any(|library| library.as_bytes() == name);
    let touched = keeper.plan.kept.get(&id).is_some_and(|reason| reason.rule == Rule::Touched);
    if !desktop || !touched || keeper.tree.lookup(&[directory, b"/libjava.so"].concat()).is_none() {
        return;
    }
    let detail = format!("fonts of java.desktop, as {}", shown(path));
    for library in FONTS {
        let library = [directory, b"/", library.as_bytes()].concat();
        keeper.keep_present(&library, Rule::Jvm, &detail);
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
        if name.ends_with(b".so") && !is(&FONTS) && !is(&OTHERS) {
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
