//! What the policy promises, beside oracles that are too simple to be wrong.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::super::testing::{measured, profile};
use super::super::{DeadlineKind, Priority, Stage, WidthReason, Widths, Workers};
use super::*;

fn settings(max_batch: usize) -> QueueSettings {
    QueueSettings { workers: 1, decoders: 1, max_batch, max_queue: 1000, default_budget: Duration::from_millis(50) }
}

fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

fn width(text: &str) -> Width {
    text.parse().unwrap()
}

/// What tests ask of a job, relative to now.
#[derive(Debug, Clone, Copy)]
struct Ask {
    model: usize,
    slack: Duration,
    widths: Widths,
    kind: DeadlineKind,
    priority: Priority,
    stage: Stage,
}

impl Ask {
    fn auto(slack_us: u64) -> Ask {
        let widths = Widths::From { step: 0 };
        let (kind, priority, stage) = (DeadlineKind::Firm, Priority::Normal, Stage::Decoded);
        Ask { model: 0, slack: us(slack_us), widths, kind, priority, stage }
    }

    fn target(slack_us: u64) -> Ask {
        Ask { kind: DeadlineKind::Target, ..Ask::auto(slack_us) }
    }

    fn pinned(self, at: &str) -> Ask {
        Ask { widths: Widths::Pinned { width: width(at), step: profile().covering(width(at)) }, ..self }
    }

    fn encoded(self, takes_us: u64) -> Ask {
        Ask { stage: Stage::Encoded { takes: us(takes_us) }, ..self }
    }

    fn at(self, now: Instant) -> JobConstraints {
        let Ask { model, slack, widths, kind, priority, stage } = self;
        JobConstraints { model, widths, arrived: now, deadline: now + slack, deadline_kind: kind, priority, stage }
    }
}

/// A rule, a queue and workers at one moment.
#[derive(Debug, Clone)]
struct Scene {
    policy: WidestFit,
    profiles: Vec<Profile>,
    queue: VecDeque<JobConstraints>,
    workers: usize,
    busy: Vec<Instant>,
    long_decodings: usize,
    now: Instant,
}

impl Scene {
    /// One idle worker, batches of up to 4, no traffic so far.
    fn new(asks: &[Ask]) -> Scene {
        let now = Instant::now();
        let policy = WidestFit::new(
            settings(4),
            Tuning { margin: Ratio(0.0), initial_margin: Ratio(0.0), min_reserve: Ratio(0.0), ..Tuning::default() },
        );
        let profiles = vec![profile()];
        let mut scene =
            Scene { policy, profiles, queue: VecDeque::new(), workers: 1, busy: vec![], long_decodings: 0, now };
        asks.iter().for_each(|&ask| scene.queue(ask));
        scene
    }

    fn queue(&mut self, ask: Ask) {
        self.queue.push_back(ask.at(self.now));
        self.queue.make_contiguous().sort_by_key(|job| job.deadline);
    }

    fn view(&self) -> QueueView<'_> {
        let workers = Workers { count: self.workers, busy_until: &self.busy, long_decodings: self.long_decodings };
        QueueView { jobs: &self.queue, profiles: &self.profiles, workers, now: self.now }
    }

    fn decide(&mut self) -> Plan {
        let mut policy = self.policy.clone();
        let plan = policy.next(self.view());
        self.policy = policy;
        plan
    }

    fn admit(&mut self, ask: Ask) -> Result<(), Overload> {
        self.admit_all(&[ask])
    }

    fn admit_all(&mut self, asks: &[Ask]) -> Result<(), Overload> {
        let jobs: Vec<JobConstraints> = asks.iter().map(|ask| ask.at(self.now)).collect();
        let mut policy = self.policy.clone();
        let outcome = policy.admit(&jobs, self.view());
        if outcome.is_ok() {
            policy.accepted(&jobs, self.now);
        }
        self.policy = policy;
        outcome
    }
}

fn places(decision: &Plan) -> Vec<usize> {
    decision.batch.iter().map(|job| job.index).collect()
}

fn widths_of(decision: &Plan) -> Vec<String> {
    decision.batch.iter().map(|job| job.width.to_string()).collect()
}

#[test]
fn an_idle_server_runs_at_full_width_and_says_so() {
    let decision = Scene::new(&[Ask::auto(10_000)]).decide();
    assert_eq!((widths_of(&decision), decision.reason), (vec!["1".into()], CeilingReason::Full));
    assert_eq!((decision.predicted, decision.batch[0].reason), (us(400), WidthReason::Full));
    assert!(Scene::new(&[]).decide().batch.is_empty());
}

