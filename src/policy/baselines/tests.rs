//! Each baseline chooses as published; all of them keep to what a job allows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::testing::profile;
use super::super::{
    DeadlineKind, JobConstraints, Plan, Policy, PolicyKind, Priority, QueueSettings, QueueView, Stage, Widths, Workers,
};
use super::*;
use crate::engine::Width;

const SETTINGS: QueueSettings =
    QueueSettings { workers: 1, decoders: 1, max_batch: 8, max_queue: 100, default_budget: Duration::from_millis(50) };

fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn width(text: &str) -> Width {
    text.parse().unwrap()
}

fn job(now: Instant, slack: Duration) -> JobConstraints {
    JobConstraints {
        model: 0,
        widths: Widths::From { step: 0 },
        arrived: now,
        deadline: now + slack,
        deadline_kind: DeadlineKind::Firm,
        priority: Priority::Normal,
        stage: Stage::Decoded,
    }
}

fn decide(policy: &mut dyn Policy, jobs: &VecDeque<JobConstraints>, now: Instant) -> Plan {
    let workers = Workers { count: 1, busy_until: &[], long_decodings: 0 };
    policy.next(QueueView { jobs, profiles: &[profile()], workers, now })
}

/// The size and width of the batch, and the number of jobs shed, of so many jobs with this slack.
fn choose(policy: &mut dyn Policy, slack_us: u64, jobs: usize) -> (usize, Option<Width>, usize) {
    let now = Instant::now();
    let plan = decide(policy, &vec![job(now, us(slack_us)); jobs].into(), now);
    (plan.batch.len(), plan.batch.first().map(|job| job.width), plan.shed.len())
}

// Steps 0.25, 0.5, 0.75 and 1 take 100, 200, 300 and 400 us per image.

#[test]
fn max_accuracy_takes_the_widest_width_for_one_and_then_the_largest_batch() {
    let mut policy = MaxAccuracy::new(8, Hardening::None);
    assert_eq!(choose(&mut policy, 1000, 20), (2, Some(width("1")), 0));
    assert_eq!(choose(&mut policy, 390, 20), (1, Some(width("0.75")), 0));
}

#[test]
fn max_batch_takes_the_largest_batch_and_then_the_widest_width_for_it() {
    let mut policy = MaxBatch::new(8, Hardening::None);
    assert_eq!(choose(&mut policy, 1000, 20), (8, Some(width("0.25")), 0));
    assert_eq!(choose(&mut policy, 1000, 4), (4, Some(width("0.5")), 0));
}

#[test]
fn slack_fit_takes_the_bucket_closest_below_the_slack() {
    let mut policy = SlackFit::new(8, Hardening::None);
    assert_eq!(choose(&mut policy, 3300, 20), (8, Some(width("1")), 0));
    let (batch, width, _) = choose(&mut policy, 1700, 20);
    assert_eq!((batch, width), (8, Some(self::width("0.5"))));
}

#[test]
fn without_hardening_a_late_job_runs_and_with_it_it_is_shed() {
    let narrowest = Some(width("0.25"));
    assert_eq!(choose(&mut SlackFit::new(8, Hardening::None), 10, 2), (1, narrowest, 0));
    assert_eq!(choose(&mut SlackFit::new(8, Hardening::Margin(0.1)), 10, 2), (0, None, 2));
}

#[test]
fn the_rate_table_changes_its_width_once_a_second() {
    let (start, mut policy) = (Instant::now(), RateTable::new(8));
    let queue = VecDeque::from([job(start + Duration::from_secs(5), us(100_000))]);
    let workers = Workers { count: 1, busy_until: &[], long_decodings: 0 };
    let arrive = |policy: &mut RateTable, at: Duration| {
        let now = start + at;
        let view = QueueView { jobs: &VecDeque::new(), profiles: &[profile()], workers, now };
        policy.admit(&[job(now, us(100_000))], view).unwrap();
    };
    let runs_at = |policy: &mut RateTable| decide(policy, &queue, start).batch[0].width;
    assert_eq!(runs_at(&mut policy), width("1"));
    // 4000 in a second: half of the width does 5000, of which nine tenths are used.
    (0..4000).for_each(|index| arrive(&mut policy, us(index * 250)));
    assert_eq!(runs_at(&mut policy), width("1"));
    arrive(&mut policy, Duration::from_secs(1));
    assert_eq!(runs_at(&mut policy), width("0.5"));
}

