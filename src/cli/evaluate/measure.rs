//! A model run on every picture of a list, on several threads. The result is that of one thread.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::tally::Tally;
use crate::cli::subject::look;
use crate::dataset::Labelled;
use crate::engine::{Pass, Width};
use crate::repository::ServedModel;
use crate::scheduler::predict;

/// What was found.
#[derive(Debug)]
pub(super) struct Measured {
    /// One for each width.
    pub(super) tallies: Vec<Tally>,
    /// How many files are no picture that can be used.
    pub(super) broken: usize,
    /// What is wrong with the first of them, after their place in the list.
    pub(super) first_broken: Vec<(usize, String)>,
}

/// Broken files that are named.
const NAMED: usize = 5;

/// Runs the model on all `files` at all of `widths`, which ascend to the full one; `classes` are the model's, by the
/// files' own.
pub(super) fn measure(
    served: &ServedModel,
    widths: &[Width],
    files: &[Labelled],
    classes: &[usize],
    threads: usize,
) -> Measured {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut pass = Pass::new(served.model.clone(), 1);
        let mut measured = Measured::nothing(widths);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(index) else { return measured };
            if let Err(error) = measured.add(served, widths, &mut pass, file, classes) {
                measured.add_broken(index, format!("{error:#}"));
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let parts = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        parts.fold(Measured::nothing(widths), Measured::and)
    })
}

impl Measured {
    fn nothing(widths: &[Width]) -> Measured {
        Measured { tallies: vec![Tally::default(); widths.len()], broken: 0, first_broken: Vec::new() }
    }

    /// Counts the answers to one picture at every width.
    fn add(
        &mut self,
        served: &ServedModel,
        widths: &[Width],
        pass: &mut Pass,
        file: &Labelled,
        classes: &[usize],
    ) -> anyhow::Result<()> {
        look(served, pass, &file.path, Width::FULL)?;
        for (tally, (width, logits)) in self.tallies.iter_mut().zip(pass.profile(0, widths)) {
            for answer in predict(&logits, width, served.model.metadata(), 1) {
                tally.add(answer.probability, answer.index == classes[file.class]);
            }
        }
        Ok(())
    }

    /// Each thread takes ever later files, so its first few are enough to find the first few of all.
    fn add_broken(&mut self, index: usize, reason: String) {
        self.broken += 1;
        if self.first_broken.len() < NAMED {
            self.first_broken.push((index, reason));
        }
    }

    fn and(mut self, other: Measured) -> Measured {
        for (tally, other) in self.tallies.iter_mut().zip(&other.tallies) {
            tally.merge(other);
        }
        self.broken += other.broken;
        self.first_broken.extend(other.first_broken);
        self.first_broken.sort();
        self.first_broken.truncate(NAMED);
        self
    }
}