#[test]
fn a_backlog_narrows_everybody_to_what_all_can_have() {
    // Eight at 300 us end after 2400 us; at 400 us they do not end before 3200.
    let mut scene = Scene::new(&[Ask::auto(3000); 8]);
    let decision = scene.decide();
    assert_eq!((decision.ceiling, decision.reason), (width("0.75"), CeilingReason::Load));
    assert_eq!((places(&decision), decision.batch[0].reason), (vec![0, 1, 2, 3], WidthReason::Load));
    // The batch ends in time for its first.
    scene.queue(Ask::auto(700));
    assert_eq!(places(&scene.decide()), [0, 1]);
}

#[test]
fn one_short_budget_narrows_itself_alone() {
    let mut scene = Scene::new(&[Ask::auto(250), Ask::auto(10_000)]);
    let decision = scene.decide();
    assert_eq!((widths_of(&decision), decision.batch[0].reason), (vec!["0.5".into()], WidthReason::Budget));
    assert_eq!(decision.ceiling, Width::FULL);
}

#[test]
fn a_pinned_width_is_kept_whatever_the_load() {
    let mut scene = Scene::new(&[Ask::auto(650), Ask::auto(650).pinned("0.6"), Ask::auto(650), Ask::auto(650)]);
    let decision = scene.decide();
    assert_eq!(widths_of(&decision), ["0.25", "0.6", "0.25", "0.25"]);
    assert_eq!(decision.batch[1].reason, WidthReason::Requested);
}

#[test]
fn a_job_that_cannot_be_met_is_shed_and_the_others_are_answered() {
    let mut scene = Scene::new(&[Ask::auto(50), Ask::auto(100), Ask::auto(150), Ask::auto(250)]);
    let decision = scene.decide();
    assert_eq!((places(&decision), decision.shed, decision.reason), (vec![1], vec![0, 2], CeilingReason::Overload));
}

#[test]
fn overload_sheds_low_priority_first() {
    let low = Ask { priority: Priority::Low, ..Ask::auto(200) };
    let high = Ask { priority: Priority::High, ..Ask::auto(220) };
    let decision = Scene::new(&[low, Ask::auto(210), high]).decide();
    assert_eq!((decision.shed.as_slice(), places(&decision)), (&[0][..], vec![1, 2]));
}

#[test]
fn nobody_is_shed_in_vain() {
    let high = |slack, width| Ask { priority: Priority::High, ..Ask::auto(slack).pinned(width) };
    let low = Ask { priority: Priority::Low, ..Ask::auto(150) };
    // They take 100, 300 and 400 us: without the first, the third is still too late.
    let mut scene = Scene::new(&[low, high(420, "0.75"), high(650, "1")]);
    assert_eq!(scene.decide().shed, [2]);
    // The first makes room for one that takes 300 us.
    scene.queue(high(651, "0.75"));
    assert_eq!(scene.decide().shed, [0, 2]);
}

#[test]
fn a_job_that_is_being_decoded_counts_but_does_not_run() {
    let waiting = Ask { stage: Stage::Decoding, ..Ask::auto(300) };
    let decision = Scene::new(&[waiting, Ask::auto(600), Ask::auto(600)]).decide();
    assert_eq!((places(&decision), decision.ceiling), (vec![1, 2], width("0.5")));
    let nothing = Scene::new(&[waiting]).decide();
    assert!(nothing.batch.is_empty() && nothing.decode.is_empty());
}

#[test]
fn the_most_urgent_jobs_are_decoded_unless_a_decoded_one_is_more_urgent() {
    let (late, soon) = (Ask::auto(20_000).encoded(50), Ask::auto(10_000).encoded(60));
    let mut scene = Scene::new(&[late, soon]);
    let decision = scene.decide();
    assert_eq!((decision.decode.as_slice(), decision.batch.len(), decision.predicted), (&[0, 1][..], 0, us(110)));
    scene.queue(Ask::auto(15_000));
    assert_eq!(scene.decide().decode, [0]);
    scene.queue(Ask::auto(9_000));
    let decision = scene.decide();
    assert_eq!((decision.decode.len(), places(&decision)), (0, vec![0, 2]));
    // As many as make a batch; and idle workers get their share.
    let mut scene = Scene::new(&[Ask::auto(100_000).encoded(50); 6]);
    assert_eq!(scene.decide().decode, [0, 1, 2, 3]);
    scene.workers = 3;
    assert_eq!(scene.decide().decode, [0, 1]);
    // Whoever comes meanwhile does not wait for long, also where no budget says for how long one may.
    assert_eq!(Scene::new(&[Ask::auto(100_000).encoded(1500); 3]).decide().decode, [0]);
}

