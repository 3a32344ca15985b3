//! What the user asks for beside the profile.

use globset::{GlobBuilder, GlobMatcher};

use super::keep::{Keeper, Rule};
use crate::image::{NodeId, NodeKind};

/// Why a pattern cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not a glob.
    #[error("pattern {pattern} is no glob: {why}; use *, ?, [a-z] and **")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong.
        why: String,
    },
    /// It fits nothing: a typing error, or another image.
    #[error("pattern {0} fits no path of the image; check it against `--report`'s lists")]
    Unmatched(String),
}

/// Includes and excludes.
#[derive(Debug, Default)]
pub struct Policy {
    includes: Vec<(String, GlobMatcher)>,
    excludes: Vec<(String, GlobMatcher)>,
}

impl Policy {
    /// Compiles globs over absolute paths. `*` and `?` stop at a slash, `**`
    /// does not. A pattern that fits a directory means all that is in it.
    ///
    /// # Errors
    /// [`PolicyError::Pattern`].
    pub fn new(includes: &[String], excludes: &[String]) -> Result<Self, PolicyError> {
        Ok(Self { includes: compile(includes)?, excludes: compile(excludes)? })
    }

    /// Keeps what the includes fit.
    ///
    /// # Errors
    /// [`PolicyError::Unmatched`].
    pub fn include(&self, keeper: &mut Keeper<'_>) -> Result<(), PolicyError> {
        for (pattern, glob) in &self.includes {
            for id in fitting(keeper, pattern, glob)? {
                keeper.keep(id, Rule::Include, pattern);
                if let NodeKind::Symlink(_) = keeper.tree.node(id).kind {
                    let path = keeper.tree.path(id);
                    keeper.keep_walk(&path, true, Rule::Include, pattern);
                }
            }
        }
        Ok(())
    }

    /// Drops what the excludes fit, whatever it was kept for.
    ///
    /// # Errors
    /// [`PolicyError::Unmatched`].
    pub fn exclude(&self, keeper: &mut Keeper<'_>) -> Result<(), PolicyError> {
        for (pattern, glob) in &self.excludes {
            for id in fitting(keeper, pattern, glob)? {
                keeper.plan.kept.remove(&id);
                keeper.plan.excluded.insert(id);
            }
        }
        Ok(())
    }
}

fn compile(patterns: &[String]) -> Result<Vec<(String, GlobMatcher)>, PolicyError> {
    patterns
        .iter()
        .map(|pattern| {
            // As in gitignore: without a slash it fits at any depth.
            let trimmed = pattern.trim_end_matches('/');
            let full = match trimmed.strip_prefix('/') {
                Some(_) => trimmed.to_owned(),
                None if trimmed.contains('/') => format!("/{trimmed}"),
                None => format!("/**/{trimmed}"),
            };
            let glob = GlobBuilder::new(&full).literal_separator(true).build().map_err(|e| {
                PolicyError::Pattern { pattern: pattern.clone(), why: e.to_string() }
            })?;
            Ok((pattern.clone(), glob.compile_matcher()))
        })
        .collect()
}

/// Every node that a pattern fits, itself or through a directory above it.
fn fitting(
    keeper: &Keeper<'_>,
    pattern: &str,
    glob: &GlobMatcher,
) -> Result<Vec<NodeId>, PolicyError> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut fitting = Vec::new();
    let mut pending = vec![(keeper.tree.root(), false)];
    while let Some((id, above)) = pending.pop() {
        let path = keeper.tree.path(id);
        let fits = above
            || (id != keeper.tree.root() && glob.is_match(std::ffi::OsStr::from_bytes(&path)));
        if fits {
            fitting.push(id);
        }
        pending.extend(keeper.tree.children(id).map(|child| (child, fits)));
    }
    if fitting.is_empty() { Err(PolicyError::Unmatched(pattern.into())) } else { Ok(fitting) }
}
