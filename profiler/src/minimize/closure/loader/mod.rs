//! Which libraries the dynamic loader takes, by the image's own rules.
//!
//! Sources: ld.so(8) and glibc's `elf/dl-load.c`; musl's `ldso/dynlink.c`.
//!
//! A program's libraries are followed from the program, because a `DT_RPATH`
//! holds for all that is loaded on its account:
//!
//! ```text
//! glibc  RPATHs from the file up to the program (unless it has a RUNPATH),
//!        LD_LIBRARY_PATH, its RUNPATH, ld.so.cache, built-in directories
//! musl   LD_LIBRARY_PATH, RPATH or RUNPATH from the file up to the program,
//!        /etc/ld-musl-ARCH.path or else built-in directories
//! ```
//!
//! glibc passes over files of another class, byte order or machine. Where a
//! directory or the cache has variants for better processors
//! (`glibc-hwcaps/x86-64-v3` and the like), all are kept with the one that
//! every processor runs: which is taken, the machine decides that runs the
//! image. A library that a program opened by itself was touched; what it needs
//! is looked for as if it were a program, and at last where any program of
//! the image has its own libraries.

mod cache;
mod conf;
mod expand;
mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::dlopen::Priority;
use super::elf::{Parsed, parse};
use super::text::{read, read_lossy};
use super::{Environment, nss};
use crate::image::{ImageError, NodeId, Tree};
use crate::minimize::keep::{Keeper, Rule};
use cache::Cache;
#[cfg(test)]
pub use cache::tests::made as cache_made;
use expand::{Variables, expand};
use search::{Search, default_directories};

/// More directories than any program's RPATHs name; the rest is not searched.
const CHAIN_MAX: usize = 64;
/// Names that musl's loader itself answers to, after `lib`.
const MUSL_OWN: [&[u8]; 7] = [b"c.", b"pthread.", b"rt.", b"m.", b"dl.", b"util.", b"xnet."];

/// Whose rules hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Loader {
    Glibc,
    /// With the path of its configuration.
    Musl(Vec<u8>),
}

/// A file as it was loaded: the same one may find other libraries on another
/// program's account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    id: NodeId,
    /// The path it was found by.
    path: Vec<u8>,
    /// RPATH directories of what loaded it, up to the program.
    chain: Vec<Vec<u8>>,
    loader: Loader,
}

/// The image's libraries.
pub struct Libraries {
    /// `LD_LIBRARY_PATH`.
    environment: Vec<Vec<u8>>,
    /// `LD_PRELOAD` and `/etc/ld.so.preload`.
    preload: Vec<Vec<u8>>,
    /// Working directory of the image's programs.
    directory: Vec<u8>,
    cache: Cache,
    /// Directories of `ld.so.conf`: the loader does not read that, but
    /// `ldconfig` may do so when a container starts.
    conf: Vec<Vec<u8>>,
    /// The loader of files that do not say.
    usual: Loader,
    /// Each file is parsed once.
    parsed: BTreeMap<NodeId, Option<Rc<Parsed>>>,
    loads: BTreeSet<Load>,
    /// What was loaded on any account.
    loaded: BTreeSet<NodeId>,
    /// RPATH directories of any file.
    rpaths: BTreeSet<Vec<u8>>,
    /// Libraries that were not found, by any of their names, and who asks.
    missing: BTreeMap<Vec<String>, String>,
}