#[test]
fn decoding_narrows_as_other_work_does() {
    // Four at 300 us and 200 us of decoding end after 2000 us.
    let mut scene = Scene::new(&[Ask::auto(2000).encoded(200); 4]);
    assert_eq!(scene.decide().ceiling, width("0.75"));
    assert_eq!(Scene::new(&[Ask::auto(2000); 4]).decide().ceiling, Width::FULL);
    // And so does what is expected of those who will come.
    let ceiling = |takes_us: u64| {
        let mut scene = Scene::new(&[]);
        for _ in 0..100 {
            scene.now += us(200);
            scene.admit(Ask::auto(10_000).encoded(takes_us)).unwrap();
        }
        scene.queue(Ask::auto(10_000));
        scene.decide().ceiling.to_string()
    };
    assert_eq!([0, 50, 150].map(ceiling), ["0.5", "0.5", "0.25"]);
}

#[test]
fn long_decodings_leave_workers_to_others() {
    let mut scene = Scene::new(&[]);
    for _ in 0..100 {
        scene.admit(Ask::auto(1000)).unwrap();
    }
    scene.now += Duration::from_secs(10);
    scene.queue(Ask::auto(100_000).encoded(501));
    let decode = |scene: &mut Scene| (scene.decide().decode, scene.decide().long_decoding);
    assert_eq!(decode(&mut scene), (vec![0], true));
    scene.long_decodings = 1;
    assert_eq!(decode(&mut scene), (vec![], false));
    scene.queue(Ask::auto(200_000).encoded(500));
    assert_eq!(decode(&mut scene), (vec![1], false));
}

#[test]
fn a_guess_of_what_decoding_takes_makes_nobody_hopeless() {
    let mut scene = Scene::new(&[Ask::auto(500).encoded(10_000)]);
    assert_eq!(scene.decide().decode, [0]);
    scene.queue.clear();
    assert_eq!(scene.admit(Ask::auto(500).encoded(10_000)), Ok(()));
    assert!(scene.admit(Ask::auto(99).encoded(0)).is_err());
}

#[test]
fn idle_workers_get_their_share() {
    let mut scene = Scene::new(&[Ask::auto(100_000); 4]);
    scene.workers = 4;
    assert_eq!(places(&scene.decide()), [0]);
    scene.busy = vec![scene.now + us(400); 2];
    assert_eq!(places(&scene.decide()), [0, 1]);
    scene.busy.push(scene.now + us(400));
    assert_eq!(places(&scene.decide()), [0, 1, 2, 3]);
}

#[test]
fn short_budgets_in_use_bound_how_long_a_worker_is_blocked() {
    let mut scene = Scene::new(&[]);
    for _ in 0..100 {
        scene.admit(Ask::auto(700)).unwrap();
    }
    scene.now += Duration::from_secs(10);
    scene.queue(Ask::auto(100_000));
    let decision = scene.decide();
    assert_eq!((decision.ceiling, decision.reason), (width("0.75"), CeilingReason::Budget));
    assert_eq!(decision.batch[0].reason, WidthReason::Budget);
}

#[test]
fn the_ceiling_falls_at_once_and_rises_when_it_has_been_good_for_a_while() {
    let mut scene = Scene::new(&[]);
    scene.admit(Ask::auto(10_000)).unwrap();
    let ceiling = |scene: &mut Scene, jobs: usize, slack: u64| {
        scene.queue = VecDeque::from(vec![Ask::auto(slack).at(scene.now); jobs]);
        let decision = scene.decide();
        (decision.ceiling.to_string(), decision.reason)
    };
    assert_eq!(ceiling(&mut scene, 1, 10_000), ("1".into(), CeilingReason::Full));
    assert_eq!(ceiling(&mut scene, 16, 4000), ("0.5".into(), CeilingReason::Load));
    scene.now += us(2000);
    assert_eq!(ceiling(&mut scene, 1, 10_000), ("0.5".into(), CeilingReason::Holding));
    // A third of a budget after it was needed last.
    scene.now += us(1001);
    assert_eq!(ceiling(&mut scene, 1, 10_000), ("1".into(), CeilingReason::Full));
}

#[test]
fn a_little_wider_takes_longer_to_come_back() {
    let mut scene = Scene::new(&[]);
    scene.policy = WidestFit::new(settings(4), Tuning { leap: Ratio(0.3), ..Tuning::default() });
    scene.admit(Ask::auto(10_000)).unwrap();
    let ceiling = |scene: &mut Scene, jobs: usize, slack: u64| {
        scene.queue = VecDeque::from(vec![Ask::auto(slack).at(scene.now); jobs]);
        scene.decide().ceiling.to_string()
    };
    assert_eq!(ceiling(&mut scene, 10, 4500), "0.75");
    // Three budgets of 10 ms instead of a third of one.
    scene.now += us(30_000);
    assert_eq!(ceiling(&mut scene, 1, 10_000), "0.75");
    scene.now += us(1);
    assert_eq!(ceiling(&mut scene, 1, 10_000), "1");
}

