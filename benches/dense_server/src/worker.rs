//! One thread that runs waiting images of the same network in batches, in order of arrival.

use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::network::{Network, PIXELS};

/// An image that waits for its scores.
pub struct Job {
    pub pixels: Vec<f32>,
    /// Index of its network.
    pub network: usize,
    pub deadline: Option<Instant>,
    pub answer: oneshot::Sender<Outcome>,
}

pub enum Outcome {
    Scores(Vec<f32>),
    /// The deadline passed in the queue.
    TooLate,
    Failed(String),
}

/// Runs until all senders are gone.
pub fn run(mut networks: Vec<Network>, mut waiting: mpsc::Receiver<Job>, batch: usize) {
    let mut next = waiting.blocking_recv();
    while let Some(first) = next.take() {
        let network = first.network;
        let mut jobs = vec![first];
        while jobs.len() < batch {
            match waiting.try_recv() {
                Ok(job) if job.network == network => jobs.push(job),
                Ok(job) => {
                    next = Some(job);
                    break;
                }
                Err(_) => break,
            }
        }
        answer(&mut networks[network], jobs);
        next = next.or_else(|| waiting.blocking_recv());
    }
}

fn answer(network: &mut Network, jobs: Vec<Job>) {
    let now = Instant::now();
    let (late, jobs): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.deadline.is_some_and(|at| at <= now));
    for job in late {
        // The caller may be gone, here and below.
        let _ = job.answer.send(Outcome::TooLate);
    }
    if jobs.is_empty() {
        return;
    }
    let mut pixels = Vec::with_capacity(jobs.len() * PIXELS);
    jobs.iter().for_each(|job| pixels.extend_from_slice(&job.pixels));
    match network.scores(&pixels) {
        Ok(scores) => {
            let classes = scores.len() / jobs.len();
            for (job, scores) in jobs.into_iter().zip(scores.chunks(classes)) {
                let _ = job.answer.send(Outcome::Scores(scores.to_vec()));
            }
        }
        Err(error) => {
            for job in jobs {
                let _ = job.answer.send(Outcome::Failed(error.to_string()));
            }
        }
    }
}
