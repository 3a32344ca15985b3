//! Checks of profiles, and how they are waived.

use profiler::minimize::{self, Allow};

use crate::cli::CheckFailed;

/// Checks that may be waived, by name.
#[derive(Debug, clap::Args)]
pub struct Allowances {
    /// Take a profile of another image.
    #[arg(long)]
    allow_mismatch: bool,
    /// Take a profile that lost events or was interrupted.
    #[arg(long)]
    allow_incomplete: bool,
    /// Take a profile of a command that failed.
    #[arg(long)]
    allow_failed: bool,
    /// Take a profile in which nothing was executed, or nothing but a program
    /// that touched its libraries.
    #[arg(long)]
    allow_thin: bool,
}

impl Allowances {
    /// As the library takes them.
    pub fn allow(&self) -> Allow {
        Allow {
            mismatch: self.allow_mismatch,
            incomplete: self.allow_incomplete,
            failed: self.allow_failed,
            thin: self.allow_thin,
        }
    }
}

/// Sorts refusals into failed checks and wrong input.
pub fn refuse(refusal: minimize::Refusal) -> anyhow::Error {
    if refusal.is_check() { CheckFailed(refusal.to_string()).into() } else { refusal.into() }
}
