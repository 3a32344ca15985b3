//! From image and profile to a small image.
//!
//! [`check`] refuses profiles that would make a broken one, [`plan`] says
//! what is kept and why, [`image::write`](crate::image::write) stores it. The
//! plan is a pure function of the image's index, the profiles and the policy;
//! it reads nothing else.
//!
//! ```text
//! profiles ─► what was touched ─┐
//! policy ───► what is asked for ├─► kept set ─► closure ─► kept set, reasons
//! config ───► what it names ────┘      ▲            │
//!                                      └────────────┘ until nothing is new
//! ```

mod check;
mod closure;
mod debug_twin;
mod group;
mod keep;
mod likely;
mod options;
mod plan;
mod policy;
#[cfg(test)]
mod tests;
mod thin;
mod touched;

pub use check::{Allow, Refusal, check};
pub(crate) use closure::python_source_of;
pub use debug_twin::{Busybox, BusyboxError, DebugTwin, debug_twin};
pub use group::{Group, UnknownGroup};
pub use keep::{Plan, Reason, Rule};
pub use likely::likely;
pub use options::Options;
pub use plan::plan;
pub use policy::{Pattern, Patterns, Policy, PolicyError, PolicyFile, Wanted};
pub use thin::Seen;

use crate::image::ImageError;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// See [`PolicyError`].
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The image could not be read.
    #[error(transparent)]
    Image(#[from] ImageError),
}
