//! Each rule on an image made for it: what is kept by it, and what is not.

mod languages;
mod libraries;
mod system;

use std::collections::BTreeMap;

use serde_json::json;

use super::made::{Elf, X86_64};
use crate::image::Tree;
use crate::image::tests::{Tar, image};
use crate::minimize::{Options, Plan, Policy, Rule, plan};
use crate::profile::{ImageId, Kind, PathEntry, Profile};

/// An image under construction, with what is touched in it.
struct Case {
    tar: Tar,
    environment: Vec<String>,
    touched: Vec<String>,
    options: Options,
}

/// Rules by path, and warnings.
struct Kept {
    rules: BTreeMap<String, (Rule, String)>,
    warnings: Vec<String>,
}

impl Case {
    fn new() -> Self {
        let (environment, touched) = (Vec::new(), Vec::new());
        Self { tar: Tar::new(), environment, touched, options: Options::default() }
    }

    /// Files without content.
    fn files(mut self, paths: &[&str]) -> Self {
        for path in paths {
            self.tar = self.tar.file(path, "x");
        }
        self
    }

    fn file(mut self, path: &str, content: &str) -> Self {
        self.tar = self.tar.file(path, content);
        self
    }

    fn program(mut self, path: &str, content: &[u8]) -> Self {
        self.tar = self.tar.entry(tar::EntryType::Regular, path, "", 0o755, content);
        self
    }

    /// A library for x86-64 that needs nothing.
    fn library(self, path: &str) -> Self {
        self.program(path, &Elf::new(X86_64).bytes())
    }

    fn link(mut self, path: &str, target: &str) -> Self {
        self.tar = self.tar.link(path, target);
        self
    }

    fn environment(mut self, entry: &str) -> Self {
        self.environment.push(entry.into());
        self
    }

    fn touch(mut self, path: &str) -> Self {
        self.touched.push(path.into());
        self
    }

    fn whole_distributions(mut self) -> Self {
        self.options.whole_distributions = true;
        self
    }

    fn kept(self) -> Kept {
        let mut image = image(vec![self.tar.bytes()]);
        image.config = json!({ "config": { "Env": self.environment } }).to_string().into_bytes();
        let mut profile = Profile::new(ImageId::default());
        profile.paths = self
            .touched
            .iter()
            .map(|path| PathEntry {
                path: path.as_str().into(),
                kinds: [Kind::Open].into(),
                ..PathEntry::default()
            })
            .collect();
        let tree = Tree::build(&image.layers).unwrap();
        let mut policy = Policy::default();
        policy.options = self.options;
        let Plan { kept, warnings, .. } = plan(&image, &tree, &[profile], &policy).unwrap();
        let path = |id| String::from_utf8(tree.path(id)).unwrap();
        let rules =
            kept.into_iter().map(|(id, reason)| (path(id), (reason.rule, reason.detail))).collect();
        Kept { rules, warnings }
    }
}

impl Kept {
    /// All of these came in by one rule, and are told so in words.
    #[track_caller]
    fn by(&self, rule: Rule, paths: &[&str]) -> &Self {
        for path in paths {
            match self.rules.get(*path) {
                Some((by, detail)) => {
                    assert_eq!(*by, rule, "{path} was kept for: {detail}");
                    assert!(!detail.is_empty(), "{path}");
                }
                None => panic!("{path} was not kept of {:#?}, {:?}", self.rules, self.warnings),
            }
        }
        self
    }

    #[track_caller]
    fn not(&self, paths: &[&str]) -> &Self {
        for path in paths {
            let kept = self.rules.get(*path);
            assert!(kept.is_none(), "{path} was kept: {kept:?}");
        }
        self
    }

    #[track_caller]
    fn silent(&self) -> &Self {
        assert!(self.warnings.is_empty(), "{:#?}", self.warnings);
        self
    }
}
