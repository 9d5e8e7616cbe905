//! The one queue, bounded, and the choice of what runs next.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use thiserror::Error;

use super::{Batch, Job, QueuedJob, Ticket};
use crate::telemetry::Metrics;

/// Why jobs were not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// There is no room.
    #[error("the queue is full: {waiting} of at most {limit} images wait, {wanted} more do not fit")]
    QueueFull {
        /// Images that wait.
        waiting: usize,
        /// The most that may.
        limit: usize,
        /// Images of this call.
        wanted: usize,
    },
    /// The scheduler ends.
    #[error("the server is stopping")]
    Closed,
}

/// Jobs from any thread, batches to any worker.
#[derive(Debug)]
pub(super) struct Queue {
    /// Held for moments: to add jobs, or to take a batch.
    state: Mutex<State>,
    not_empty: Condvar,
    limit: usize,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<QueuedJob>,
    closed: bool,
}

impl Queue {
    pub(super) fn new(limit: usize, metrics: Arc<Metrics>) -> Queue {
        Queue { state: Mutex::default(), not_empty: Condvar::new(), limit, metrics }
    }

    /// All or none.
    pub(super) fn submit(&self, jobs: Vec<Job>) -> Result<Vec<Ticket>, Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.waiting.len() + jobs.len() > self.limit {
            self.drop_abandoned(&mut state.waiting);
        }
        if state.waiting.len() + jobs.len() > self.limit {
            let waiting = state.waiting.len();
            return Err(Refused::QueueFull { waiting, limit: self.limit, wanted: jobs.len() });
        }
        let now = Instant::now();
        let mut tickets = Vec::with_capacity(jobs.len());
        for job in jobs {
            let (queued, ticket) = QueuedJob::new(job, now);
            state.waiting.push_back(queued);
            tickets.push(ticket);
        }
        self.show_length(&state);
        drop(state);
        // One worker takes as many as it may; it wakes the next if jobs are left.
        self.not_empty.notify_one();
        Ok(tickets)
    }

    /// Waits for a batch; `None` once the queue is closed and empty.
    pub(super) fn take(&self, max_batch: usize) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            self.drop_abandoned(&mut state.waiting);
            let batch = next_batch(&mut state.waiting, max_batch);
            self.show_length(&state);
            if batch.is_some() {
                if !state.waiting.is_empty() {
                    self.not_empty.notify_one();
                }
                return batch;
            }
            if state.closed {
                return None;
            }
            state = self.not_empty.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes no more jobs; those that wait are still answered.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.not_empty.notify_all();
    }

    fn drop_abandoned(&self, waiting: &mut VecDeque<QueuedJob>) {
        let before = waiting.len();
        waiting.retain(|job| !job.is_abandoned());
        self.metrics.jobs_abandoned.inc_by((before - waiting.len()) as u64);
    }

    fn show_length(&self, state: &State) {
        self.metrics.queue_length.set(state.waiting.len() as i64);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what runs next out of the queue: the job that waits longest, and those of its model behind it, in order.
///
/// A pure function of the queue; the width rule will grow here.
fn next_batch(waiting: &mut VecDeque<QueuedJob>, max_batch: usize) -> Option<Batch> {
    let model = waiting.front()?.job.model.clone();
    let mut jobs = Vec::new();
    let mut left = VecDeque::with_capacity(waiting.len());
    for queued in waiting.drain(..) {
        if jobs.len() < max_batch && Arc::ptr_eq(&queued.job.model, &model) {
            jobs.push(queued);
        } else {
            left.push_back(queued);
        }
    }
    *waiting = left;
    Some(Batch { model, jobs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Width;
    use crate::repository::ServedModel;
    use crate::test_onnx::OnnxFile;
    use bytes::Bytes;

    fn model(version: u64) -> Arc<ServedModel> {
        let bytes = OnnxFile::lenet([1, 28, 28], 8, 10).bytes();
        Arc::new(ServedModel::from_onnx("tiny", version, &bytes).unwrap())
    }

    /// Jobs are told apart by `top_k`.
    fn job(model: &Arc<ServedModel>, top_k: usize) -> Job {
        Job { model: model.clone(), image: Bytes::new(), width: Width::FULL, top_k, profile: false }
    }

    fn queue_of(jobs: Vec<Job>) -> (VecDeque<QueuedJob>, Vec<Ticket>) {
        jobs.into_iter().map(|job| QueuedJob::new(job, Instant::now())).unzip()
    }

    fn names(jobs: &[QueuedJob]) -> Vec<usize> {
        jobs.iter().map(|queued| queued.job.top_k).collect()
    }

    fn metrics() -> Arc<Metrics> {
        Arc::new(Metrics::new(&prometheus::Registry::new()).unwrap())
    }

    #[test]
    fn a_batch_is_the_oldest_job_and_those_of_its_model_in_order() {
        let (one, two) = (model(1), model(2));
        let jobs = vec![job(&one, 1), job(&two, 2), job(&one, 3), job(&one, 4), job(&two, 5), job(&one, 6)];
        let (mut waiting, _tickets) = queue_of(jobs);
        let batches: Vec<_> =
            std::iter::from_fn(|| next_batch(&mut waiting, 3)).map(|batch| names(&batch.jobs)).collect();
        assert_eq!(batches, [vec![1, 3, 4], vec![2, 5], vec![6]]);
    }

    #[test]
    fn a_full_queue_takes_all_of_a_call_or_nothing() {
        let model = model(1);
        let queue = Queue::new(3, metrics());
        let first = queue.submit(vec![job(&model, 1), job(&model, 2)]).unwrap();
        let refused = Refused::QueueFull { waiting: 2, limit: 3, wanted: 2 };
        assert_eq!(queue.submit(vec![job(&model, 3), job(&model, 4)]).unwrap_err(), refused);
        queue.submit(vec![job(&model, 5)]).unwrap();
        // Callers who leave make room.
        drop(first);
        let _tickets = queue.submit(vec![job(&model, 6), job(&model, 7)]).unwrap();
        assert_eq!(names(&queue.take(9).unwrap().jobs), [6, 7]);
    }

    #[test]
    fn a_caller_who_left_costs_nothing_and_is_counted() {
        let model = model(1);
        let metrics = metrics();
        let queue = Queue::new(9, metrics.clone());
        let mut tickets = queue.submit((1..=4).map(|name| job(&model, name)).collect()).unwrap();
        assert_eq!(metrics.queue_length.get(), 4);
        tickets.remove(1);
        assert_eq!(names(&queue.take(9).unwrap().jobs), [1, 3, 4]);
        assert_eq!((metrics.jobs_abandoned.get(), metrics.queue_length.get()), (1, 0));
    }

    #[test]
    fn a_closed_queue_refuses_new_jobs_and_gives_out_the_old_ones() {
        let model = model(1);
        let queue = Queue::new(9, metrics());
        let _tickets = queue.submit(vec![job(&model, 1)]).unwrap();
        queue.close();
        assert_eq!(queue.submit(vec![job(&model, 2)]).unwrap_err(), Refused::Closed);
        assert_eq!(names(&queue.take(9).unwrap().jobs), [1]);
        assert!(queue.take(9).is_none());
    }
}
