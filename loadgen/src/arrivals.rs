//! Arrival times: offsets from the start of a run, ascending, deterministic in the seed.
//!
//! An arrival process combines [`Gaps`] of mean 1 with a [`Plan`] of the rate over time: arrival `k` occurs when the
//! integral of the plan reaches the sum of the first `k` gaps. The plan alone sets the rate, the gaps alone set the
//! burstiness. Pure: no clock, no connection, no requests.

use std::str::FromStr;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, Gamma};
use thiserror::Error;

/// Distribution of the gaps between arrivals: mean 1, independent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gaps {
    /// Constant.
    Constant,
    /// Exponential: a Poisson process.
    Poisson,
    /// Gamma with this squared coefficient of variation: bursty above 1, more regular than Poisson below.
    Gamma {
        /// Variance divided by squared mean, above 0.
        cv2: f64,
    },
}

/// A piecewise linear rate over time; nothing arrives after the last piece.
///
/// Syntax: `100:5s,100..400:2s,400:500ms`, that is, a rate or a ramp in requests per second, and its duration.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pieces: Vec<Piece>,
}

/// An interval in which the rate is constant or a linear ramp.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// Requests per second at its start.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
    /// Its duration.
    pub length: Duration,
}

/// Why arrivals cannot be generated or read.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ArrivalsError {
    /// A piece of a plan that does not parse.
    #[error(
        "{text:?} is not a piece of a rate plan: 100:5s or 100..400:500ms is expected, up to {MAX_RATE} per second"
    )]
    NotAPiece {
        /// The text.
        text: String,
    },
    /// A plan with too many pieces, or longer than a day.
    #[error(
        "the rate plan has {pieces} pieces and lasts {length:?}; from 1 to {MAX_PIECES} and up to a day are allowed"
    )]
    PlanTooLong {
        /// The number of pieces.
        pieces: usize,
        /// The total duration.
        length: Duration,
    },
    /// A squared coefficient of variation out of range.
    #[error("a squared coefficient of variation of {cv2}: it must be above 0 and at most {MAX_CV2}")]
    BadCv2 {
        /// The value.
        cv2: f64,
    },
    /// A line that is not a time in seconds.
    #[error("line {line} of the trace: {text:?} is not a time in seconds from 0 up to a day")]
    NotATime {
        /// Counted from 1.
        line: usize,
        /// The line, truncated.
        text: String,
    },
    /// A time before the previous one.
    #[error("line {line} of the trace: times must ascend")]
    NotAscending {
        /// Counted from 1.
        line: usize,
    },
}

/// Maximum requests per second.
pub const MAX_RATE: f64 = 1e6;
/// Maximum number of pieces of a plan.
const MAX_PIECES: usize = 10_000;
/// Maximum squared coefficient of variation: above it, one gap in a thousand fills most of the time.
const MAX_CV2: f64 = 1e3;
/// Maximum length of a plan or trace.
const DAY: Duration = Duration::from_secs(86_400);

impl Gaps {
    /// Draws one gap.
    fn draw(self, random: &mut ChaCha8Rng) -> f64 {
        match self {
            Gaps::Constant => 1.0,
            Gaps::Poisson => Exp1.sample(random),
            Gaps::Gamma { cv2 } => {
                // Mean shape * scale = 1, variance shape * scale^2 = cv2.
                Gamma::new(1.0 / cv2, cv2).expect("checked in `arrivals`").sample(random)
            }
        }
    }
}

impl Plan {
    /// A plan of consecutive pieces.
    ///
    /// # Errors
    /// If there are no pieces or too many, if they last longer than a day, if one has no duration, or if a rate is
    /// outside 0 to [`MAX_RATE`].
    pub fn new(pieces: Vec<Piece>) -> Result<Plan, ArrivalsError> {
        let length = pieces.iter().fold(Duration::ZERO, |sum, piece| sum.saturating_add(piece.length));
        if !(1..=MAX_PIECES).contains(&pieces.len()) || length > DAY {
            return Err(ArrivalsError::PlanTooLong { pieces: pieces.len(), length });
        }
        let allowed = |rate: f64| (0.0..=MAX_RATE).contains(&rate);
        let sound = |piece: &&Piece| allowed(piece.from) && allowed(piece.to) && !piece.length.is_zero();
        match pieces.iter().find(|piece| !sound(piece)) {
            Some(piece) => Err(ArrivalsError::NotAPiece { text: piece.to_string() }),
            None => Ok(Plan { pieces }),
        }
    }