impl Libraries {
    /// Reads the image's loader configuration.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn new(tree: &Tree<'_>, environment: &Environment) -> Result<Self, ImageError> {
        let mut directories = Vec::new();
        conf::directories(tree, b"/etc/ld.so.conf", &mut directories, 0)?;
        let cache = match tree.walk(b"/etc/ld.so.cache", true).end {
            Some(id) => cache::parse(&read(tree, id)?),
            None => Cache::new(),
        };
        let preload = environment.variable("LD_PRELOAD").unwrap_or_default().to_owned()
            + "\n"
            + &read_lossy(tree, b"/etc/ld.so.preload");
        let bytes = |paths: &[String]| paths.iter().map(|p| p.clone().into_bytes()).collect();
        Ok(Self {
            environment: bytes(&environment.library_path),
            preload: preload
                .split([' ', ':', '\n', '\t'])
                .filter(|name| !name.is_empty())
                .map(|name| name.as_bytes().to_vec())
                .collect(),
            directory: environment.directory().as_bytes().to_vec(),
            cache,
            conf: directories,
            usual: usual_loader(tree),
            parsed: BTreeMap::new(),
            loads: BTreeSet::new(),
            loaded: BTreeSet::new(),
            rpaths: BTreeSet::new(),
            missing: BTreeMap::new(),
        })
    }

    /// Parses a file, or remembers what it said.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn parsed(
        &mut self,
        tree: &Tree<'_>,
        id: NodeId,
    ) -> Result<Option<Rc<Parsed>>, ImageError> {
        if let Some(parsed) = self.parsed.get(&id) {
            return Ok(parsed.clone());
        }
        let parsed = parse(tree, id)?.map(Rc::new);
        self.parsed.insert(id, parsed.clone());
        Ok(parsed)
    }

    /// Whether it came in as a library of something that was looked at.
    pub fn is_loaded(&self, id: NodeId) -> bool {
        self.loaded.contains(&id)
    }

    /// Keeps everything that a program, or a library that one opens, loads.
    /// A damaged file is noted and needs nothing.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn keep(&mut self, keeper: &mut Keeper<'_>, id: NodeId) -> Result<(), ImageError> {
        let Some(parsed) = self.parsed(keeper.tree, id)? else {
            let shown = keeper.shown(id);
            keeper.plan.warnings.push(format!("{shown} begins like an ELF file but is none"));
            return Ok(());
        };
        let path = keeper.tree.path(id);
        let loader = self.loader_of(&parsed);
        let mut pending = vec![Load { id, path, chain: Vec::new(), loader }];
        while let Some(load) = pending.pop() {
            if self.loads.insert(load.clone()) {
                self.loaded.insert(load.id);
                self.load(keeper, &load, &mut pending)?;
            }
        }
        Ok(())
    }

    /// Notes what was not found. Not what is kept somewhere under that name:
    /// a library that a program has opened by its path serves all that ask for
    /// it by name, as `libjvm.so` does.
    pub fn warn(self, keeper: &mut Keeper<'_>) {
        let kept: BTreeSet<&[u8]> = {
            let tree = keeper.tree;
            keeper.plan.kept.keys().map(|&id| tree.node(id).name.as_slice()).collect()
        };
        let warnings: Vec<String> = self
            .missing
            .iter()
            .filter(|(names, _)| !names.iter().any(|name| kept.contains(name.as_bytes())))
            .map(|(names, by)| {
                let names = names.join(" or ");
                format!("{by} needs library {names}, which is not in the image")
            })
            .collect();
        keeper.plan.warnings.extend(warnings);
    }

    fn loader_of(&self, parsed: &Parsed) -> Loader {
        if let Some(interpreter) = &parsed.interpreter {
            return loader_by_interpreter(interpreter);
        }
        let architecture = parsed.needed.iter().find_map(|name| {
            name.strip_prefix(b"libc.musl-")?.strip_suffix(b".so.1").map(<[u8]>::to_vec)
        });
        match architecture {
            Some(architecture) => Loader::Musl(musl_conf(b"", &architecture)),
            None if parsed.needed.iter().any(|name| name == b"libc.so.6") => Loader::Glibc,
            None => self.usual.clone(),
        }
    }

    fn load(
        &mut self,
        keeper: &mut Keeper<'_>,
        load: &Load,
        pending: &mut Vec<Load>,
    ) -> Result<(), ImageError> {
        let Some(parsed) = self.parsed(keeper.tree, load.id)? else { return Ok(()) };
        let shown = String::from_utf8_lossy(&load.path).into_owned();
        if let Some(interpreter) = &parsed.interpreter {
            self.keep_interpreter(keeper, interpreter, &shown, &load.loader);
        }
        let at = load.path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let origin = if at == 0 { b"/".as_slice() } else { &load.path[..at] };
        let directory = self.directory.clone();
        let variables = Variables { origin, target: parsed.target, directory: &directory };
        let (search, chain) = self.search(keeper.tree, &parsed, load, &variables)?;

        let mut wanted: Vec<(Vec<&[u8]>, Rule, String, bool)> = Vec::new();
        let needed = format!("library needed by {shown}");
        for name in &parsed.needed {
            wanted.push((vec![name], Rule::Elf, needed.clone(), true));
        }
        for name in &parsed.auxiliary {
            wanted.push((vec![name], Rule::Elf, needed.clone(), false));
        }
        for optional in &parsed.optional {
            if optional.priority == Priority::Suggested {
                continue;
            }
            let detail = format!("opened by {shown} for {}", optional.feature);
            let required = optional.priority == Priority::Required;
            let names = optional.soname.iter().map(String::as_bytes).collect();
            wanted.push((names, Rule::Dlopen, detail, required));
        }
        let preload = self.preload.clone();
        if parsed.interpreter.is_some() {
            let detail = format!("preloaded into {shown}");
            for name in &preload {
                wanted.push((vec![name], Rule::Elf, detail.clone(), false));
            }
        }
        let modules = if load.loader == Loader::Glibc && load.path.ends_with(b"/libc.so.6") {
            nss::keep_resolver(keeper);
            nss::modules(keeper.tree, &load.path)
        } else {
            Vec::new()
        };
        for (module, detail) in &modules {
            wanted.push((vec![module], Rule::Nss, detail.clone(), false));
        }

        for (names, rule, detail, required) in wanted {
            let mut any = false;
            for name in &names {
                if self.is_own(name, &load.loader) {
                    any = true;
                    continue;
                }
                let found = self.find(keeper.tree, name, &search, &variables)?;
                any |= !found.is_empty();
                for path in found {
                    if let Some(id) = keeper.keep_walk(&path, true, rule, &detail) {
                        let (chain, loader) = (chain.clone(), load.loader.clone());
                        pending.push(Load { id, path, chain, loader });
                    }
                }
            }
            if required && !any {
                let names = names.iter().map(|name| String::from_utf8_lossy(name).into_owned());
                self.missing.entry(names.collect()).or_insert_with(|| shown.clone());
            }
        }
        Ok(())
    }

    /// musl's libc is its loader, under many names.
    fn is_own(&self, name: &[u8], loader: &Loader) -> bool {
        matches!(loader, Loader::Musl(_))
            && name
                .strip_prefix(b"lib")
                .is_some_and(|rest| MUSL_OWN.iter().any(|own| rest.starts_with(own)))
    }

    fn keep_interpreter(
        &self,
        keeper: &mut Keeper<'_>,
        interpreter: &[u8],
        shown: &str,
        loader: &Loader,
    ) {
        let detail = format!("ELF interpreter of {shown}");
        if keeper.keep_walk(interpreter, true, Rule::Elf, &detail).is_none() {
            let name = String::from_utf8_lossy(interpreter);
            keeper
                .plan
                .warnings
                .push(format!("{shown} names ELF interpreter {name}, which is not there"));
        }
        let detail = "where the ELF interpreter looks for libraries";
        match loader {
            Loader::Glibc => {
                for path in [&b"/etc/ld.so.cache"[..], b"/etc/ld.so.preload"] {
                    keeper.keep_present(path, Rule::Elf, detail);
                }
            }
            Loader::Musl(conf) => {
                keeper.keep_present(conf, Rule::Elf, detail);
            }
        }
    }

    /// Where a file's libraries are searched, and the RPATHs that it hands on.
    fn search(
        &mut self,
        tree: &Tree<'_>,
        parsed: &Parsed,
        load: &Load,
        variables: &Variables<'_>,
    ) -> Result<(Search, Vec<Vec<u8>>), ImageError> {
        let all = |paths: &[Vec<u8>]| -> Vec<Vec<u8>> {
            let paths = paths.iter().filter(|path| !path.is_empty());
            paths.flat_map(|path| expand(path, variables)).collect()
        };
        let (rpath, runpath) = (all(&parsed.rpath), all(&parsed.runpath));
        let musl = load.loader != Loader::Glibc;
        // RPATH counts only where there is no RUNPATH; to musl they are one.
        let own = match (runpath.is_empty(), musl) {
            (true, _) => rpath,
            (false, true) => runpath.clone(),
            (false, false) => Vec::new(),
        };
        self.rpaths.extend(own.iter().cloned());
        let mut chain = own;
        for directory in &load.chain {
            if !chain.contains(directory) {
                chain.push(directory.clone());
            }
        }
        chain.truncate(CHAIN_MAX);
        let mut search = Search { target: parsed.target, ..Search::default() };
        let environment = self.environment.iter().cloned();
        match &load.loader {
            Loader::Musl(conf) => {
                search.before.extend(environment);
                search.before.extend(chain.iter().cloned());
                search.after = musl_directories(tree, conf)?;
            }
            Loader::Glibc => {
                if runpath.is_empty() {
                    search.before.extend(chain.iter().cloned());
                }
                search.before.extend(environment);
                search.before.extend(runpath);
                search.cache = true;
                if !parsed.no_defaults {
                    search.after.extend(self.conf.iter().cloned());
                    search.after.extend(default_directories(parsed.target));
                }
            }
        }
        search.last = self.rpaths.iter().cloned().collect();
        Ok((search, chain))
    }
}

