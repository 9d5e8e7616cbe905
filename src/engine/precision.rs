//! The numbers that a model multiplies.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::kernel::simd::InstructionSet;
use super::model::ModelFile;

/// The type of the numbers that most products are of. Sums are always `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    F32,
    /// bfloat16, 8 bits of precision, in convolutions by Winograd's minimal filtering; other layers use `f32`.
    Bf16,
}

/// Which precision to run a model with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrecisionChoice {
    /// The fastest that is available and, as the model's file says, loses at most [`MAX_LOSS`] at every width of its grid.
    #[default]
    Auto,
    /// Always this one.
    Fixed(Precision),
}

/// A text that names no precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a precision: auto, f32 and bf16 are known")]
pub struct UnknownPrecision;

/// Largest loss of accuracy that [`PrecisionChoice::Auto`] accepts at any width: a quarter of a point.
pub const MAX_LOSS: f64 = 0.0025;

impl PrecisionChoice {
    /// The precision for a model.
    pub fn of(self, file: &ModelFile) -> Precision {
        let precise = |precision: &Precision| file.loss(*precision).is_some_and(|loss| loss <= MAX_LOSS + 1e-9);
        match self {
            PrecisionChoice::Fixed(precision) => precision,
            // The fastest is last.
            PrecisionChoice::Auto => {
                let usable = |precision: &Precision| precision.is_available() && precise(precision);
                Precision::ALL.into_iter().rfind(usable).unwrap_or_default()
            }
        }
    }
}

impl FromStr for PrecisionChoice {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<PrecisionChoice, UnknownPrecision> {
        if text == "auto" { Ok(PrecisionChoice::Auto) } else { text.parse().map(PrecisionChoice::Fixed) }
    }
}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(text: &str) -> Result<Precision, UnknownPrecision> {
        Precision::ALL.into_iter().find(|precision| precision.name() == text).ok_or(UnknownPrecision)
    }
}

impl fmt::Display for PrecisionChoice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrecisionChoice::Auto => out.pad("auto"),
            PrecisionChoice::Fixed(precision) => precision.fmt(out),
        }
    }
}

impl Precision {
    /// All of them, the fastest last.
    pub const ALL: [Precision; 2] = [Precision::F32, Precision::Bf16];

    /// Those besides `f32` that this processor has instructions for.
    pub fn others() -> impl Iterator<Item = Precision> {
        Precision::ALL.into_iter().filter(|&precision| precision != Precision::F32 && precision.is_available())
    }

    /// Whether this processor has instructions for it.
    pub fn is_available(self) -> bool {
        match self {
            Precision::F32 => true,
            Precision::Bf16 => InstructionSet::has_bfloat16(),
        }
    }

    /// The instructions that a processor needs for it, in words.
    pub fn needs(self) -> &'static str {
        match self {
            Precision::F32 => "no particular instructions",
            Precision::Bf16 => "AVX-512 with BF16",
        }
    }

    /// Its name: `f32` or `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}