    /// The total duration.
    pub fn length(&self) -> Duration {
        self.pieces.iter().map(|piece| piece.length).sum()
    }

    /// Requests per second at time `at`; 0 after the end.
    pub fn rate(&self, mut at: Duration) -> f64 {
        for piece in &self.pieces {
            if at < piece.length {
                return piece.from + (piece.to - piece.from) * at.as_secs_f64() / piece.length.as_secs_f64();
            }
            at -= piece.length;
        }
        0.0
    }

    /// Mean requests per second.
    pub fn mean_rate(&self) -> f64 {
        self.pieces.iter().map(Piece::requests).sum::<f64>() / self.length().as_secs_f64()
    }

    /// The plan with every rate multiplied by `factor`.
    ///
    /// # Errors
    /// If a rate exceeds [`MAX_RATE`].
    pub fn times(&self, factor: f64) -> Result<Plan, ArrivalsError> {
        let scaled = |piece: &Piece| Piece { from: piece.from * factor, to: piece.to * factor, ..*piece };
        Plan::new(self.pieces.iter().map(scaled).collect())
    }

    /// The arrival times of this plan, with `gaps` drawn from `seed`.
    ///
    /// # Errors
    /// If the squared coefficient of variation is not above 0, or is too large.
    pub fn arrivals(&self, gaps: Gaps, seed: u64) -> Result<Arrivals, ArrivalsError> {
        if let Gaps::Gamma { cv2 } = gaps
            && !(cv2 > 0.0 && cv2 <= MAX_CV2)
        {
            return Err(ArrivalsError::BadCv2 { cv2 });
        }
        let pieces = self.pieces.clone().into_iter();
        let random = ChaCha8Rng::seed_from_u64(seed);
        Ok(Arrivals { gaps, random, pieces, piece: None, before: Duration::ZERO, reached: 0.0 })
    }
}

impl Piece {
    /// A constant rate.
    pub fn level(rate: f64, length: Duration) -> Piece {
        Piece { from: rate, to: rate, length }
    }

    /// Expected number of requests.
    fn requests(&self) -> f64 {
        (self.from + self.to) / 2.0 * self.length.as_secs_f64()
    }

    /// Offset from the start of the piece at which the expected count reaches `requests`.
    fn time_of(&self, requests: f64) -> Duration {
        if requests == 0.0 {
            return Duration::ZERO;
        }
        let slope = (self.to - self.from) / self.length.as_secs_f64();
        // Solves from*t + slope*t^2/2 = requests; this form avoids cancellation for small slopes.
        let root = (self.from * self.from + 2.0 * slope * requests).max(0.0).sqrt();
        Duration::from_secs_f64(2.0 * requests / (self.from + root)).min(self.length)
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pieces: Vec<_> = self.pieces.iter().map(Piece::to_string).collect();
        out.write_str(&pieces.join(","))
    }
}

/// Rounds rates to a thousandth.
impl std::fmt::Display for Piece {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Piece { length, .. } = self;
        let [from, to] = [self.from, self.to].map(|rate| (rate * 1e3).round() / 1e3);
        if from == to { write!(out, "{from}:{length:?}") } else { write!(out, "{from}..{to}:{length:?}") }
    }
}

impl FromStr for Plan {
    type Err = ArrivalsError;