#[test]
fn admission_keeps_a_reserve() {
    let mut scene = Scene::new(&[Ask::auto(900); 6]);
    scene.policy = WidestFit::new(
        settings(4),
        Tuning { margin: Ratio(0.0), initial_margin: Ratio(0.0), min_reserve: Ratio(0.25), ..Tuning::default() },
    );
    // It would end after 700 us.
    assert!(scene.admit(Ask::auto(930)).is_err());
    assert_eq!(scene.admit(Ask::auto(940)), Ok(()));
    // Promises were broken, so that more of the time is kept.
    scene.policy.finished(0, 20);
    assert!(scene.admit(Ask::auto(1070)).is_err());
    assert_eq!(scene.admit(Ask::auto(1090)), Ok(()));
    scene.policy.finished(10_000, 0);
    assert_eq!(scene.admit(Ask::auto(940)), Ok(()));
}

#[test]
fn the_reserve_of_an_overload_ends_with_it() {
    let mut scene = Scene::new(&[Ask::auto(900); 6]);
    scene.policy = WidestFit::new(settings(4), Tuning::default());
    let least = scene.policy.reserve();
    scene.policy.finished(0, 20);
    let raised = scene.policy.reserve();
    assert!(raised > least);
    assert_eq!(scene.decide().ceiling, width("0.25"));
    assert_eq!(scene.policy.reserve(), raised);
    // Somebody who insists on a width says nothing of the others.
    scene.queue = VecDeque::from(vec![Ask::auto(10_000).pinned("1").at(scene.now)]);
    scene.now += us(100);
    assert!(scene.decide().ceiling > width("0.25"));
    assert_eq!(scene.policy.reserve(), raised);
    scene.queue = VecDeque::from(vec![Ask::auto(10_000).at(scene.now)]);
    assert!(scene.decide().ceiling > width("0.25"));
    assert_eq!(scene.policy.reserve(), least);
    scene.policy.finished(0, 20);
    scene.policy.idle(scene.now);
    assert_eq!(scene.policy.reserve(), least);
}

#[test]
fn the_reserve_stays_for_a_budget_after_a_job_was_refused() {
    let mut scene = Scene::new(&[]);
    scene.policy = WidestFit::new(settings(4), Tuning::default());
    assert_eq!(scene.admit(Ask::auto(900)), Ok(()));
    scene.policy.finished(0, 20);
    let raised = scene.policy.reserve();
    assert!(scene.admit(Ask::auto(50)).is_err());
    scene.policy.idle(scene.now + us(899));
    assert_eq!(scene.policy.reserve(), raised);
    scene.policy.idle(scene.now + us(900));
    assert!(scene.policy.reserve() < raised);
}

#[test]
fn many_arrivals_narrow_before_they_wait() {
    let mut scene = Scene::new(&[]);
    for _ in 0..100 {
        scene.now += us(200);
        scene.admit(Ask::auto(10_000)).unwrap();
    }
    scene.queue(Ask::auto(10_000));
    let decision = scene.decide();
    // 100 arrive in two budgets: 200 us each leave room in three.
    assert_eq!((decision.ceiling, decision.reason), (width("0.5"), CeilingReason::Arrivals));
}

#[test]
fn a_queue_that_would_overflow_narrows_however_long_the_budgets_are() {
    let mut scene = Scene::new(&[]);
    scene.policy = WidestFit::new(QueueSettings { max_queue: 20, ..settings(4) }, Tuning::default());
    for _ in 0..100 {
        scene.now += us(200);
        scene.admit(Ask::auto(60_000_000)).unwrap();
    }
    let ceiling = |scene: &mut Scene, jobs: usize| {
        scene.queue = VecDeque::from(vec![Ask::auto(60_000_000).at(scene.now); jobs]);
        scene.decide().ceiling.to_string()
    };
    // Half of the queue fills in 1800 us. With twice that, 18 arrivals, three times that must do.
    assert_eq!([1, 9, 20].map(|jobs| ceiling(&mut scene, jobs)), ["0.5", "0.25", "0.25"]);
}

