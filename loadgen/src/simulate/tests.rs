//! The simulator beside models that are too simple to be wrong, and what the server's policy promises under load.

use std::time::Duration;

use anywidth::engine::Width;
use anywidth::policy::{
    Assignment, CeilingReason, Plan, Policy, PolicyKind, Priority, QueueSettings, QueueView, Stage, WidthReason,
};

use super::*;
use crate::arrivals::{Gaps, Plan as RatePlan};

const BURSTY: Gaps = Gaps::Gamma { cv2: 8.0 };

fn measured() -> Measured {
    Measured::cifar10().unwrap()
}

fn profile() -> anywidth::policy::Profile {
    measured().profile().unwrap()
}

fn widest_fit(scenario: &Scenario) -> Player {
    Player { policy: PolicyKind::WidestFit.build(scenario.settings), corrects: true }
}

fn scenario(plan: &str, gaps: Gaps, seed: u64) -> Scenario {
    Case::new("", plan, gaps).unwrap().scenario(&measured(), seed).unwrap()
}

fn play(scenario: &Scenario, player: Player) -> Score {
    run(scenario, &measured(), &profile(), player, &mut |_, _| {})
}

/// One job at a time, at full width, first come, first served.
#[derive(Debug)]
struct OneByOne;

impl Policy for OneByOne {
    fn next(&mut self, view: QueueView<'_>) -> Plan {
        let nothing = Plan {
            exits: None,
            batch: Vec::new(),
            decode: Vec::new(),
            long_decoding: false,
            shed: Vec::new(),
            predicted: Duration::ZERO,
            ceiling: Width::FULL,
            reason: CeilingReason::Full,
        };
        let assign = |index| Assignment { index, width: Width::FULL, reason: WidthReason::Full };
        match view.jobs.iter().position(|job| job.stage != Stage::Decoding) {
            Some(index) if view.jobs[index].stage == Stage::Decoded => Plan { batch: vec![assign(index)], ..nothing },
            Some(index) => Plan { decode: vec![index], ..nothing },
            None => nothing,
        }
    }
}

