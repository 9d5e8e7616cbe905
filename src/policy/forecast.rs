//! When jobs that run in a given order will have ended: batches handed to whichever worker is free first.

use super::profile::Cost;

/// A forecast so far: whole batches, and one that still takes items. All times are nanoseconds from now.
///
/// A batch begins once the work before it fills the workers evenly up to that moment. None begins later: until then a
/// worker was free for it (Graham 1966). Adding work never makes anything end earlier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forecast<'a> {
    crew: &'a Crew,
    /// Of the batches that are complete.
    work: u64,
    open: Batch,
}

/// The workers, and what they may take.
#[derive(Debug, Clone, Default)]
pub(super) struct Crew {
    /// When each is free.
    free: Vec<u64>,
    first: u64,
    last: u64,
    sum: u64,
    /// Most items of a batch.
    max_batch: usize,
    /// Longest batch of more than one item.
    longest: u64,
}

#[derive(Debug, Clone, Copy)]
struct Batch {
    size: usize,
    setup: u64,
    items: u64,
    /// When the first of its items is due.
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

impl Crew {
    /// Replaces the workers by those that are free at these times; at least one.
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

    /// Time until all those who are busy are free, added up.
    pub(super) fn busy(&self) -> u64 {
        self.sum
    }

    /// Does a batch end in time that begins after `work`?
    fn ends(&self, work: u64, batch: &Batch) -> bool {
        batch.length() <= batch.limit && self.frees(work, batch.limit - batch.length())
    }

    /// Has a worker, when all started work as it got free, come to an end of `work` by `time`?
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
    pub(super) fn new(crew: &'a Crew) -> Forecast<'a> {
        Forecast { crew, work: 0, open: Batch::EMPTY }
    }

    /// Adds the next job, which is due at `limit`, if it ends in time; says whether.
    ///
    /// It joins the batch in front where all of that still ends in time, else it begins another.
    // Inlined, it stays in registers from job to job.
    #[inline(always)]
    pub(super) fn add(&mut self, cost: Cost, limit: u64) -> bool {
        let joined = self.open.with(cost, limit);
        let small = joined.size <= self.crew.max_batch && joined.length() <= self.crew.longest;
        if self.open.size > 0 && small && self.crew.ends(self.work, &joined) {
            self.open = joined;
            return true;
        }
        let work = self.work();
        let alone = Batch::EMPTY.with(cost, limit);
        let in_time = self.crew.ends(work, &alone);
        if in_time {
            (self.work, self.open) = (work, alone);
        }
        in_time
    }

    /// Takes back a job that was added, from the open batch or from those before.
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

    /// How many jobs the open batch has.
    pub(super) fn open(&self) -> usize {
        self.open.size
    }

    /// All work so far.
    pub(super) fn work(&self) -> u64 {
        self.work + self.open.length()
    }
}
