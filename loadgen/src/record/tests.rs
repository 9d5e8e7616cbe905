//! Compares the recorder's counts with a naive count, request by request.

use proptest::prelude::*;

use super::tallies::MAX_WORDS;
use super::*;
use crate::models::WidthAccuracy;

const INTERVAL: Duration = Duration::from_millis(100);

fn accuracy() -> Accuracy {
    let measured = |width: f64, accuracy| WidthAccuracy { width: width.try_into().unwrap(), accuracy };
    Accuracy::new(vec![measured(0.5, 0.6), measured(1.0, 0.8)])
}

fn record() -> impl Strategy<Value = Record> {
    let width = prop_oneof![Just(0.5), Just(1.0)].prop_map(|width: f64| Width::try_from(width).ok());
    let outcome = prop_oneof![
        4 => (width, any::<Option<bool>>())
            .prop_map(|(width, correct)| Outcome::Answered { width, reason: Some("load".to_owned()), correct }),
        1 => Just(Outcome::Refused("503 queue_full".to_owned())),
        1 => Just(Outcome::Failed("the connection ended early".to_owned())),
    ];
    let milliseconds = |range| prop::num::u64::ANY.prop_map(move |number| Duration::from_millis(number % range));
    let deadline = prop_oneof![Just(None), milliseconds(100).prop_map(Some)];
    let sent = (milliseconds(5), milliseconds(200), deadline, outcome)
        .prop_map(|(lateness, latency, deadline, outcome)| Attempt::Sent { lateness, latency, deadline, outcome });
    let attempt = prop_oneof![8 => sent, 1 => Just(Attempt::NotSent)];
    (milliseconds(1000), attempt).prop_map(|(at, attempt)| Record { at, attempt })
}

/// Whether an answer was on time, with its width and latency.
fn answer(record: &Record) -> Option<(bool, f64, Duration)> {
    match &record.attempt {
        Attempt::Sent { latency, deadline, outcome: Outcome::Answered { width, .. }, .. } => {
            let on_time = deadline.is_none() || *latency <= deadline.unwrap();
            Some((on_time, width.unwrap().as_f64(), *latency))
        }
        _ => None,
    }
}

fn count(records: &[Record], counts: impl Fn(&Record) -> bool) -> u64 {
    records.iter().filter(|record| counts(record)).count() as u64
}

fn by_hand(records: &[Record]) -> Counts {
    let sent = |wanted: fn(&Outcome) -> bool| {
        count(records, |record| matches!(&record.attempt, Attempt::Sent { outcome, .. } if wanted(outcome)))
    };
    Counts {
        offered: records.len() as u64,
        on_time: count(records, |record| answer(record).is_some_and(|(on_time, ..)| on_time)),
        late: count(records, |record| answer(record).is_some_and(|(on_time, ..)| !on_time)),
        refused: sent(|outcome| matches!(outcome, Outcome::Refused(_))),
        failed: sent(|outcome| matches!(outcome, Outcome::Failed(_))),
        not_sent: count(records, |record| record.attempt == Attempt::NotSent),
    }
}

fn recorded(records: &[Record]) -> Recorded {
    let mut recorder = Recorder::new(INTERVAL, accuracy());
    records.iter().cloned().for_each(|record| recorder.add(record));
    recorder.finish(Duration::from_secs(1))
}