fn one_by_one() -> Player {
    Player { policy: Box::new(OneByOne), corrects: true }
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
    let measured = Measured { decode_us: 0.0, ..measured() };
    let service = Duration::from_secs_f64(measured.seconds(&[Width::FULL]));
    for workers in [1, 3] {
        let rate = 0.8 * workers as f64 / service.as_secs_f64();
        let plan: RatePlan = format!("{rate}:20s").parse().unwrap();
        let scenario = Scenario {
            arrivals: plan.arrivals(Gaps::Poisson, 3).unwrap().collect(),
            budgets: vec![service.mul_f64(5.5)],
            priorities: vec![Priority::Normal],
            settings: QueueSettings { workers, max_queue: usize::MAX, ..SETTINGS },
            noise: NoiseModel::NONE,
            seed: 1,
        };
        let score = run(&scenario, &measured, &profile(), one_by_one(), &mut |_, _| {});
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
    let score = |seed| {
        let scenario = scenario("1.5:2s", BURSTY, seed);
        play(&scenario, widest_fit(&scenario))
    };
    assert_eq!(score(1), score(1));
    assert_ne!(score(1), score(2));
}

#[test]
fn a_full_queue_refuses() {
    let usual = scenario("3:1s", Gaps::Poisson, 1);
    let scenario = Scenario { settings: QueueSettings { max_queue: 2, ..usual.settings }, ..usual };
    let score = play(&scenario, one_by_one());
    assert!(score.refused > score.requests / 2);
    assert_eq!(score.refused + score.on_time + score.late, score.requests);
}

/// `run` itself asserts that no job is in two places and that every request has one outcome.
#[test]
fn a_million_requests_are_each_accounted_for() {
    let case = Case { workers: 4, ..Case::new("", "0.2..8:40s,8..0.2:40s", BURSTY).unwrap() };
    let scenario = case.scenario(&measured(), 1).unwrap();
    assert!(scenario.arrivals.len() > 1_000_000);
    let score = play(&scenario, widest_fit(&scenario));
    let Score { requests, refused, shed, late, on_time, .. } = score;
    assert_eq!((requests, requests), (scenario.arrivals.len() as u64, refused + shed + late + on_time));
    assert!(score.attainment_of_accepted() > 0.999, "{score:?}");
}

#[test]
fn a_bursty_load_beyond_full_width_is_answered_in_time_and_best_by_the_widest_fit() {
    let case = &cases(&measured()).unwrap()[0];
    assert!((case.plan.mean_rate() - 1.5).abs() < 1e-9);
    let scores = compare(case, &measured(), &contenders(), &[1]).unwrap();
    let named = |name: &str| scores.iter().find(|(who, _)| *who == name).unwrap().1;
    let ours = named("widest fit");
    assert!(ours.attainment() >= 0.999, "{ours:?}");
    assert!(named("fixed at 1").attainment() < 0.6);
    for (name, score) in scores.iter().filter(|(name, _)| !name.starts_with("widest fit")) {
        assert!(ours.effective_accuracy() > score.effective_accuracy() + 0.01, "{name}: {score:?}");
    }
}

#[test]
fn under_light_load_every_answer_is_at_full_width() {
    let scenario = scenario("0.3:20s", Gaps::Poisson, 1);
    let score = play(&scenario, widest_fit(&scenario));
    assert_eq!((score.width(), score.on_time), (1.0, score.requests));
}

#[test]
fn beyond_the_narrowest_width_who_is_accepted_is_answered_in_time() {
    let rate = |width| profile().images_per_second(width, SETTINGS.max_batch, measured().decoding());
    let times = rate(profile().narrowest()) / rate(Width::FULL);
    let scenario = scenario(&format!("{}:4s", 2.0 * times), Gaps::Poisson, 1);
    let score = play(&scenario, widest_fit(&scenario));
    assert!(score.attainment_of_accepted() >= 0.99, "{score:?}");
    // And it is as many as there can be.
    assert!(score.attainment() > 0.95 / 2.0, "{score:?}");
}

#[test]
fn after_a_step_down_full_width_is_back_within_two_budgets() {
    for seed in 1..=100 {
        let scenario = scenario("0.3:1s,3:1s,0.3:2s", Gaps::Poisson, seed);
        let (down, budget) = (Duration::from_secs(2), scenario.budgets[0]);
        let mut narrow_until = Duration::ZERO;
        let mut watch = |at: Duration, event: &Event| {
            if let Event::Run(jobs) = event
                && jobs.iter().any(|&(_, width)| width < Width::FULL)
            {
                narrow_until = at;
            }
        };
        run(&scenario, &measured(), &profile(), widest_fit(&scenario), &mut watch);
        assert!(narrow_until > down - budget && narrow_until < down + 2 * budget, "{seed}: {narrow_until:?}");
    }
}

#[test]
fn under_a_steady_load_the_width_stays() {
    let scenario = scenario("3:20s", Gaps::Poisson, 1);
    let measured = measured();
    let profile = measured.profile_for(Strategy::OneWidth).unwrap();
    let score = run(&scenario, &measured, &profile, widest_fit(&scenario), &mut |_, _| {});
    assert!(score.changes_per_second() < 10.0 && score.attainment() > 0.9999, "{score:?}");
}

#[test]
fn a_profile_that_is_wrong_is_corrected() {
    for wrong in [1.3, 1.0 / 1.3] {
        let mut case = Case::new("", &format!("{}:10s", 2.0 / wrong), BURSTY).unwrap();
        case.noise.factor = wrong;
        let scenario = case.scenario(&measured(), 1).unwrap();
        let score = play(&scenario, widest_fit(&scenario));
        let uncorrected = play(&scenario, Player { corrects: false, ..widest_fit(&scenario) });
        assert!(score.attainment() > 0.998, "{wrong}: {score:?}");
        // What is believed to be faster than it is costs deadlines; what is believed to be slower, accuracy.
        let worth = if wrong > 1.0 { Score::attainment } else { Score::effective_accuracy };
        assert!(worth(&uncorrected) < worth(&score), "{wrong}: {uncorrected:?} {score:?}");
    }
}