/// The loader that most of the image's programs use.
fn usual_loader(tree: &Tree<'_>) -> Loader {
    let lib = tree.walk(b"/lib", true).end;
    let musl = lib.into_iter().flat_map(|lib| tree.children(lib)).find_map(|id| {
        let name = &tree.node(id).name;
        name.strip_prefix(b"ld-musl-")?.strip_suffix(b".so.1").map(|arch| musl_conf(b"", arch))
    });
    let glibc = tree.walk(b"/etc/ld.so.cache", true).end;
    match (musl, glibc) {
        (Some(conf), None) => Loader::Musl(conf),
        _ => Loader::Glibc,
    }
}

fn loader_by_interpreter(interpreter: &[u8]) -> Loader {
    const MARK: &[u8] = b"/lib/ld-musl-";
    let at = interpreter.windows(MARK.len()).position(|window| window == MARK);
    let Some(at) = at else { return Loader::Glibc };
    let architecture = &interpreter[at + MARK.len()..];
    let architecture = architecture.split(|&byte| byte == b'.').next().unwrap_or_default();
    Loader::Musl(musl_conf(&interpreter[..at], architecture))
}

fn musl_conf(prefix: &[u8], architecture: &[u8]) -> Vec<u8> {
    [prefix, b"/etc/ld-musl-", architecture, b".path"].concat()
}

/// The configured directories, or else those built in.
fn musl_directories(tree: &Tree<'_>, conf: &[u8]) -> Result<Vec<Vec<u8>>, ImageError> {
    let text = match tree.walk(conf, true).end {
        Some(id) => read(tree, id)?,
        None => b"/lib:/usr/local/lib:/usr/lib".to_vec(),
    };
    Ok(text
        .split(|byte| matches!(byte, b':' | b'\n'))
        .filter(|path| path.starts_with(b"/"))
        .map(<[u8]>::to_vec)
        .collect())
}
