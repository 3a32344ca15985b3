//! `--fail-on`: what must hold of profiles for the command to succeed.

use std::fmt;
use std::str::FromStr;

use profiler::coverage::Coverage;
use profiler::minimize::Seen;
use profiler::profile::Profile;

use super::CheckFailed;

/// The option, for whoever takes profiles.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Gates {
    /// Exit with status 1 if one of these holds of the profiles: incomplete,
    /// failed-tests, thin, unseen>SHARE (estimated chance that the next run
    /// touches something unseen, 0 to 1). Separate by commas and put in quotes:
    /// 'thin,unseen>0.05'.
    #[arg(long, value_delimiter = ',', value_name = "WHAT")]
    fail_on: Vec<Gate>,
}

/// One thing that must not be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Gate {
    /// A profile lost events or was interrupted.
    Incomplete,
    /// A run's command failed.
    FailedTests,
    /// Nothing but a start-up was seen.
    Thin,
    /// The chance of something unseen is above this.
    Unseen(f64),
}

/// Why a text is no gate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum GateError {
    #[error("there is no such check; there are incomplete, failed-tests, thin and unseen>SHARE")]
    Unknown,
    #[error(
        "unseen needs a limit, as in 'unseen>0.05'; put it in quotes, or the shell takes the > for itself"
    )]
    NoLimit,
    #[error("{0} is not a share from 0 to 1, as in 'unseen>0.05'")]
    Limit(String),
}

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        match text.trim() {
            "incomplete" => Ok(Self::Incomplete),
            "failed-tests" => Ok(Self::FailedTests),
            "thin" => Ok(Self::Thin),
            text => {
                let rest = text.strip_prefix("unseen").ok_or(GateError::Unknown)?.trim_start();
                if rest.is_empty() {
                    return Err(GateError::NoLimit);
                }
                let limit = rest.strip_prefix('>').ok_or(GateError::Unknown)?.trim();
                match limit.parse() {
                    _ if limit.is_empty() => Err(GateError::NoLimit),
                    Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self::Unseen(share)),
                    _ => Err(GateError::Limit(limit.to_owned())),
                }
            }
        }
    }
}

/// What the gates other than the estimate look at, profile by profile.
#[derive(Debug, Default)]
pub struct Looked {
    incomplete: Vec<String>,
    failed: Vec<String>,
    /// How much ran.
    pub seen: Seen,
}

impl Looked {
    /// Looks at a profile.
    pub fn add(&mut self, name: &str, profile: &Profile) {
        let why = profile.incomplete();
        if !why.is_empty() {
            self.incomplete.push(format!("{name} ({})", why.join(", ")));
        }
        for (started, status) in profile.failed_runs() {
            self.failed.push(format!("{name} (run started {started}, status {status})"));
        }
        self.seen.add(profile);
    }
}

impl Gates {
    /// Whether the estimate is asked about.
    pub fn want_coverage(&self) -> bool {
        self.fail_on.iter().any(|gate| matches!(gate, Gate::Unseen(_)))
    }

    /// Fails with all that did not hold.
    pub fn hold(&self, looked: &Looked, coverage: &Coverage) -> Result<(), CheckFailed> {
        let failed: Vec<String> =
            self.fail_on.iter().filter_map(|gate| gate.failed(looked, coverage)).collect();
        if failed.is_empty() { Ok(()) } else { Err(CheckFailed(failed.join("; "))) }
    }
}

impl Gate {
    /// What did not hold; none when it held.
    fn failed(self, looked: &Looked, coverage: &Coverage) -> Option<String> {
        let told = |list: &[String], what: &str| {
            (!list.is_empty()).then(|| format!("{self}: {what}: {}", list.join(", ")))
        };
        match self {
            Self::Incomplete => {
                told(&looked.incomplete, "these profiles do not hold all that was touched")
            }
            Self::FailedTests => told(&looked.failed, "commands failed under these profiles"),
            Self::Thin => looked.seen.thin().map(|why| {
                let Seen { containers, files, .. } = looked.seen;
                format!("{self}: {containers} containers, {files} files, {why}")
            }),
            Self::Unseen(limit) => match coverage.estimate {
                None => Some(format!(
                    "{self}: {} {} tells nothing about the next one; profile at least two",
                    coverage.runs.len(),
                    coverage.by.noun()
                )),
                Some(estimate) if estimate.unseen > limit => Some(format!(
                    "{self}: the next {noun} touches something unseen with a chance of {:.3} (95 %: {:.3} to {:.3}); \
                     profile more {noun}s",
                    estimate.unseen,
                    estimate.interval.low,
                    estimate.interval.high,
                    noun = coverage.by.noun()
                )),
                Some(_) => None,
            },
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete => f.write_str("incomplete"),
            Self::FailedTests => f.write_str("failed-tests"),
            Self::Thin => f.write_str("thin"),
            Self::Unseen(limit) => write!(f, "unseen>{limit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_read_as_they_are_written() {
        for text in ["incomplete", "failed-tests", "thin", "unseen>0.05"] {
            assert_eq!(text.parse::<Gate>().unwrap().to_string(), text);
        }
        assert_eq!(" unseen > 1 ".parse(), Ok(Gate::Unseen(1.0)));
    }

    #[test]
    fn what_is_no_gate_says_why() {
        for text in ["", "thick", "unseen<0.5", "unseen>=0.5x", "unseenly"] {
            assert!(text.parse::<Gate>().is_err(), "{text}");
        }
        assert_eq!("thick".parse::<Gate>(), Err(GateError::Unknown));
        for text in ["unseen", "unseen>"] {
            assert_eq!(text.parse::<Gate>(), Err(GateError::NoLimit));
        }
        for limit in ["5", "-0.1", "NaN", "5%", "inf"] {
            let error = format!("unseen>{limit}").parse::<Gate>();
            assert_eq!(error, Err(GateError::Limit(limit.into())));
        }
    }
}
