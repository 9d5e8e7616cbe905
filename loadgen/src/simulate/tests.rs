//! The simulator beside models that are too simple to be wrong, and what the server's policy promises under load.

use std::time::Duration;

use anywidth::engine::Width;
use anywidth::policy::{Profile, Tuning};

use super::*;
use crate::arrivals::{Gaps, Plan};

const BURSTY: Gaps = Gaps::Gamma { cv2: 8.0 };

fn measured() -> Measured {
    Measured::cifar10().unwrap()
}

fn profile() -> Profile {
    measured().profile().unwrap()
}

fn widest_fit() -> WidestFitPolicy {
    WidestFitPolicy::new(profile(), LIMITS, Tuning::default())
}

fn scenario(plan: &str, gaps: Gaps, seed: u64) -> Scenario {
    Case::new("", plan, gaps).unwrap().scenario(&profile(), seed).unwrap()
}

fn play(scenario: &Scenario, policy: &mut dyn Policy) -> Score {
    run(scenario, &measured(), &profile(), policy, &mut |_, _| {})
}

/// One job at a time, at full width, first come, first served.
struct OneByOne;

impl Policy for OneByOne {
    fn next_batch(&mut self, _: Situation) -> Choice {
        Choice { batch: vec![(0, Width::FULL)], ..Choice::default() }
    }
}

/// When each job is answered, by hand: it begins when it has come and the first of the workers is free.
fn answered(arrivals: &[Duration], workers: usize, service: Duration) -> Vec<Duration> {
    let mut free = vec![Duration::ZERO; workers];
    let answer = |&arrival: &Duration| {
        let first = free.iter_mut().min().unwrap();
        *first = arrival.max(*first) + service;
        *first
    };
    arrivals.iter().map(answer).collect()
}

#[test]
fn a_server_without_a_policy_is_the_queue_of_the_textbook() {
    let service = Duration::from_secs_f64(measured().seconds(&[Width::FULL]));
    for workers in [1, 3] {
        let rate = 0.8 * workers as f64 / service.as_secs_f64();
        let plan: Plan = format!("{rate}:20s").parse().unwrap();
        let scenario = Scenario {
            arrivals: plan.arrivals(Gaps::Poisson, 3).unwrap().collect(),
            budgets: vec![service.mul_f64(5.5)],
            workers,
            queue_limit: usize::MAX,
            world: World::EXACT,
            seed: 1,
        };
        let score = play(&scenario, &mut OneByOne);
        let answered = answered(&scenario.arrivals, workers, service);
        let late = answered.iter().zip(&scenario.arrivals).filter(|(end, came)| **end - **came > scenario.budgets[0]);
        let late = late.count() as u64;
        assert!(late > 100, "{late}");
        assert_eq!((score.late, score.on_time), (late, scenario.arrivals.len() as u64 - late));
        let mut times: Vec<_> = answered.iter().zip(&scenario.arrivals).map(|(end, came)| *end - *came).collect();
        times.sort_unstable();
        assert_eq!(score.p99, times[(times.len() - 1) * 99 / 100]);
    }
}

#[test]
fn a_seed_always_gives_the_same_score_and_another_gives_another() {
    let score = |seed| play(&scenario("1.5:2s", BURSTY, seed), &mut widest_fit());
    assert_eq!(score(1), score(1));
    assert_ne!(score(1), score(2));
}

#[test]
fn a_full_queue_refuses() {
    let scenario = Scenario { queue_limit: 2, ..scenario("3:1s", Gaps::Poisson, 1) };
    let score = play(&scenario, &mut OneByOne);
    assert!(score.refused > score.requests / 2);
    assert_eq!(score.refused + score.on_time + score.late, score.requests);
}

/// `run` itself asserts that no job is in two places and that every request has one outcome.
#[test]
fn a_million_requests_are_each_accounted_for() {
    let case = Case { workers: 4, ..Case::new("", "0.2..8:40s,8..0.2:40s", BURSTY).unwrap() };
    let scenario = case.scenario(&profile(), 1).unwrap();
    assert!(scenario.arrivals.len() > 1_000_000);
    let score = play(&scenario, &mut widest_fit());
    let Score { requests, refused, shed, late, on_time, .. } = score;
    assert_eq!((requests, requests), (scenario.arrivals.len() as u64, refused + shed + late + on_time));
    assert!(score.kept_promises() > 0.999, "{score:?}");
}

#[test]
fn a_bursty_load_beyond_full_width_is_answered_in_time_and_best_by_the_widest_fit() {
    let case = &cases(&profile()).unwrap()[0];
    assert!((case.plan.mean_rate() - 1.5).abs() < 1e-9);
    let scores = compare(case, &measured(), &contenders(), &[1]).unwrap();
    let named = |name: &str| scores.iter().find(|(who, _)| *who == name).unwrap().1;
    let ours = named("widest fit");
    assert!(ours.attainment() >= 0.999, "{ours:?}");
    assert!(named("pinned to 1").attainment() < 0.6);
    for (name, score) in scores.iter().filter(|(name, _)| !name.starts_with("widest fit")) {
        assert!(ours.effective_accuracy() > score.effective_accuracy() + 0.01, "{name}: {score:?}");
    }
}