#[test]
fn admission_refuses_what_would_be_late_with_the_time_to_wait() {
    let mut scene = Scene::new(&[Ask::auto(1000); 8]);
    scene.busy = vec![scene.now + us(100)];
    assert_eq!(scene.admit(Ask::auto(1000)), Ok(()));
    scene.queue(Ask::auto(1000));
    // The worker is free after 100 us and the others take 900: it would end after 1100, or make another end then.
    for slack in [1000, 600] {
        let refused = scene.admit(Ask::auto(slack)).unwrap_err();
        assert_eq!(refused.wait, us(1100 - slack));
    }
    // Whose priority is higher takes the place of others.
    let high = Ask { priority: Priority::High, ..Ask::auto(600) };
    assert_eq!(scene.admit(high), Ok(()));
    // Decoding counts.
    assert_eq!(scene.admit(Ask::auto(2000).encoded(900)), Ok(()));
    assert_eq!(scene.admit(Ask::auto(2000).encoded(950)).unwrap_err().wait, us(50));
}

#[test]
fn a_target_that_has_passed_is_answered_and_narrows_nobody() {
    let mut scene = Scene::new(&[Ask::target(10_000)]);
    scene.now += us(20_000);
    let decision = scene.decide();
    assert_eq!((widths_of(&decision), decision.shed), (vec!["1".into()], vec![]));
    // A backlog that is overdue runs at the width at which it ends within one more budget: 20 jobs in 6 ms.
    let mut scene = Scene::new(&[Ask::target(6000); 20]);
    scene.now += us(50_000);
    let decision = scene.decide();
    assert_eq!((widths_of(&decision)[0].as_str(), decision.shed), ("0.75", vec![]));
}

#[test]
fn a_target_narrows_as_a_firm_deadline_does() {
    let firm = Scene::new(&[Ask::auto(6000); 20]).decide();
    let target = Scene::new(&[Ask::target(6000); 20]).decide();
    assert_eq!(widths_of(&firm), widths_of(&target));
}

#[test]
fn a_queue_refuses_targets_once_it_is_longer_than_they_are() {
    let accepted = |workers: usize| {
        let mut scene = Scene::new(&[]);
        scene.workers = workers;
        let ask = Ask::target(10_000);
        let mut count = 0;
        while scene.admit(ask).is_ok() {
            scene.queue(ask);
            count += 1;
        }
        let wait = scene.admit(ask).unwrap_err().wait;
        assert!(wait <= us(1000), "{wait:?}");
        count
    };
    // A quarter of the width takes 100 us, and a third of the target is kept.
    assert_eq!((accepted(1), accepted(2)), (67, 134));
}

#[test]
fn only_a_crowded_queue_lets_a_higher_priority_displace_a_target() {
    let displaced = |waiting: usize| {
        let mut scene = Scene::new(&vec![Ask { priority: Priority::Low, ..Ask::target(3000) }; waiting]);
        scene.queue(Ask { priority: Priority::High, ..Ask::auto(5600) });
        let shed = scene.decide().shed;
        let low = shed.iter().filter(|&&place| scene.queue[place].priority == Priority::Low).count();
        (low, shed.len() - low)
    };
    assert_eq!([20, 63, 65].map(displaced), [(0, 0), (0, 1), (10, 0)]);
}

#[test]
fn the_margin_is_kept_from_plans_and_is_larger_until_the_profile_is_known() {
    let mut scene = Scene::new(&[]);
    scene.policy = WidestFit::new(
        settings(4),
        Tuning { margin: Ratio(0.25), initial_margin: Ratio(0.5), initial_batches: 10, ..Tuning::default() },
    );
    let ceiling = |scene: &mut Scene| {
        scene.queue = VecDeque::from(vec![Ask::auto(1200).at(scene.now); 2]);
        scene.decide().ceiling.to_string()
    };
    assert_eq!(ceiling(&mut scene), "0.75");
    for _ in 0..10 {
        scene.profiles[0].record([Width::FULL], us(400));
    }
    scene.now += Duration::from_secs(1);
    assert_eq!(ceiling(&mut scene), "1");
}

fn any_ask(models: usize) -> impl Strategy<Value = Ask> {
    let widths = prop_oneof![
        4 => Just(Widths::From { step: 0 }),
        1 => (0usize..4).prop_map(|step| Widths::From { step }),
        1 => (1u32..=1_000_000).prop_map(|millionths| {
            let width = Width::from_millionths(millionths).unwrap();
            Widths::Pinned { width, step: profile().covering(width) }
        }),
    ];
    let priority = prop_oneof![Just(Priority::Low), Just(Priority::Normal), Just(Priority::High)];
    let stage = prop_oneof![
        6 => Just(Stage::Decoded),
        1 => Just(Stage::Decoding),
        1 => (0u64..300).prop_map(|takes| Stage::Encoded { takes: us(takes) }),
    ];
    (0..models, 0u64..6000, widths, priority, stage).prop_map(|(model, slack, widths, priority, stage)| Ask {
        model,
        slack: us(slack),
        widths,
        kind: DeadlineKind::Firm,
        priority,
        stage,
    })
}

