//! How long an image takes to decode, told from the length of its file.
//!
//! A running average for each power of two of the length: formats and contents differ, but images of one length are
//! alike often enough for a plan, and what is wrong in it is learned soon.

use std::time::Duration;

/// Running averages of what decoding took.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DecodeTimes {
    /// Nanoseconds for lengths from `2^index` on; `None` for those never seen.
    classes: [Option<f64>; CLASSES],
    /// The same over all lengths.
    mean: Option<f64>,
}

/// Longer files than 2 GiB are in the last class.
const CLASSES: usize = 32;
/// What the latest decoding counts in its average.
const WEIGHT: f64 = 0.1;
/// One decoding counts as at most this many times the average: it may have been held up.
const MOST: f64 = 4.0;
/// Nothing is known yet: nanoseconds for an image, and for each byte of it, as JPEG takes them on slow processors.
const UNKNOWN: (f64, f64) = (50_000.0, 25.0);

impl DecodeTimes {
    /// How long decoding a file of so many bytes will take: as others of its class did, else told from the nearest class
    /// that is known, half of its time in proportion to the length, but never more than where nothing is known.
    pub fn estimate(&self, bytes: usize) -> Duration {
        let class = class(bytes);
        let known = self.classes.iter().enumerate().filter_map(|(index, time)| Some((index, (*time)?)));
        let nearest = known.min_by_key(|&(index, _)| index.abs_diff(class));
        let (fixed, per_byte) = UNKNOWN;
        let unknown = fixed + per_byte * bytes as f64;
        let nanoseconds = match nearest {
            Some((index, time)) if index == class => time,
            Some((index, time)) => unknown.min(time / 2.0 * (1.0 + 2f64.powi(class as i32 - index as i32))),
            None => unknown,
        };
        Duration::from_nanos(nanoseconds as u64)
    }

    /// How long files of about so many bytes took of late; `None` where none was seen.
    pub fn known(&self, bytes: usize) -> Option<Duration> {
        self.classes[class(bytes)].map(|time| Duration::from_nanos(time as u64))
    }

    /// Tells what decoding a file of so many bytes took.
    pub fn record(&mut self, bytes: usize, took: Duration) {
        for average in [&mut self.classes[class(bytes)], &mut self.mean] {
            let time = took.as_nanos() as f64;
            *average = Some(average.map_or(time, |before| before + WEIGHT * (time.min(MOST * before) - before)));
        }
    }

    /// What decodings took of late, of whatever length; zero before the first.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.mean.unwrap_or_default() as u64)
    }
}

fn class(bytes: usize) -> usize {
    (bytes.max(1).ilog2() as usize).min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_length_takes_what_its_like_took() {
        let mut times = DecodeTimes::default();
        assert_eq!(times.mean(), Duration::ZERO);
        for _ in 0..100 {
            times.record(1000, us(60));
        }
        assert_eq!(times.mean(), us(60));
        for _ in 0..100 {
            times.record(3_000_000, us(40_000));
        }
        assert!(times.mean() > us(30_000));
        assert_eq!((times.estimate(1000), times.estimate(600)), (us(60), us(60)));
        assert_eq!(times.estimate(2_500_000), us(40_000));
        // One that was held up moves it a little.
        times.record(1000, us(10_060));
        assert_eq!(times.estimate(1000), us(78));
    }

    #[test]
    fn an_unknown_length_is_told_from_the_nearest_that_is_known() {
        let mut times = DecodeTimes::default();
        assert_eq!(times.estimate(0), us(50));
        assert!(times.estimate(usize::MAX) > Duration::from_secs(3600));
        times.record(1000, us(60));
        assert_eq!((times.estimate(2000), times.estimate(300)), (us(90), us(45)));
        // One slow image of a few bytes says little of large ones.
        assert_eq!(times.estimate(16_000_000), us(400_050));
    }
}