    fn from_str(text: &str) -> Result<Plan, ArrivalsError> {
        let piece = |text: &str| {
            let error = || ArrivalsError::NotAPiece { text: shortened(text) };
            let (rates, length) = text.split_once(':').ok_or_else(error)?;
            let (from, to) = rates.split_once("..").unwrap_or((rates, rates));
            let rate = |text: &str| text.trim().parse::<f64>().ok().filter(|rate| (0.0..=MAX_RATE).contains(rate));
            let length = seconds(length).ok_or_else(error)?;
            Ok(Piece { from: rate(from).ok_or_else(error)?, to: rate(to).ok_or_else(error)?, length })
        };
        Plan::new(text.split(',').map(piece).collect::<Result<_, _>>()?)
    }
}

/// Parses `5s`, `0.5s` or `500ms`: above 0, at most a day.
fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds = number.parse::<f64>().ok()? * unit;
    (seconds > 0.0 && seconds <= DAY.as_secs_f64()).then(|| Duration::from_secs_f64(seconds)).filter(|t| !t.is_zero())
}

/// Arrival times, ascending. Made by [`Plan::arrivals`].
#[derive(Debug)]
pub struct Arrivals {
    gaps: Gaps,
    random: ChaCha8Rng,
    /// Pieces not yet begun.
    pieces: std::vec::IntoIter<Piece>,
    piece: Option<Piece>,
    /// Start of the current piece.
    before: Duration,
    /// Expected requests of the current piece so far.
    reached: f64,
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.reached += self.gaps.draw(&mut self.random);
        loop {
            let piece = match self.piece {
                Some(piece) => piece,
                None => *self.piece.insert(self.pieces.next()?),
            };
            if self.reached < piece.requests() {
                return Some(self.before + piece.time_of(self.reached));
            }
            self.reached -= piece.requests();
            self.before += piece.length;
            self.piece = None;
        }
    }
}