#[test]
fn a_fixed_width_leaves_requested_widths_and_accuracies_alone() {
    let policy = PolicyKind::Fixed(width("0.5")).build(SETTINGS);
    let options = super::super::RequestOptions::default();
    assert_eq!(policy.options(options).width, Some(width("0.5")));
    let requested = super::super::RequestOptions { width: Some(width("0.3")), ..options };
    assert_eq!(policy.options(requested), requested);
    let accurate = super::super::RequestOptions { min_accuracy: Some(0.8), ..options };
    assert_eq!(policy.options(accurate), accurate);
}

fn any_kind() -> impl Strategy<Value = PolicyKind> {
    use PolicyKind::{Fixed, MaxAccuracy, MaxBatch, RateTable, SlackFit, WidestFit};
    prop::sample::select(vec![WidestFit, Fixed(width("0.5")), SlackFit, MaxAccuracy, MaxBatch, RateTable])
}

fn any_job() -> impl Strategy<Value = (u64, usize, Option<u32>, u8, bool)> {
    (0u64..9000, 0usize..2, prop::option::of(1u32..=1_000_000), 0u8..3, any::<bool>())
}

proptest! {
    #[test]
    fn every_policy_names_each_job_once_and_keeps_to_what_it_allows(
        kind in any_kind(), asks in prop::collection::vec(any_job(), 0..30),
    ) {
        let (now, profiles) = (Instant::now(), [profile(), profile()]);
        let mut jobs: Vec<JobConstraints> = asks.into_iter().map(|(slack, model, pin, stage, target)| {
            let widths = pin.and_then(|pin| Width::from_millionths(pin).ok());
            let widths = widths.map(|width| Widths::Pinned { width, step: profile().covering(width) });
            let stage = [Stage::Encoded { takes: us(50) }, Stage::Decoding, Stage::Decoded][usize::from(stage)];
            let job = JobConstraints { model, widths: widths.unwrap_or(Widths::From { step: 1 }), stage, ..job(now, us(slack)) };
            if target { job.with_target() } else { job }
        }).collect();
        jobs.sort_by_key(|job| job.deadline);
        let jobs = VecDeque::from(jobs);
        let workers = Workers { count: 1, busy_until: &[], long_decodings: 0 };
        let plan = kind.build(SETTINGS).next(QueueView { jobs: &jobs, profiles: &profiles, workers, now });
        let mut named: Vec<usize> = plan.batch.iter().map(|job| job.index).chain(plan.shed.clone()).chain(plan.decode.clone()).collect();
        named.sort_unstable();
        prop_assert!(named.is_sorted_by(|a, b| a < b) && named.iter().all(|&index| index < jobs.len()));
        prop_assert!(plan.batch.is_empty() || plan.decode.is_empty());
        for assignment in &plan.batch {
            let job = &jobs[assignment.index];
            prop_assert_eq!((job.stage, job.model), (Stage::Decoded, jobs[plan.batch[0].index].model));
            match job.widths {
                Widths::Pinned { width, .. } => prop_assert_eq!(assignment.width, width),
                Widths::From { .. } => prop_assert!(assignment.width >= width("0.5")),
            }
        }
        prop_assert!(plan.shed.iter().all(|&index| jobs[index].deadline_kind == DeadlineKind::Firm));
        // There is always something to do for a job that can be met.
        let waits = |index: &usize| jobs[*index].stage != Stage::Decoding && !plan.shed.contains(index);
        prop_assert!(!(0..jobs.len()).any(|index| waits(&index)) || !plan.batch.is_empty() || !plan.decode.is_empty());
    }
}
