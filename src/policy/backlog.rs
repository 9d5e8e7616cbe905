//! The queue as one decision sees it: what each job may cost, and whom to give up if not all can be answered.

use std::time::{Duration, Instant};

use super::forecast::{Crew, Forecast};
use super::profile::Cost;
use super::tuning::WHOLE;
use super::{DeadlineKind, Demand, Profile, Stage, Widths};
use crate::engine::Width;

/// Jobs in the order of their deadlines. Its memory is reused from decision to decision.
#[derive(Debug, Clone, Default)]
pub(super) struct Backlog {
    /// Those that could be answered in time.
    pub(super) jobs: Vec<Item>,
    /// Places in the queue of the others, ascending.
    pub(super) shed: Vec<usize>,
    /// For each model, the widest of the narrowest steps that its jobs allow; `None` where it has no job.
    floors: Vec<Option<usize>>,
    /// Scratch of `fill`: the margin of each model.
    margins: Vec<u64>,
    /// Scratch of `plan`: places of those in `jobs` that a higher rank may displace, by rank.
    ranks: [Vec<usize>; RANKS],
}

/// A job of the backlog. Times are nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// Until it must have ended. A target that cannot be met any more counts as set again now: the job is still answered, and
    /// no sooner or later than a job that has just arrived.
    pub(super) slack: u64,
    /// The part of the slack that plans use.
    pub(super) usable: u64,
    /// What decoding it will take.
    decoding: u64,
    /// Its place in the queue.
    pub(super) index: u32,
    pub(super) model: u16,
    /// The narrowest step that it allows.
    pub(super) least: u8,
    /// The widest step that it allows and has time for.
    most: u8,
    /// Does its own deadline forbid steps that it would allow?
    pub(super) hurried: bool,
    picture: Picture,
    rank: u8,
    /// Is its deadline only a target, so that it is answered late rather than dropped?
    target: bool,
    /// The width that it insists on.
    pub(super) pinned: Option<Width>,
}

/// A [`Stage`] without its time, which would make a job half as large again: decisions go through many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Picture {
    Encoded,
    Decoding,
    Decoded,
}

/// Two for each priority: who comes is worth less than who is there already.
const RANKS: usize = 6;
/// Most jobs that are given up for one.
const MOST_VICTIMS: usize = 16;
/// Jobs for each worker below which a queue always has room for one with a target. At a quarter of the width even slow machines
/// do so many within the usual target, so that under a lasting overload of plain requests those that are accepted are in time.
const ROOM: u64 = 64;
/// The least part of a target, in 1024ths, that is kept for reading and answering, which no plan knows.
const SPARE: u64 = WHOLE / 3;
/// The slack of a job that is answered however late it is. So many nanoseconds times the number of workers do not overflow.
const UNLIMITED: u64 = 1 << 50;
/// Place in the queue of a job that is not there yet.
const NEWCOMER: u32 = u32::MAX;

impl Item {
    // Inlined, it is written where it stays; a copy of it takes longer than all that it is made of.
    #[inline(always)]
    fn new(demand: &Demand, index: u32, now: Instant, profile: &Profile, margin: u64) -> Item {
        let mut slack = nanoseconds(demand.deadline.saturating_duration_since(now));
        let Demand { model, stage, priority, .. } = *demand;
        let costs = profile.costs();
        let (least, mut most) = demand.span(costs.len());
        let target = demand.deadline_kind == DeadlineKind::Target;
        if target && slack < costs[least].single() + nanoseconds(stage.takes()) {
            slack = nanoseconds(demand.budget()).max(costs[least].single());
        }
        // A guess does not make a job hopeless: only decoding its like shows whether it was right.
        let decoding = nanoseconds(stage.takes()).min(slack.saturating_sub(costs[least].single()));
        // Who is nearly late needs all that is left.
        let usable = (slack - slack / WHOLE * margin).max(costs[least].single() + decoding).min(slack);
        let hurried = most > least && usable < costs[most].single() + decoding;
        if hurried {
            let fits = |cost: &Cost| cost.single() + decoding <= usable;
            most = least + costs[least..most].partition_point(fits).max(1) - 1;
        }
        let (least, most) = (least as u8, most as u8);
        let rank = 2 * priority as u8 + u8::from(index != NEWCOMER);
        let pinned = match demand.widths {
            Widths::Pinned { width, .. } => Some(width),
            Widths::From { .. } => None,
        };
        let picture = match stage {
            Stage::Encoded { .. } => Picture::Encoded,
            Stage::Decoding => Picture::Decoding,
            Stage::Decoded => Picture::Decoded,
        };
        let model = model as u16;
        Item { slack, usable, decoding, index, model, least, most, hurried, picture, rank, target, pinned }
    }