#[test]
fn under_light_load_every_answer_is_at_full_width() {
    let score = play(&scenario("0.3:20s", Gaps::Poisson, 1), &mut widest_fit());
    assert_eq!((score.width(), score.on_time), (1.0, score.requests));
}

#[test]
fn beyond_the_narrowest_width_who_is_accepted_is_answered_in_time() {
    let narrowest = profile().widths().next().unwrap();
    let times = profile().latency(Width::FULL, LIMITS.batch).as_secs_f64()
        / profile().latency(narrowest, LIMITS.batch).as_secs_f64();
    let score = play(&scenario(&format!("{}:4s", 2.0 * times), Gaps::Poisson, 1), &mut widest_fit());
    assert!(score.kept_promises() >= 0.99, "{score:?}");
    // And it is as many as there can be.
    assert!(score.attainment() > 0.95 / 2.0, "{score:?}");
}

#[test]
fn after_a_step_down_full_width_is_back_within_two_budgets() {
    for seed in 1..=100 {
        let scenario = scenario("0.3:1s,3:1s,0.3:2s", Gaps::Poisson, seed);
        let (down, budget) = (Duration::from_secs(2), scenario.budgets[0]);
        let mut narrow_until = Duration::ZERO;
        let mut watch = |at: Duration, width: Width| {
            if width < Width::FULL {
                narrow_until = at;
            }
        };
        run(&scenario, &measured(), &profile(), &mut widest_fit(), &mut watch);
        assert!(narrow_until > down - budget && narrow_until < down + 2 * budget, "{seed}: {narrow_until:?}");
    }
}

#[test]
fn under_a_steady_load_the_width_stays() {
    let score = play(&scenario("3:20s", Gaps::Poisson, 1), &mut widest_fit());
    assert!(score.changes_per_second() < 10.0 && score.attainment() > 0.9999, "{score:?}");
}

#[test]
fn a_profile_that_is_wrong_is_corrected() {
    for wrong in [1.3, 1.0 / 1.3] {
        let mut case = Case::new("", &format!("{}:10s", 2.0 / wrong), BURSTY).unwrap();
        case.world.wrong = wrong;
        let scenario = case.scenario(&profile(), 1).unwrap();
        let score = play(&scenario, &mut widest_fit());
        let uncorrected = play(&scenario, &mut widest_fit().uncorrected());
        assert!(score.attainment() > 0.998, "{wrong}: {score:?}");
        // What is believed to be faster than it is costs deadlines; what is believed to be slower, accuracy.
        let worth = if wrong > 1.0 { Score::attainment } else { Score::effective_accuracy };
        assert!(worth(&uncorrected) < worth(&score), "{wrong}: {uncorrected:?} {score:?}");
    }
}

#[test]
fn the_peers_choose_as_published() {
    use anywidth::policy::{DeadlineKind, Demand, Stage, Widths, Workers};
    let now = std::time::Instant::now();
    let demand = |ms: f64| Demand {
        model: 0,
        widths: Widths::From { step: 0 },
        arrived: now,
        deadline: now + Duration::from_secs_f64(ms * 1e-3),
        deadline_kind: DeadlineKind::Firm,
        priority: Default::default(),
        stage: Stage::Decoded,
    };
    let choose = |policy: &mut dyn Policy, ms: f64, jobs: usize| {
        let queue = vec![demand(ms); jobs].into();
        let choice = policy.next_batch(Situation {
            queue: &queue,
            workers: Workers { count: 1, busy_until: &[], long_decodings: 0 },
            now,
        });
        (choice.batch.len(), choice.batch.first().map(|job| job.1), choice.shed.len())
    };
    let narrowest = profile().widths().next();
    // At full width one takes 0.55 ms and sixteen 8.7; at the narrowest, 0.08 and 1.24.
    let mut max_accuracy = MaxAccuracy::new(profile(), 16, None);
    assert_eq!(choose(&mut max_accuracy, 3.0, 20), (5, Some(Width::FULL), 0));
    let mut max_batch = MaxBatch::new(profile(), 16, None);
    assert_eq!(choose(&mut max_batch, 20.0, 20), (16, Some(Width::FULL), 0));
    assert_eq!(choose(&mut max_batch, 1.26, 20), (16, narrowest, 0));
    let mut slack_fit = SlackFit::new(profile(), 16, None);
    assert_eq!(choose(&mut slack_fit, 20.0, 3), (3, Some(Width::FULL), 0));
    let (batch, width, _) = choose(&mut slack_fit, 5.0, 20);
    assert!(batch == 16 && profile().latency(width.unwrap(), 16) <= Duration::from_millis(5));
    // Too late for anything: as published it runs all the same, with early drops it does not.
    assert_eq!(choose(&mut slack_fit, 0.01, 2), (1, narrowest, 0));
    assert_eq!(choose(&mut SlackFit::new(profile(), 16, Some(0.1)), 0.01, 2), (0, None, 2));
}
