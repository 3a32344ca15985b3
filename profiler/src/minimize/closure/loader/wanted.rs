//! Which libraries a file is loaded with.

use super::kind::Loader;
use super::{Libraries, Load};
use crate::minimize::closure::dlopen::Priority;
use crate::minimize::closure::elf::Parsed;
use crate::minimize::closure::nss;
use crate::minimize::keep::{Keeper, Rule};

/// A library by its names, any of which is enough.
pub struct Wanted {
    /// As they are asked for.
    pub names: Vec<Vec<u8>>,
    /// What it is kept for.
    pub rule: Rule,
    /// The same in words.
    pub detail: String,
    /// Whether it is missed where there is none.
    pub required: bool,
}

impl Libraries {
    /// What a file needs, opens, or has preloaded; for libc the name service
    /// modules too.
    pub(super) fn wanted(
        &self,
        keeper: &mut Keeper<'_>,
        parsed: &Parsed,
        load: &Load,
        shown: &str,
    ) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        let mut add = |names: Vec<Vec<u8>>, rule, detail: &str, required| {
            wanted.push(Wanted { names, rule, detail: detail.to_owned(), required });
        };
        let detail = format!("library needed by {shown}");
        for name in &parsed.needed {
            add(vec![name.clone()], Rule::Elf, &detail, true);
        }
        for name in &parsed.auxiliary {
            add(vec![name.clone()], Rule::Elf, &detail, false);
        }
        for optional in &parsed.optional {
            if optional.priority == Priority::Suggested {
                continue;
            }
            let detail = format!("opened by {shown} for {}", optional.feature);
            let required = optional.priority == Priority::Required;
            let names = optional.soname.iter().map(|name| name.clone().into_bytes());
            add(names.collect(), Rule::Dlopen, &detail, required);
        }
        if parsed.interpreter.is_some() {
            let detail = format!("preloaded into {shown}");
            for name in &self.preload {
                add(vec![name.clone()], Rule::Elf, &detail, false);
            }
        }
        if load.loader == Loader::Glibc && load.path.ends_with(b"/libc.so.6") {
            nss::keep_resolver(keeper);
            for (module, detail) in nss::modules(keeper.tree, &load.path) {
                add(vec![module], Rule::Nss, &detail, false);
            }
        }
        wanted
    }
}