    /// The step that it runs at below a ceiling.
    pub(super) fn step(&self, ceiling: usize) -> usize {
        (ceiling as u8).min(self.most).max(self.least) as usize
    }

    /// What it costs at the narrowest step that it allows.
    fn least_cost(&self, profiles: &[Profile]) -> Cost {
        self.cost(profiles[self.model as usize].costs()[self.least as usize])
    }

    /// What it costs where the network costs this: decoding comes before it.
    fn cost(&self, network: Cost) -> Cost {
        Cost { item: network.item + self.decoding, ..network }
    }

    /// How long decoding it will take, if nobody is at it.
    pub(super) fn undecoded(&self) -> Option<u64> {
        (self.picture == Picture::Encoded).then_some(self.decoding)
    }

    pub(super) fn is_decoded(&self) -> bool {
        self.picture == Picture::Decoded
    }

    /// Is there something to do for it that nobody is at?
    pub(super) fn is_waiting(&self) -> bool {
        self.picture != Picture::Decoding
    }
}

impl Backlog {
    /// Fills in the queue, without those who would be late even if they were alone. `margin` is the share of a
    /// model's slacks, in 1024ths, that is kept from plans.
    pub(super) fn fill<'a>(
        &mut self,
        queue: impl Iterator<Item = &'a Demand>,
        now: Instant,
        profiles: &[Profile],
        margin: impl Fn(&Profile) -> u64,
    ) {
        self.jobs.clear();
        self.shed.clear();
        self.floors.clear();
        self.floors.resize(profiles.len(), None);
        self.margins.clear();
        self.margins.extend(profiles.iter().map(margin));
        for (index, demand) in (0..).zip(queue) {
            let profile = &profiles[demand.model];
            let item = Item::new(demand, index, now, profile, self.margins[demand.model]);
            if item.least_cost(profiles).single() > item.slack {
                self.shed.push(index as usize);
                continue;
            }
            let floor = &mut self.floors[demand.model];
            *floor = (*floor).max(Some(item.least as usize));
            self.jobs.push(item);
        }
    }

    /// What all of it takes when every job runs at the widest step that it allows within its model's ceiling; `None`
    /// when that is too late for one of them. Never less for a wider ceiling or another job.
    pub(super) fn work(&self, ceilings: &[usize], profiles: &[Profile], crew: &Crew) -> Option<u64> {
        let setup = self.setup(ceilings, profiles);
        let mut forecast = Forecast::new(crew);
        let in_time = match (profiles, ceilings) {
            // Looked up once, not for every job.
            ([profile], [ceiling]) => {
                let costs = profile.costs();
                let cost = |item: &Item| item.cost(Cost { setup, ..costs[item.step(*ceiling)] });
                self.jobs.iter().all(|item| forecast.add(cost(item), item.usable))
            }
            _ => self.jobs.iter().all(|item| {
                let model = item.model as usize;
                let cost = Cost { setup, ..profiles[model].costs()[item.step(ceilings[model])] };
                forecast.add(item.cost(cost), item.usable)
            }),
        };
        in_time.then(|| forecast.work())
    }

    /// Also leaves out those with firm deadlines that cannot be answered in time when all run at the narrowest step that they
    /// allow: jobs of low priority before others, and else the one whose turn comes too late (Moore 1968).
    pub(super) fn give_up(&mut self, profiles: &[Profile], crew: &Crew) {
        let (late, _) = self.plan(profiles, crew);
        let given_up = self.jobs.iter().zip(&late).filter_map(|(item, late)| late.then_some(item.index as usize));
        self.shed.extend(given_up);
        self.shed.sort_unstable();
        let mut late = late.into_iter();
        self.jobs.retain(|_| late.next() != Some(true));
    }

    /// Can this job be accepted beside those that were filled in, of which `ahead` have earlier deadlines? If not, how long
    /// until it can. A firm deadline must be met in the plan; a job with a target is accepted while the queue has room.
    pub(super) fn fits(
        &mut self,
        demand: &Demand,
        ahead: usize,
        now: Instant,
        profiles: &[Profile],
        margin: u64,
        crew: &Crew,
    ) -> Result<(), Duration> {
        let place = self.jobs.partition_point(|item| (item.index as usize) < ahead);
        let target = demand.deadline_kind == DeadlineKind::Target;
        let margin = if target { margin.max(SPARE) } else { margin };
        if target && self.has_room(place, demand, profiles, margin, crew) {
            return Ok(());
        }
        let mut new = Item::new(demand, NEWCOMER, now, &profiles[demand.model], margin);
        // Who is accepted is promised an answer, so the margin counts; but a guess of what decoding takes refuses nobody alone.
        new.slack = new.usable;
        let network = new.least_cost(profiles).single() - new.decoding;
        new.decoding = new.decoding.min(new.usable.saturating_sub(network) / 2);
        self.jobs.insert(place, new);
        let (shed, work) = self.plan(profiles, crew);
        let least = new.least_cost(profiles).single();
        if !shed[place] && least <= new.usable {
            return Ok(());
        }
        let end = (work + crew.busy()) / crew.workers() + least;
        Err(Duration::from_nanos(end.saturating_sub(new.usable)))
    }

    /// Can the workers do the first `place` jobs within a target, at the narrowest widths that these allow? The margin is
    /// kept from it.
    ///
    /// No job counts for more than its share of a queue of [`ROOM`] jobs for each worker: a slow decode, a stall or an
    /// estimate that is too high fills no queue in which few jobs wait.
    fn has_room(&self, place: usize, demand: &Demand, profiles: &[Profile], margin: u64, crew: &Crew) -> bool {
        let budget = nanoseconds(demand.budget());
        let room = budget - budget / WHOLE * margin.min(WHOLE);
        let counts = |item: &Item| item.least_cost(profiles).item.min(room / ROOM);
        let queued: u64 = self.jobs[..place].iter().map(counts).sum();
        queued <= room * crew.workers()
    }

    /// The longest setup of any job below these ceilings. It is taken for that of every batch: so the fewest batches are
    /// the least work, and forecasts are exactly monotone.
    fn setup(&self, ceilings: &[usize], profiles: &[Profile]) -> u64 {
        let models = self.floors.iter().zip(ceilings).zip(profiles);
        let setup = |((floor, &ceiling), profile): ((&Option<usize>, _), &Profile)| {
            Some(profile.costs()[(*floor)?.max(ceiling)].setup)
        };
        models.filter_map(setup).max().unwrap_or(0)
    }

    /// Who must be given up, for each job, and what the others take. A job with a target makes room for a higher priority in a
    /// crowded queue, and is given up for no other reason.
    fn plan(&mut self, profiles: &[Profile], crew: &Crew) -> (Vec<bool>, u64) {
        self.ranks.iter_mut().for_each(Vec::clear);
        let mut shed = vec![false; self.jobs.len()];
        let (mut forecast, mut opened) = (Forecast::new(crew), 0);
        let crowded = self.jobs.len() as u64 > ROOM * crew.workers();
        for (place, item) in self.jobs.iter().enumerate() {
            let cost = item.least_cost(profiles);
            let mut planned = forecast.add(cost, item.slack);
            if !planned {
                let (before, mut victims) = (forecast, Vec::new());
                while !planned
                    && victims.len() < MOST_VICTIMS
                    && let Some(victim) = self.ranks[..item.rank as usize].iter_mut().find_map(Vec::pop)
                {
                    victims.push(victim);
                    forecast.remove(self.jobs[victim].least_cost(profiles), victim >= opened);
                    planned = forecast.add(cost, item.slack);
                }
                if planned {
                    victims.iter().for_each(|&victim| shed[victim] = true);
                } else {
                    forecast = before;
                    victims.iter().rev().for_each(|&victim| self.ranks[self.jobs[victim].rank as usize].push(victim));
                    // Late, but answered.
                    planned = item.target && item.index != NEWCOMER && forecast.add(cost, UNLIMITED);
                }
            }
            shed[place] = !planned;
            if planned {
                opened = if forecast.open() == 1 { place } else { opened };
                if crowded || !item.target {
                    self.ranks[item.rank as usize].push(place);
                }
            }
        }
        (shed, forecast.work())
    }
}

fn nanoseconds(time: Duration) -> u64 {
    // Faster than `as_nanos`, which has room for times that no budget has.
    time.as_secs() * 1_000_000_000 + u64::from(time.subsec_nanos())
}
