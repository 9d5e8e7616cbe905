//! What batches take on this machine: measured before the first request.
//!
//! Promises one image at full width for every model, and as much more as the time allows. What was not measured is told from
//! its multiply-adds and from what was measured nearest to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::{Pass, Width};
use crate::policy::{Measurement, Profile, ProfileError};
use crate::repository::ServedModel;

/// Widths that are measured of each model, at most.
const WIDTHS: usize = 9;

/// Measures each model, in `allowance` together where they are not too many or too slow for that. Each profile has the
/// steps of the model's grid from `narrowest` on, for batches of one and of `max_batch`.
///
/// # Errors
/// When a time makes no profile: above an hour.
pub fn measure(
    models: &[Arc<ServedModel>],
    narrowest: Width,
    max_batch: usize,
    allowance: Duration,
) -> Result<Vec<Profile>, ProfileError> {
    let cost = |served: &Arc<ServedModel>| served.model.cost(Width::FULL).multiply_adds as f64;
    let all: f64 = models.iter().map(cost).sum();
    // Who has more to do gets more time.
    let share = |served| allowance.mul_f64(cost(served) / all.max(1.0));
    let mut pass = None;
    let measured = models.iter().map(|served| {
        let pass = pass.get_or_insert_with(|| Pass::new(served.model.clone(), max_batch));
        Sheet::new(served, narrowest, max_batch).fill(share(served), pass).profile()
    });
    measured.collect()
}

/// What there is to measure of a model, and what was.
struct Sheet<'a> {
    served: &'a ServedModel,
    /// The steps of the profile.
    widths: Vec<Width>,
    /// Batch sizes.
    batches: Vec<usize>,
    points: Vec<Point>,
}

/// One measurement.
struct Point {
    /// Of `widths`.
    step: usize,
    /// Of `batches`.
    size: usize,
    /// The shortest so far: whatever else the machine does only ever adds.
    best: Option<Duration>,
}

impl Sheet<'_> {
    fn new(served: &ServedModel, narrowest: Width, max_batch: usize) -> Sheet<'_> {
        let mut widths: Vec<Width> =
            served.model.grid().iter().copied().filter(|&width| width >= narrowest && width < Width::FULL).collect();
        widths.push(Width::FULL);
        let batches = if max_batch > 1 { vec![1, max_batch] } else { vec![1] };
        let last = widths.len() - 1;
        let mut steps: Vec<usize> = (0..WIDTHS).map(|index| last * index / (WIDTHS - 1)).collect();
        steps.dedup();
        // The ends first, then what lies between: whenever the time is over, the rest is well told from it.
        steps.sort_by_key(|&step| (step != last, step != 0));
        let sizes = 0..batches.len();
        let point = |step| sizes.clone().map(move |size| Point { step, size, best: None });
        let points = steps.into_iter().flat_map(point).collect();
        Sheet { served, widths, batches, points }
    }

    /// Measures, again and again, until the time is over. The capacity of `pass` is the largest batch.
    fn fill(mut self, allowance: Duration, pass: &mut Pass) -> Self {
        pass.restart(&self.served.model);
        let image = vec![0.5; self.served.input.len()];
        let began = Instant::now();
        loop {
            for point in &mut self.points {
                let width = self.widths[point.step];
                let from = Instant::now();
                pass.clear();
                (0..self.batches[point.size]).for_each(|_| {
                    pass.push(&image);
                });
                pass.finish(&vec![width; pass.len()]);
                let took = from.elapsed();
                point.best = Some(point.best.map_or(took, |best| best.min(took)));
                if began.elapsed() >= allowance {
                    return self;
                }
            }
        }
    }

    fn profile(&self) -> Result<Profile, ProfileError> {
        let metadata = self.served.model.metadata();
        let measurement = |(step, &width): (usize, &Width)| {
            let at = |(size, &batch): (usize, &usize)| Some((batch, self.time(step, size)?));
            let latencies = self.batches.iter().enumerate().filter_map(at).collect();
            Measurement { width, latencies, accuracy: metadata.accuracy_at(width) }
        };
        let profile = Profile::new(&self.widths.iter().enumerate().map(measurement).collect::<Vec<_>>())?;
        Ok(match &metadata.gain {
            Some(gain) => profile.with_gain(gain),
            None => profile.with_mixtures(),
        })
    }

    /// The time of a step: nanoseconds for each multiply-add, on the line between its measured neighbours, times its own.
    fn time(&self, step: usize, size: usize) -> Option<Duration> {
        let work = |step: usize| self.served.model.cost(self.widths[step]).multiply_adds.max(1) as f64;
        let known = self.points.iter().filter(|point| point.size == size);
        let rates = known.filter_map(|point| Some((point.step, point.best?.as_nanos() as f64 / work(point.step))));
        let below = rates.clone().filter(|&(at, _)| at <= step).max_by_key(|&(at, _)| at);
        let above = rates.filter(|&(at, _)| at >= step).min_by_key(|&(at, _)| at);
        let rate = match (below, above) {
            (Some((low, slow)), Some((high, fast))) if low < high => {
                slow + (fast - slow) * (step - low) as f64 / (high - low) as f64
            }
            (Some((_, rate)), _) | (None, Some((_, rate))) => rate,
            (None, None) => return None,
        };
        Some(Duration::from_nanos((rate * work(step)).max(1.0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_onnx::OnnxFile;

    fn tiny() -> Arc<ServedModel> {
        let mut file = OnnxFile::lenet([1, 28, 28], 8, 10);
        file.metadata("anywidth.accuracy", "[[0.5, 0.6], [1.0, 0.75]]");
        Arc::new(ServedModel::from_onnx("tiny", 1, &file.bytes()).unwrap())
    }

    #[test]
    fn without_time_full_width_alone_tells_all() {
        let (model, half) = (tiny(), "0.5".parse().unwrap());
        let profile = measure(std::slice::from_ref(&model), half, 8, Duration::ZERO).unwrap().remove(0);
        let widths: Vec<Width> = profile.widths().collect();
        assert_eq!((widths.first(), widths.last()), (Some(&half), Some(&Width::FULL)));
        assert_eq!(profile.accuracy(Width::FULL), Some(0.75));
        let work = |width: Width| model.model.cost(width).multiply_adds as f64;
        let ratio = profile.latency(half, 1).as_secs_f64() / profile.latency(Width::FULL, 1).as_secs_f64();
        assert!((ratio / (work(half) / work(Width::FULL)) - 1.0).abs() < 0.01, "{ratio}");
    }

    #[test]
    fn every_step_is_known_in_the_end() {
        let narrowest = Width::of_channels(1, 4);
        let profile = measure(&[tiny()], narrowest, 4, Duration::from_millis(20)).unwrap().remove(0);
        assert!(profile.widths().all(|width| width >= narrowest && profile.latency(width, 4) > Duration::ZERO));
    }
}
