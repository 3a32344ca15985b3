//! What is kept beyond what was touched and what that needs.

use std::collections::BTreeSet;

use super::Group;

/// Asked for by name; nothing of it is the default.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Groups of files to keep whole.
    pub groups: BTreeSet<Group>,
    /// Keep every file of a distribution of which one was touched: a Python
    /// distribution by its `RECORD`, a Node package's root, a Ruby gem's
    /// directory.
    pub whole_distributions: bool,
}