/// Any queue of up to `jobs`, workers, and what came before.
fn any_scene(models: usize, jobs: usize) -> impl Strategy<Value = Scene> {
    let asks = prop::collection::vec(any_ask(models), 0..jobs);
    let setups = prop::collection::vec((0u64..80, 20u64..120), models);
    let traffic = prop::collection::vec((1u64..2000, 500u64..9000), 0..20);
    let busy = prop::collection::vec(0u64..900, 0..4);
    let before = prop::collection::vec(any_ask(models), 0..6);
    (asks, setups, traffic, busy, before, 1usize..3, 1usize..8).prop_map(
        |(asks, setups, traffic, busy, before, idle, max_batch)| {
            let mut scene = Scene::new(&[]);
            scene.policy =
                WidestFit::new(settings(max_batch), Tuning { max_batch_time: Ratio(0.5), ..Tuning::default() });
            scene.profiles = setups.into_iter().map(|(setup, item)| measured([setup, item], true)).collect();
            for (gap, budget) in traffic {
                scene.now += us(gap);
                let _ = scene.admit(Ask::auto(budget));
            }
            before.into_iter().for_each(|ask| scene.queue(ask));
            scene.decide();
            scene.queue.clear();
            scene.now += us(500);
            scene.workers = busy.len() + idle;
            scene.busy = busy.into_iter().map(|busy| scene.now + us(busy)).collect();
            asks.into_iter().for_each(|ask| scene.queue(ask));
            scene
        },
    )
}

/// Is there any way to cut the queue into batches, in its order, that ends in time at this step? Tries all.
fn naive_feasible(scene: &Scene, step: usize, max_batch: usize, longest: f64) -> bool {
    let costs = scene.profiles[0].costs();
    let margin = Tuning::default().initial_margin.0;
    let alone = |demand: &JobConstraints| costs[demand.span(costs.len()).0].single();
    let jobs: Vec<(u64, u64, usize)> = scene
        .queue
        .iter()
        .filter(|demand| Duration::from_nanos(alone(demand)) <= demand.deadline - scene.now)
        .map(|demand| {
            let slack = (demand.deadline - scene.now).as_nanos() as u64;
            let (least, widest) = demand.span(costs.len());
            let decoding = (demand.stage.remaining().as_nanos() as u64).min(slack - costs[least].single());
            let planned_slack = slack - slack / 1024 * ((margin * 1024.0) as u64);
            let planned_slack = planned_slack.max(costs[least].single() + decoding).min(slack);
            let fits = |step: &usize| costs[*step].single() + decoding <= planned_slack;
            let hurry = (least..=widest).rev().find(fits).unwrap_or(least);
            let step = step.clamp(least, hurry.max(least));
            (planned_slack, costs[step].item + decoding, least)
        })
        .collect();
    let widest = jobs.iter().map(|job| job.2).max().unwrap_or(0).max(step);
    let setup = costs[widest].setup;
    let free: Vec<u64> = (0..scene.workers)
        .map(|worker| scene.busy.get(worker).map_or(0, |at| (*at - scene.now).as_nanos() as u64))
        .collect();
    // When the workers have done `work`, each from when it is free: the first time at which all of it is covered.
    let covered = |work: u64, time: u64| free.iter().map(|&free| time.saturating_sub(free)).sum::<u64>() >= work;
    let starts = |work: u64, time: u64| free.iter().any(|&free| free <= time) && covered(work, time);
    if jobs.is_empty() {
        return true;
    }
    (0u32..1 << (jobs.len() - 1)).any(|cuts| {
        let (mut work, mut batch) = (0, Vec::new());
        (0..jobs.len()).all(|place| {
            batch.push(jobs[place]);
            if place + 1 < jobs.len() && cuts >> place & 1 == 0 {
                return true;
            }
            let length = setup + batch.iter().map(|job| job.1).sum::<u64>();
            let small = batch.len() == 1 || (batch.len() <= max_batch && length as f64 <= longest);
            let due = batch.iter().map(|job| job.0).min().unwrap();
            let in_time = small && length <= due && starts(work, due - length);
            work += length;
            batch.clear();
            in_time
        })
    })
}

