//! What the user asks for beside the profile.

mod file;
mod patterns;

use std::path::PathBuf;

pub use file::PolicyFile;
pub use patterns::{Pattern, Patterns};

use super::Options;
use super::keep::{Keeper, Reason, Rule};
use crate::image::{NodeId, NodeKind};
use crate::profile::{BytePath, KindSet};

/// Why a policy cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not a glob.
    #[error("pattern {pattern} is no glob: {why}; patterns are those of gitignore")]
    Pattern {
        /// As given, with its place.
        pattern: Pattern,
        /// What is wrong.
        why: String,
    },
    /// It fits nothing: a typing error, or another image.
    #[error(
        "pattern {0} fits no path of the image; correct it, or take it out (a report lists every path)"
    )]
    Unmatched(Pattern),
    /// A file of patterns, or of a policy, cannot be read.
    #[error("cannot read {path}: {source}; name an existing file of text", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A policy file says what nobody understands.
    #[error("policy {path}, line {line}: {why}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// A name that a run looked up, to be kept with all links on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Absolute name; may hold symlinks and `..`.
    pub name: BytePath,
    /// In what ways it was looked up.
    pub kinds: KindSet,
    /// Why it is kept, in words.
    pub detail: String,
}

/// What to keep and what to drop, whatever was recorded.
#[derive(Debug, Default)]
pub struct Policy {
    /// What else is asked for, by name.
    pub options: Options,
    /// What runs on small images missed.
    pub wanted: Vec<Wanted>,
    includes: Patterns,
    excludes: Patterns,
}

impl Policy {
    /// Compiles patterns; see [`Patterns`].
    ///
    /// # Errors
    /// [`PolicyError::Pattern`].
    pub fn new(
        includes: impl IntoIterator<Item = Pattern>,
        excludes: impl IntoIterator<Item = Pattern>,
    ) -> Result<Self, PolicyError> {
        Ok(Self {
            includes: Patterns::new(includes)?,
            excludes: Patterns::new(excludes)?,
            options: Options::default(),
            wanted: Vec::new(),
        })
    }

    /// Keeps what the includes fit, and what links among that lead to.
    ///
    /// # Errors
    /// [`PolicyError::Unmatched`].
    pub fn include(&self, keeper: &mut Keeper<'_>) -> Result<(), PolicyError> {
        for (id, pattern) in self.includes.fitting(keeper.tree)? {
            keeper.keep(id, Rule::Include, pattern.text());
            if let NodeKind::Symlink(_) = keeper.tree.node(id).kind {
                let path = keeper.tree.path(id);
                keeper.keep_walk(&path, true, Rule::Include, pattern.text());
            }
        }
        Ok(())
    }

    /// Keeps what is wanted.
    pub fn heal(&self, keeper: &mut Keeper<'_>) {
        for Wanted { name, kinds, detail } in &self.wanted {
            for kind in kinds.iter() {
                keeper.keep_walk(name.as_bytes(), kind.follows(), Rule::Healed, detail);
            }
        }
    }

    /// Drops what the excludes fit, whatever it was kept for; a directory
    /// stays while something in it does.
    ///
    /// # Errors
    /// [`PolicyError::Unmatched`].
    pub fn exclude(&self, keeper: &mut Keeper<'_>) -> Result<(), PolicyError> {
        let fitting = self.excludes.fitting(keeper.tree)?;
        for &(id, _) in fitting.iter().filter(|(id, _)| *id != keeper.tree.root()) {
            keeper.plan.kept.remove(&id);
            keeper.plan.edits.remove(&id);
            keeper.plan.excluded.insert(id);
        }
        if !fitting.is_empty() {
            directories(keeper);
        }
        Ok(())
    }
}

/// Takes back the directories above what is kept.
fn directories(keeper: &mut Keeper<'_>) {
    let kept: Vec<NodeId> = keeper.plan.kept.keys().copied().collect();
    for id in kept {
        let mut at = id;
        while at != keeper.tree.root() {
            at = keeper.tree.node(at).parent;
            let detail = || keeper.shown(id);
            if keeper.plan.kept.contains_key(&at) {
                continue;
            }
            let reason = Reason { rule: Rule::Parent, detail: detail() };
            keeper.plan.kept.insert(at, reason);
        }
    }
}