proptest! {
    #[test]
    fn every_request_is_counted_once_and_where_it_belongs(records in prop::collection::vec(record(), 1..200)) {
        let recorded = recorded(&records);
        let Totals { counts, attainment, mean_accuracy, effective_accuracy, mean_width, .. } = &recorded.totals;
        prop_assert_eq!(*counts, by_hand(&records));
        let Counts { offered, on_time, late, refused, failed, not_sent } = *counts;
        prop_assert_eq!(offered, on_time + late + refused + failed + not_sent);

        let close = |found: Option<f64>, expected: f64| found.is_some_and(|found| (found - expected).abs() < 1e-6);
        prop_assert!(close(*attainment, on_time as f64 / offered as f64));
        let worth = |(on_time, width, _)| if on_time { if width == 0.5 { 0.6 } else { 0.8 } } else { 0.0 };
        let worth: f64 = records.iter().filter_map(answer).map(worth).sum();
        prop_assert!(close(*effective_accuracy, worth / offered as f64));
        prop_assert_eq!(mean_accuracy.is_some(), on_time > 0);
        prop_assert!(mean_accuracy.is_none() || close(*mean_accuracy, worth / on_time as f64));
        let labelled: Vec<bool> = records.iter().filter(|record| answer(record).is_some_and(|(on_time, ..)| on_time))
            .filter_map(|record| match &record.attempt {
                Attempt::Sent { outcome: Outcome::Answered { correct, .. }, .. } => *correct,
                _ => None,
            })
            .collect();
        let right = labelled.iter().filter(|&&correct| correct).count() as f64;
        let Totals { labelled_accuracy, labelled_effective_accuracy, .. } = recorded.totals;
        prop_assert_eq!(labelled_accuracy.is_some(), !labelled.is_empty());
        prop_assert!(labelled.is_empty() || close(labelled_accuracy, right / labelled.len() as f64));
        prop_assert!(labelled.is_empty() || close(labelled_effective_accuracy, right / offered as f64));
        let widths: Vec<_> = records.iter().filter_map(answer).map(|(_, width, _)| width).collect();
        prop_assert!(widths.is_empty() || close(*mean_width, widths.iter().sum::<f64>() / widths.len() as f64));

        for (index, interval) in recorded.intervals.iter().enumerate() {
            let inside = |record: &&Record| record.at.as_millis() / INTERVAL.as_millis() == index as u128;
            let inside: Vec<_> = records.iter().filter(inside).cloned().collect();
            prop_assert_eq!(interval.counts, by_hand(&inside));
            let widths = inside.iter().filter_map(answer).map(|(_, width, _)| width);
            let narrowest = widths.reduce(f64::min).map(|width| (width * 8.0 - 1e-9).floor() as usize);
            prop_assert_eq!(interval.width.and_then(|width| width.shares.iter().position(|&share| share > 0.0)), narrowest);
            prop_assert!(interval.width.is_none_or(|width| close(Some(width.shares.iter().sum()), 1.0)));
        }
    }

    #[test]
    fn a_percentile_is_a_time_that_so_many_answers_kept(records in prop::collection::vec(record(), 1..200)) {
        let mut times: Vec<_> = records.iter().filter_map(answer).map(|(.., latency)| latency.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let found = recorded(&records).totals.latency_ms;
        prop_assert_eq!(found.is_some(), !times.is_empty());
        if let Some(found) = found {
            for (quantile, found) in [(0.5, found.p50), (0.9, found.p90), (0.99, found.p99), (1.0, found.max)] {
                let rank = (quantile * times.len() as f64).ceil() as usize - 1;
                // The histogram keeps three digits, and nothing below a microsecond.
                prop_assert!((found - times[rank]).abs() <= times[rank] * 1e-3 + 1.1e-3, "{} is not {}", found, times[rank]);
            }
        }
    }

    #[test]
    fn the_order_in_which_requests_end_is_no_matter(records in prop::collection::vec(record(), 1..50)) {
        let reversed: Vec<_> = records.iter().rev().cloned().collect();
        let (forth, back) = (recorded(&records), recorded(&reversed));
        prop_assert_eq!(forth.intervals.len(), back.intervals.len());
        prop_assert_eq!(forth.totals.counts, back.totals.counts);
        prop_assert_eq!(forth.widths, back.widths);
        prop_assert_eq!(forth.totals.latency_ms.map(|times| times.p99), back.totals.latency_ms.map(|times| times.p99));
    }
}

#[test]
fn what_an_answer_is_worth_is_not_guessed() {
    let answered = |width| Record {
        at: Duration::ZERO,
        attempt: Attempt::Sent {
            lateness: Duration::ZERO,
            latency: Duration::ZERO,
            deadline: None,
            outcome: Outcome::Answered { width, reason: None, correct: None },
        },
    };
    let one_without_a_width = recorded(&[answered(Width::try_from(1.0).ok()), answered(None)]).totals;
    assert_eq!((one_without_a_width.mean_accuracy, one_without_a_width.effective_accuracy), (None, None));
    let mut recorder = Recorder::new(INTERVAL, Accuracy::default());
    recorder.add(answered(Width::try_from(1.0).ok()));
    assert_eq!(recorder.finish(Duration::ZERO).totals.effective_accuracy, None);
}

#[test]
fn a_server_with_endless_words_fills_no_memory() {
    let mut recorder = Recorder::new(INTERVAL, accuracy());
    for number in 0..1000 {
        let outcome = Outcome::Failed(number.to_string());
        let (lateness, latency) = (Duration::ZERO, Duration::ZERO);
        recorder
            .add(Record { at: Duration::ZERO, attempt: Attempt::Sent { lateness, latency, deadline: None, outcome } });
    }
    let failures = recorder.finish(Duration::ZERO).failures;
    assert_eq!(failures.len(), MAX_WORDS + 1);
    assert_eq!((failures[0].what.as_str(), failures[0].count), ("others", 900));
}