/// The pool and backlog that a scene's decision sees, for a largest batch.
fn seen(scene: &Scene, max_batch: usize, longest: u64) -> (Backlog, WorkerPool) {
    let (mut backlog, mut pool) = (Backlog::default(), WorkerPool::default());
    let busy = scene.busy.iter().map(|&at| (at - scene.now).as_nanos() as u64);
    pool.set(busy.chain(std::iter::repeat_n(0, scene.workers - scene.busy.len())), max_batch, longest);
    let margin = (Tuning::default().initial_margin.0 * 1024.0) as u64;
    backlog.fill(scene.view(), |_| margin);
    (backlog, pool)
}

#[test]
fn one_job_that_is_late_does_not_narrow_the_others() {
    let decision = Scene::new(&[Ask::auto(99), Ask::auto(10_000)]).decide();
    assert_eq!((decision.shed.as_slice(), widths_of(&decision)), (&[0][..], vec!["1".into()]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_job_is_in_one_place_and_the_batch_is_in_the_order_of_deadlines(mut scene in any_scene(3, 40)) {
        let decision = scene.decide();
        let batch = places(&decision);
        prop_assert!(batch.is_sorted_by(|a, b| a < b) && decision.shed.is_sorted_by(|a, b| a < b));
        prop_assert!(batch.iter().chain(&decision.shed).all(|&place| place < scene.queue.len()));
        prop_assert!(batch.iter().all(|place| !decision.shed.contains(place)));
        let could = |place: &usize| scene.queue[*place].stage == Stage::Decoded && !decision.shed.contains(place);
        let ready = (0..scene.queue.len()).find(could);
        if decision.decode.is_empty() {
            prop_assert_eq!(batch.first().copied(), ready);
        }
        for &place in &decision.decode {
            prop_assert!(batch.is_empty() && !decision.shed.contains(&place));
            let encoded = matches!(scene.queue[place].stage, Stage::Encoded { .. });
            prop_assert!(encoded);
            prop_assert!(ready.is_none_or(|ready| place < ready));
        }
        if let Some(&first) = batch.first() {
            let model = scene.queue[first].model;
            let same = (0..scene.queue.len()).filter(could).filter(|&place| scene.queue[place].model == model);
            prop_assert_eq!(&batch, &same.take(batch.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_job_is_wider_than_it_asked_or_narrower_than_it_allows(mut scene in any_scene(3, 40)) {
        let decision = scene.decide();
        for job in &decision.batch {
            let demand = &scene.queue[job.index];
            let profile = &scene.profiles[demand.model];
            match demand.widths {
                Widths::Pinned { width, .. } => prop_assert_eq!(job.width, width),
                Widths::From { step } => {
                    prop_assert!(job.width >= profile.width(step));
                    prop_assert!(job.width <= decision.ceiling || job.width == profile.width(step));
                }
            }
        }
    }

    #[test]
    fn the_first_of_a_batch_is_answered_in_time(mut scene in any_scene(2, 40)) {
        let decision = scene.decide();
        if let Some(first) = decision.batch.first() {
            prop_assert!(scene.now + decision.predicted <= scene.queue[first.index].deadline);
        }
    }

    #[test]
    fn more_jobs_never_give_a_wider_ceiling(scene in any_scene(1, 30), more in any_ask(1)) {
        let (mut less, mut busier) = (scene.clone(), scene);
        less.queue.iter_mut().chain(&mut busier.queue).for_each(|job| job.stage = Stage::Decoded);
        busier.queue(Ask { stage: Stage::Decoded, ..more });
        let empty = less.queue.is_empty();
        let (less, busier) = (less.decide(), busier.decide());
        // An empty queue decides nothing; and who sheds jobs has fewer to serve.
        if !empty && less.shed.is_empty() {
            prop_assert!(busier.ceiling <= less.ceiling, "{} then {}", less.ceiling, busier.ceiling);
        }
    }

    #[test]
    fn a_busier_server_never_has_a_wider_ceiling(scene in any_scene(1, 30), worker in 0usize..4, longer in 1u64..2000) {
        let mut busier = scene.clone();
        let idle = busier.workers - busier.busy.len();
        match busier.busy.get_mut(worker) {
            Some(until) => *until += us(longer),
            // One is left to ask.
            None if idle > 1 => busier.busy.push(busier.now + us(longer)),
            None => prop_assume!(false),
        }
        let (less, busier) = (scene.clone().decide(), busier.decide());
        prop_assert!(busier.ceiling <= less.ceiling);
    }

    #[test]
    fn a_queue_that_the_narrowest_widths_can_answer_is_answered(scene in any_scene(1, 9)) {
        let longest = u64::MAX;
        let (backlog, pool) = seen(&scene, 3, longest);
        let ready = backlog.jobs.iter().any(|item| item.is_waiting());
        if ready && backlog.work(&[0], &scene.profiles, &pool).is_some() {
            let mut alike = scene.clone();
            // No traffic: nothing but the backlog decides.
            alike.policy = WidestFit::new(settings(3), Tuning::default());
            let decision = alike.decide();
            prop_assert_eq!(decision.shed, backlog.shed);
            prop_assert_ne!(decision.reason, CeilingReason::Overload);
            let step = scene.profiles[0].within(decision.ceiling);
            prop_assert!(naive_feasible(&scene, step, 3, f64::INFINITY));
            // And no wider step would do.
            if step < 3 {
                prop_assert!(!naive_feasible(&scene, step + 1, 3, f64::INFINITY));
            }
        }
    }

    #[test]
    fn a_forecast_finds_batches_that_end_in_time_if_there_are_any(
        scene in any_scene(1, 9), step in 0usize..4, max_batch in 1usize..5, longest_us in 0u64..1500,
    ) {
        let longest = longest_us * 1000;
        let (backlog, pool) = seen(&scene, max_batch, longest);
        let found = backlog.work(&[step], &scene.profiles, &pool).is_some();
        prop_assert_eq!(found, naive_feasible(&scene, step, max_batch, longest as f64));
    }

    #[test]
    fn work_grows_with_the_width(scene in any_scene(2, 30)) {
        let (backlog, pool) = seen(&scene, 4, 1_000_000);
        let work: Vec<_> = (0..4).map(|step| backlog.work(&[step, step], &scene.profiles, &pool)).collect();
        for pair in work.windows(2) {
            match pair {
                [Some(narrow), Some(wide)] => prop_assert!(narrow <= wide),
                [None, Some(_)] => prop_assert!(false, "a wider step holds and a narrower does not"),
                _ => {}
            }
        }
    }

    #[test]
    fn who_is_accepted_takes_the_place_of_lower_priorities_only(mut scene in any_scene(1, 30), ask in any_ask(1)) {
        // Jobs that are alike: forecasts of giving up are exact. Whose arrival does not change how long batches may be.
        scene.policy = WidestFit::new(settings(4), Tuning { max_batch_time: Ratio(f64::INFINITY), ..Tuning::default() });
        let alike = Widths::From { step: 0 };
        scene.queue.iter_mut().for_each(|demand| (demand.stage, demand.widths) = (Stage::Decoded, alike));
        let ask = Ask { widths: alike, stage: Stage::Decoded, ..ask };
        let already = scene.clone().decide().shed.len();
        if already == 0 && scene.admit(ask).is_ok() {
            scene.queue(ask);
            let decision = scene.decide();
            for &place in &decision.shed {
                prop_assert!(scene.queue[place].priority < ask.priority);
            }
        }
    }

    #[test]
    fn a_target_is_never_shed_for_being_late(
        mut scene in any_scene(3, 30), targets in prop::collection::vec(any::<bool>(), 30), later in 0u64..20_000,
    ) {
        for (demand, target) in scene.queue.iter_mut().zip(targets) {
            *demand = if target { demand.with_target() } else { *demand };
        }
        scene.now += us(later);
        let decision = scene.decide();
        for &place in &decision.shed {
            prop_assert_eq!(scene.queue[place].deadline_kind, DeadlineKind::Firm);
        }
        // Whoever is left is still decoded or run.
        let ready = (0..scene.queue.len()).filter(|place| !decision.shed.contains(place));
        let ready = ready.filter(|&place| scene.queue[place].stage == Stage::Decoded).count();
        prop_assert!(ready == 0 || !decision.batch.is_empty() || !decision.decode.is_empty());
    }

    #[test]
    fn no_estimate_refuses_a_target_where_few_jobs_wait(
        mut scene in any_scene(1, 6), ask in any_ask(1), slower in 1u32..100, takes_ms in 0u64..5000,
    ) {
        for _ in 0..200 {
            scene.profiles[0].record([Width::FULL], us(400) * slower);
        }
        for demand in &mut scene.queue {
            demand.stage = Stage::Encoded { takes: Duration::from_millis(takes_ms) };
        }
        scene.busy.iter_mut().for_each(|until| *until += Duration::from_millis(takes_ms));
        let ask = Ask { kind: DeadlineKind::Target, ..ask };
        prop_assert_eq!(scene.admit(ask), Ok(()));
    }

    #[test]
    fn an_idle_server_accepts_all_that_can_be_met(mut scene in any_scene(1, 2), ask in any_ask(1)) {
        (scene.queue, scene.busy) = (VecDeque::new(), vec![]);
        let least = scene.profiles[0].costs()[ask.at(scene.now).span(4).0].single();
        let outcome = scene.admit(ask);
        prop_assert_eq!(outcome.is_ok(), Duration::from_nanos(least) <= ask.slack);
    }
}