/// The arrival times of a recorded trace, shifted to start at 0: one time in seconds per line. Empty lines and lines
/// that begin with `#` are ignored.
///
/// # Errors
/// Names the first line that is not a time, or is earlier than its predecessor.
pub fn replay(trace: &str) -> Result<Vec<Duration>, ArrivalsError> {
    let mut times: Vec<Duration> = Vec::new();
    for (line, text) in (1..).zip(trace.lines().map(str::trim)) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=f64::from(u32::MAX)).contains(seconds));
        let time = seconds.map(Duration::from_secs_f64);
        let first = times.first().copied().or(time);
        match (time, first) {
            (Some(time), Some(first)) if time.saturating_sub(first) <= DAY => {
                if times.last().is_some_and(|&last| time < last) {
                    return Err(ArrivalsError::NotAscending { line });
                }
                times.push(time);
            }
            _ => return Err(ArrivalsError::NotATime { line, text: shortened(text) }),
        }
    }
    let first = times.first().copied().unwrap_or_default();
    Ok(times.into_iter().map(|time| time - first).collect())
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(plan: &str, gaps: Gaps, seed: u64) -> Vec<f64> {
        let plan: Plan = plan.parse().unwrap();
        plan.arrivals(gaps, seed).unwrap().map(|time| time.as_secs_f64()).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn constant_gaps_are_all_the_same() {
        assert_eq!(times("10:500ms", Gaps::Constant, 1), [0.1, 0.2, 0.3, 0.4]);
    }

    #[test]
    fn a_seed_always_gives_the_same_times_and_another_gives_others() {
        let gaps = Gaps::Gamma { cv2: 8.0 };
        assert_eq!(times("100:10s", gaps, 1), times("100:10s", gaps, 1));
        assert_ne!(times("100:10s", gaps, 1), times("100:10s", gaps, 2));
    }

    #[test]
    fn gaps_have_the_mean_and_the_variation_that_they_are_asked_for() {
        for (gaps, cv2) in [
            (Gaps::Poisson, 1.0),
            (Gaps::Gamma { cv2: 0.25 }, 0.25),
            (Gaps::Gamma { cv2: 1.0 }, 1.0),
            (Gaps::Gamma { cv2: 8.0 }, 8.0),
        ] {
            let times = times("1000:300s", gaps, 7);
            let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let mean_gap = mean(&gaps);
            let variance = mean(&gaps.iter().map(|gap| (gap - mean_gap).powi(2)).collect::<Vec<_>>());
            let measured = variance / (mean_gap * mean_gap);
            assert!((mean_gap * 1000.0 - 1.0).abs() < 0.03, "mean {mean_gap}");
            assert!((measured / cv2 - 1.0).abs() < 0.06, "{measured} instead of {cv2}");
        }
    }

    #[test]
    fn the_rate_follows_the_plan() {
        let times = times("100:10s,1000:10s,100..900:10s,0:10s,200:10s", Gaps::Poisson, 3);
        let count = |from: f64, to: f64| times.iter().filter(|&&time| (from..to).contains(&time)).count() as f64;
        for (from, to, expected) in [
            (0.0, 10.0, 1000.0),
            (10.0, 20.0, 10_000.0),
            (20.0, 25.0, 1500.0),
            (25.0, 30.0, 3500.0),
            (30.0, 40.0, 0.0),
            (40.0, 50.0, 2000.0),
        ] {
            let off = (count(from, to) - expected).abs();
            assert!(off <= 4.0 * f64::sqrt(expected), "{from} to {to}: off by {off} of {expected}");
        }
        assert!(times.is_sorted() && times.iter().all(|&time| time < 50.0));
    }

    #[test]
    fn a_plan_knows_its_rates() {
        let plan: Plan = "100:1s, 100..300:2s ,50:500ms".parse().unwrap();
        assert_eq!(plan.length(), Duration::from_millis(3500));
        let at = |seconds: f64| plan.rate(Duration::from_secs_f64(seconds));
        assert_eq!((at(0.5), at(2.0), at(3.2), at(9.0)), (100.0, 200.0, 50.0, 0.0));
        assert!((plan.mean_rate() - 525.0 / 3.5).abs() < 1e-9);
        assert!((plan.times(2.0).unwrap().mean_rate() - 1050.0 / 3.5).abs() < 1e-9);
        assert_eq!(plan.times(1.0 / 3.0).unwrap().to_string(), "33.333:1s,33.333..100:2s,16.667:500ms");
    }

    #[test]
    fn a_plan_that_makes_no_sense_is_refused() {
        for text in
            ["", "100", "100:5", "x:5s", "-1:5s", "NaN:5s", "1e9:5s", "1..:5s", "1:0s", "1:-1s", "1:1e9s", "1:1s,"]
        {
            let error = text.parse::<Plan>().unwrap_err().to_string();
            assert!(error.contains("expected") || error.contains("allowed"), "{text}: {error}");
        }
        for text in ["1:80000s,1:80000s".to_string(), vec!["1:1s"; 10_001].join(",")] {
            assert!(matches!(text.parse::<Plan>(), Err(ArrivalsError::PlanTooLong { .. })));
        }
        for cv2 in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let plan: Plan = "1:1s".parse().unwrap();
            assert!(matches!(plan.arrivals(Gaps::Gamma { cv2 }, 1), Err(ArrivalsError::BadCv2 { .. })));
        }
    }

    #[test]
    fn a_trace_is_replayed_from_its_first_time() {
        let times = replay("# seconds\n1000.5\n\n1000.75\n1000.75\n1002\n").unwrap();
        assert_eq!(times, [0, 250, 250, 1500].map(Duration::from_millis));
        assert_eq!(replay("").unwrap(), []);
    }

    #[test]
    fn a_trace_with_a_bad_line_names_it() {
        let error = |trace: &str| replay(trace).unwrap_err().to_string();
        assert_eq!(error("1\nx\n"), "line 2 of the trace: \"x\" is not a time in seconds from 0 up to a day");
        assert_eq!(error("#\n2\n1\n"), "line 3 of the trace: times must ascend");
        for bad in ["-1", "NaN", "inf", "1e300"] {
            assert!(error(bad).starts_with("line 1 of the trace"), "{bad}");
        }
        assert!(error("0\n90000\n").starts_with("line 2 of the trace"));
    }
}
