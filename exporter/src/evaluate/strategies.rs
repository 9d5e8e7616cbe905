//! What a mean cost per image buys, as it does under load: one width for all images, mixtures of two widths, or a width for each
//! image by the gain table.

use std::time::Duration;

use anywidth::engine::{GainTable, Outcome, Width};
use anywidth::policy::{Measurement, Profile, concave_hull};

/// Mean cost per image relative to full width, and the share of images that are right.
pub type Point = (f64, f64);

/// The three ways, each by ascending cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Strategies {
    /// A point for each width.
    pub one_width: Vec<Point>,
    /// The corners of the concave hull of these.
    pub mixture: Vec<Point>,
    /// A point for each price of time.
    pub by_gain: Vec<Point>,
}

/// Plays `outcomes`, one per image and width of `gain`. `costs` are those of the widths, ascending; an image costs what the widest of
/// its runs costs.
///
/// # Panics
/// If there is no image, or not one cost and one outcome per width.
pub fn strategies(gain: &GainTable, outcomes: &[Vec<Outcome>], costs: &[u64]) -> Strategies {
    let widths: Vec<Width> = gain.rows().iter().map(|row| row.width()).collect();
    let measurement = |(&width, &cost): (&Width, &u64)| {
        let latencies = vec![(1, Duration::from_nanos(cost.max(1)))];
        Measurement { width, latencies, accuracy: None }
    };
    let measurements: Vec<Measurement> = widths.iter().zip(costs).map(measurement).collect();
    let profile = Profile::new(&measurements).expect("ascending widths up to full width").with_gain(gain);
    let full = costs[costs.len() - 1] as f64;
    let mean = |stop: &dyn Fn(&[Outcome]) -> usize| {
        let (mut cost, mut right) = (0u64, 0usize);
        for image in outcomes {
            let row = stop(image);
            cost += costs[row];
            right += usize::from(image[row].correct);
        }
        (cost as f64 / full / outcomes.len() as f64, right as f64 / outcomes.len() as f64)
    };
    let one_width: Vec<Point> = (0..widths.len()).map(|row| mean(&|_| row)).collect();
    let mut by_gain = vec![one_width[0]];
    let row_of = |width: Width| widths.partition_point(|&narrower| narrower < width);
    by_gain.extend(profile.exit_rules().map(|rule| {
        let stop =
            |image: &[Outcome]| rule.stop(widths[0], Width::FULL, |width| Some(image[row_of(width)].probability));
        mean(&|image| row_of(stop(image)))
    }));
    by_gain.push(one_width[one_width.len() - 1]);
    let mixture = concave_hull(&one_width).into_iter().map(|corner| one_width[corner]).collect();
    Strategies { mixture, one_width, by_gain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_to_the_images_that_need_it() {
        let widths = [Width::of_channels(1, 4), Width::of_channels(1, 2), Width::FULL];
        // Of four images, three are sure and right at once; the fourth is sure, and right, at full width alone.
        let image = |index: usize| -> Vec<Outcome> {
            let hard = index.is_multiple_of(4);
            let outcome = |row: usize| match hard && row < 2 {
                true => Outcome { probability: 0.4, correct: false },
                false => Outcome { probability: 0.9, correct: true },
            };
            (0..3).map(outcome).collect()
        };
        let images: Vec<Vec<Outcome>> = (0..128).map(image).collect();
        let gain = GainTable::count(&widths, &images);
        let found = strategies(&gain, &images, &[10, 30, 100]);
        assert_eq!(found.one_width, [(0.1, 0.75), (0.3, 0.75), (1.0, 1.0)]);
        assert_eq!(found.mixture, [(0.1, 0.75), (1.0, 1.0)]);
        let best = found.by_gain.iter().find(|point| point.1 == 1.0).expect("all right");
        assert!((best.0 - (0.75 * 0.1 + 0.25)).abs() < 1e-9, "{found:?}");
    }
}
