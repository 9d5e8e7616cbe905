//! A forecast of when jobs end that run in a given order, in batches that the first free worker takes.
//!
//! A batch starts once the work before it fills the workers evenly up to that time. It never starts later: until then some
//! worker is free (Graham 1966). So adding work never makes anything end earlier, and feasibility is monotone.

use super::super::profile::Cost;

/// A forecast so far: complete batches, and an open one. All times are nanoseconds from now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forecast<'a> {
    pool: &'a WorkerPool,
    /// Of the complete batches.
    work: u64,
    open: Batch,
}

/// The workers and the bounds of their batches.
#[derive(Debug, Clone, Default)]
pub(super) struct WorkerPool {
    /// When each becomes free.
    free: Vec<u64>,
    first: u64,
    last: u64,
    sum: u64,
    /// The most items of a batch.
    max_batch: usize,
    /// The longest batch of more than one item.
    longest: u64,
}

#[derive(Debug, Clone, Copy)]
struct Batch {
    size: usize,
    setup: u64,
    items: u64,
    /// The earliest deadline of its items.
    limit: u64,
}

impl Batch {
    const EMPTY: Batch = Batch { size: 0, setup: 0, items: 0, limit: u64::MAX };

    fn length(&self) -> u64 {
        self.setup + self.items
    }

    fn with(self, cost: Cost, limit: u64) -> Batch {
        let (setup, items) = (self.setup.max(cost.setup), self.items + cost.item);
        Batch { size: self.size + 1, setup, items, limit: self.limit.min(limit) }
    }
}

impl WorkerPool {
    /// Sets the times at which the workers become free, of which there is at least one, and the bounds of a batch.
    pub(super) fn set(&mut self, free: impl Iterator<Item = u64>, max_batch: usize, longest: u64) {
        self.free.clear();
        self.free.extend(free);
        self.first = self.free.iter().copied().min().unwrap_or(0);
        self.last = self.free.iter().copied().max().unwrap_or(0);
        self.sum = self.free.iter().sum();
        (self.max_batch, self.longest) = (max_batch, longest);
    }

    pub(super) fn max_batch(&self) -> usize {
        self.max_batch
    }

    pub(super) fn longest(&self) -> u64 {
        self.longest
    }

    pub(super) fn workers(&self) -> u64 {
        self.free.len().max(1) as u64
    }

    /// The sum of the times until each busy worker is free.
    pub(super) fn busy(&self) -> u64 {
        self.sum
    }

    /// Whether a batch that starts after `work` ends in time.
    fn ends(&self, work: u64, batch: &Batch) -> bool {
        batch.length() <= batch.limit && self.frees(work, batch.limit - batch.length())
    }

    /// Whether the workers have finished `work` by `time`, each from when it becomes free.
    fn frees(&self, work: u64, time: u64) -> bool {
        if time >= self.last {
            // The usual case, without a loop.
            return work + self.sum <= self.workers() * time;
        }
        let done: u64 = self.free.iter().map(|free| time.saturating_sub(*free)).sum();
        time >= self.first && work <= done
    }
}

impl<'a> Forecast<'a> {
    pub(super) fn new(pool: &'a WorkerPool) -> Forecast<'a> {
        Forecast { pool, work: 0, open: Batch::EMPTY }
    }

    /// Adds the next job, due at `limit`, if it ends in time; returns whether it does.
    ///
    /// It joins the open batch if all of that still ends in time, and opens another otherwise.
    // Inlined, it stays in registers from job to job.
    #[inline(always)]
    pub(super) fn add(&mut self, cost: Cost, limit: u64) -> bool {
        let joined = self.open.with(cost, limit);
        let small = joined.size <= self.pool.max_batch && joined.length() <= self.pool.longest;
        if self.open.size > 0 && small && self.pool.ends(self.work, &joined) {
            self.open = joined;
            return true;
        }
        let work = self.work();
        let alone = Batch::EMPTY.with(cost, limit);
        let in_time = self.pool.ends(work, &alone);
        if in_time {
            (self.work, self.open) = (work, alone);
        }
        in_time
    }

    /// Removes a job that was added, from the open batch or from the ones before.
    pub(super) fn remove(&mut self, cost: Cost, from_open: bool) {
        if from_open && self.open.size > 1 {
            self.open.size -= 1;
            self.open.items -= cost.item;
        } else if from_open {
            self.open = Batch::EMPTY;
        } else {
            self.work = self.work.saturating_sub(cost.item);
        }
    }

    /// The size of the open batch.
    pub(super) fn open(&self) -> usize {
        self.open.size
    }

    /// The time of all batches.
    pub(super) fn work(&self) -> u64 {
        self.work + self.open.length()
    }
}
