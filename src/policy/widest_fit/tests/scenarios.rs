//! Queues for which the right decision is known.

use super::*;

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

#[test]
fn one_job_that_is_late_does_not_narrow_the_others() {
    let decision = Scene::new(&[Ask::auto(99), Ask::auto(10_000)]).decide();
    assert_eq!((decision.shed.as_slice(), widths_of(&decision)), (&[0][..], vec!["1".into()]));
}
