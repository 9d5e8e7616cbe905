//! The policies by name, as `--policy` and the simulator know them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

use super::baselines::{FixedWidth, Hardening, MaxAccuracy, MaxBatch, RateTable, SlackFit};
use super::{Policy, QueueSettings, Tuning, WidestFit};
use crate::engine::{Width, WidthError};

/// A policy that can be chosen by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PolicyKind {
    /// `widest-fit`, the server's own.
    #[default]
    WidestFit,
    /// `fixed:WIDTH`: one width for all requests that set none.
    Fixed(Width),
    /// `slack-fit`, of SuperServe.
    SlackFit,
    /// `max-accuracy`, a baseline of SuperServe.
    MaxAccuracy,
    /// `max-batch`, a baseline of SuperServe.
    MaxBatch,
    /// `rate-table`, of Model-Switching.
    RateTable,
}

/// Why a text names no policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyKindError {
    /// No such name.
    #[error("not a policy: {NAMES} are known")]
    Unknown,
    /// `fixed:` without a width.
    #[error("the width after fixed: is {0}; it must be a number above 0 and up to 1")]
    Width(#[from] WidthError),
}

/// The names, for messages and help.
pub const NAMES: &str = "widest-fit, fixed:WIDTH, slack-fit, max-accuracy, max-batch and rate-table";

/// The baselines of other systems get a tenth of each slack as a margin and early shedding, without which they lose to every
/// hardened policy.
const HARDENING: Hardening = Hardening::Margin(0.1);

impl PolicyKind {
    /// The policy for a queue with these settings.
    pub fn build(self, settings: QueueSettings) -> Box<dyn Policy> {
        let widest_fit = || WidestFit::new(settings, Tuning::default());
        match self {
            PolicyKind::WidestFit => Box::new(widest_fit()),
            PolicyKind::Fixed(width) => Box::new(FixedWidth::new(width, widest_fit())),
            PolicyKind::SlackFit => Box::new(SlackFit::new(settings.max_batch, HARDENING)),
            PolicyKind::MaxAccuracy => Box::new(MaxAccuracy::new(settings.max_batch, HARDENING)),
            PolicyKind::MaxBatch => Box::new(MaxBatch::new(settings.max_batch, HARDENING)),
            PolicyKind::RateTable => Box::new(RateTable::new(settings.max_batch)),
        }
    }
}

impl FromStr for PolicyKind {
    type Err = PolicyKindError;

    fn from_str(text: &str) -> Result<PolicyKind, PolicyKindError> {
        if let Some(width) = text.strip_prefix("fixed:") {
            return Ok(PolicyKind::Fixed(width.parse()?));
        }
        match text {
            "widest-fit" => Ok(PolicyKind::WidestFit),
            "slack-fit" => Ok(PolicyKind::SlackFit),
            "max-accuracy" => Ok(PolicyKind::MaxAccuracy),
            "max-batch" => Ok(PolicyKind::MaxBatch),
            "rate-table" => Ok(PolicyKind::RateTable),
            _ => Err(PolicyKindError::Unknown),
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyKind::WidestFit => f.write_str("widest-fit"),
            PolicyKind::Fixed(width) => write!(f, "fixed:{width}"),
            PolicyKind::SlackFit => f.write_str("slack-fit"),
            PolicyKind::MaxAccuracy => f.write_str("max-accuracy"),
            PolicyKind::MaxBatch => f.write_str("max-batch"),
            PolicyKind::RateTable => f.write_str("rate-table"),
        }
    }
}

impl Serialize for PolicyKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_as_it_is_written() {
        for name in ["widest-fit", "fixed:0.5", "slack-fit", "max-accuracy", "max-batch", "rate-table"] {
            assert_eq!(name.parse::<PolicyKind>().unwrap().to_string(), name);
        }
        let error = |text: &str| text.parse::<PolicyKind>().unwrap_err().to_string();
        assert!(error("widest").starts_with("not a policy: widest-fit, "));
        assert!(error("fixed:2").starts_with("the width after fixed: is "));
    }
}
