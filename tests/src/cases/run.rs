//! Performing cases.

use super::{ALL, Case, Here, Setting, sys};

/// Capabilities the cases need beyond those a container usually has.
pub const CAPABILITIES: [&str; 2] = ["SYS_ADMIN", "DAC_READ_SEARCH"];

/// How a case went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Performed.
    Done,
    /// Cannot be performed here, for this reason; nothing can be expected.
    Impossible(String),
    /// A call went wrong that should not.
    Failed(String),
}

/// What a case says when the place, and not the program, is at fault.
#[derive(Debug)]
pub(super) struct Impossible(pub &'static str);

impl std::fmt::Display for Impossible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{IMPOSSIBLE}{}", self.0)
    }
}

impl std::error::Error for Impossible {}

/// Marks such a text on its way out of the child.
const IMPOSSIBLE: &str = "impossible here: ";

/// Performs a case in a child of its own.
pub fn perform(case: &Case, part: Option<&str>) -> Outcome {
    let here = Here { directory: case.directory(), part: part.map(str::to_owned) };
    match sys::in_child(|| (case.run)(&here)) {
        Ok(()) => Outcome::Done,
        Err(error) => {
            let text = format!("{error:#}");
            match text.split_once(IMPOSSIBLE) {
                Some((_, reason)) => Outcome::Impossible(reason.to_owned()),
                None => Outcome::Failed(text),
            }
        }
    }
}

/// Cases that any container can perform.
pub fn usual() -> impl Iterator<Item = &'static Case> {
    ALL.iter().filter(|case| case.setting == Setting::Any)
}
