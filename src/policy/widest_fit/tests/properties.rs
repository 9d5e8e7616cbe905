//! What holds for any queue, workers and traffic.

use proptest::prelude::*;

use super::*;

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
    let setups = prop::collection::vec((0u64..80, 20u64..120, any::<bool>()), models);
    let traffic = prop::collection::vec((1u64..2000, 500u64..9000), 0..20);
    let busy = prop::collection::vec(0u64..900, 0..4);
    let before = prop::collection::vec(any_ask(models), 0..6);
    (asks, setups, traffic, busy, before, 1usize..3, 1usize..8).prop_map(
        |(asks, setups, traffic, busy, before, idle, max_batch)| {
            let mut scene = Scene::new(&[]);
            scene.policy =
                WidestFit::new(settings(max_batch), Tuning { max_batch_time: Ratio(0.5), ..Tuning::default() });
            let profile = |(setup, item, priced)| {
                let profile = measured([setup, item], true);
                if priced { profile.with_gain(&gain()) } else { profile }
            };
            scene.profiles = setups.into_iter().map(profile).collect();
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
    backlog.fill(scene.view(), |profile| (margin, profile.costs().len() - 1));
    (backlog, pool)
}

/// The same scene with models that lack gain tables: a level is a step.
fn without_prices(scene: Scene) -> Scene {
    let plain = |profile: &Profile| {
        let [setup, item] = [profile.costs()[0].setup, profile.costs()[0].item].map(|nanoseconds| nanoseconds / 1000);
        measured([setup, item], true)
    };
    Scene { profiles: scene.profiles.iter().map(plain).collect(), ..scene }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn at_a_price_jobs_start_at_what_they_allow_and_may_become_as_wide_as_they_have_time_for(mut scene in any_scene(2, 40)) {
        let decision = scene.decide();
        for job in decision.exits.iter().flat_map(|_| &decision.batch) {
            let demand = &scene.queue[job.index];
            let costs = scene.profiles[demand.model].costs();
            let step = scene.profiles[demand.model].covering(job.width);
            let slack = demand.deadline - scene.now;
            let least = demand.span(costs.len()).0;
            prop_assert!(step == least || Duration::from_nanos(costs[step].single()) <= slack);
        }
    }

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
                    let within = job.width <= decision.ceiling || job.width == profile.width(step);
                    prop_assert!(within || decision.exits.is_some());
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
    fn a_queue_that_the_narrowest_widths_can_answer_is_answered(scene in any_scene(1, 9).prop_map(without_prices)) {
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
        scene in any_scene(1, 9).prop_map(without_prices), step in 0usize..4, max_batch in 1usize..5, longest_us in 0u64..1500,
    ) {
        let longest = longest_us * 1000;
        let (backlog, pool) = seen(&scene, max_batch, longest);
        let found = backlog.work(&[step], &scene.profiles, &pool).is_some();
        prop_assert_eq!(found, naive_feasible(&scene, step, max_batch, longest as f64));
    }

    #[test]
    fn work_grows_with_the_width(scene in any_scene(2, 30)) {
        let (backlog, pool) = seen(&scene, 4, 1_000_000);
        let levels = scene.profiles.iter().map(|profile| profile.levels().len()).min().unwrap();
        let work: Vec<_> = (0..levels).map(|level| backlog.work(&[level; 2], &scene.profiles, &pool)).collect();
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
