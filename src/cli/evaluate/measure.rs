//! Runs a model on a list of images on several threads. The result does not depend on the number of threads.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::tally::Tally;
use crate::cli::subject::look;
use crate::dataset::Labelled;
use crate::engine::{Pass, Width, predict};
use crate::repository::ServedModel;

/// Results over all images.
#[derive(Debug)]
pub(super) struct Measurement {
    /// One per width.
    pub(super) tallies: Vec<Tally>,
    /// Number of files that cannot be used as images.
    pub(super) broken: usize,
    /// Index in the list and error of the first broken files.
    pub(super) first_broken: Vec<(usize, String)>,
    /// The kept scores, in the order of the list.
    pub(super) scored: Vec<Scored>,
}

/// A model's scores for one image.
#[derive(Debug)]
pub(in crate::cli) struct Scored {
    /// The image's index in the list.
    index: usize,
    /// The model's class that the image is labelled with.
    pub(in crate::cli) class: usize,
    /// `[widths][classes]`.
    pub(in crate::cli) scores: Vec<Vec<f32>>,
}

/// What a measurement keeps of the scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Keep {
    /// Only the tallies.
    Nothing,
    /// The scores of all images, or of an evenly spaced subset if they exceed [`MAX_SCORES`].
    Scores,
}

/// Maximum number of scores kept: 128 MiB.
const MAX_SCORES: usize = 1 << 25;

/// Maximum number of broken files named.
const NAMED: usize = 5;

/// Runs the model on all `files` at all `widths`, which ascend to full width. `classes` maps a file's class to the model's.
pub(super) fn measure(
    served: &ServedModel,
    widths: &[Width],
    files: &[Labelled],
    classes: &[usize],
    threads: usize,
    keep: Keep,
) -> Measurement {
    let every = (files.len() * widths.len() * served.model.classes()).div_ceil(MAX_SCORES);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut pass = Pass::new(served.model.clone(), 1);
        let mut measured = Measurement::nothing(widths);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index) else { return measured };
            if let Err(error) = look(served, &mut pass, &file.path, Width::FULL) {
                measured.add_broken(index, format!("{error:#}"));
                continue;
            }
            let (class, scores) = (classes[file.class], pass.logits_by_width(0, widths));
            measured.add(served, class, &scores);
            if keep == Keep::Scores && index.is_multiple_of(every) {
                let scores = scores.into_iter().map(|(_, scores)| scores).collect();
                measured.scored.push(Scored { index, class, scores });
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let parts = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        parts.fold(Measurement::nothing(widths), Measurement::and)
    })
}

impl Measurement {
    fn nothing(widths: &[Width]) -> Measurement {
        Measurement {
            tallies: vec![Tally::default(); widths.len()],
            broken: 0,
            first_broken: Vec::new(),
            scored: Vec::new(),
        }
    }

    /// Counts the predictions for one image at every width.
    fn add(&mut self, served: &ServedModel, class: usize, scores: &[(Width, Vec<f32>)]) {
        for (tally, (width, logits)) in self.tallies.iter_mut().zip(scores) {
            for answer in predict(logits, *width, served.model.metadata(), 1) {
                tally.add(answer.probability, answer.index == class);
            }
        }
    }

    /// Each thread takes files in ascending order, so its first few suffice to find the first few overall.
    fn add_broken(&mut self, index: usize, reason: String) {
        self.broken += 1;
        if self.first_broken.len() < NAMED {
            self.first_broken.push((index, reason));
        }
    }

    fn and(mut self, other: Measurement) -> Measurement {
        for (tally, other) in self.tallies.iter_mut().zip(&other.tallies) {
            tally.merge(other);
        }
        self.broken += other.broken;
        self.first_broken.extend(other.first_broken);
        self.first_broken.sort();
        self.first_broken.truncate(NAMED);
        self.scored.extend(other.scored);
        self.scored.sort_by_key(|scored| scored.index);
        self
    }
}
