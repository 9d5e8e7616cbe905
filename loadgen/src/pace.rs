//! Releases every request when it is due, independent of the outcomes of earlier ones.
//!
//! Runs on its own thread: asynchronous timers have a resolution of a millisecond, which is longer than an answer
//! takes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

use crate::workload::Planned;

/// Maximum sleep, after which a closed receiver is noticed.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

/// Sends each request at its time after `start`, until the plan ends or the receiver is closed.
pub fn pace(start: Instant, plan: impl Iterator<Item = Planned>, due: &Sender<Planned>) {
    for planned in plan {
        if !wait_until(start + planned.at, due) || due.blocking_send(planned).is_err() {
            return;
        }
    }
}

/// Returns false if the receiver is closed.
fn wait_until(time: Instant, due: &Sender<Planned>) -> bool {
    loop {
        if due.is_closed() {
            return false;
        }
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        sleep(left.min(LONGEST_SLEEP));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;

    fn plan(milliseconds: &[u64]) -> Vec<Planned> {
        milliseconds.iter().map(|&at| Planned { at: Duration::from_millis(at), kind: 0, image: 0 }).collect()
    }

    #[test]
    fn nothing_is_due_before_its_time_and_nothing_is_left_out() {
        let plan = plan(&[0, 0, 2, 5, 5, 9]);
        let (due, mut received) = channel(1);
        let start = Instant::now();
        let pacer = {
            let plan = plan.clone();
            std::thread::spawn(move || pace(start, plan.into_iter(), &due))
        };
        let mut all = Vec::new();
        while let Some(planned) = received.blocking_recv() {
            assert!(start.elapsed() >= planned.at);
            all.push(planned);
        }
        pacer.join().unwrap();
        assert_eq!(all, plan);
    }

    #[test]
    fn it_ends_when_nobody_receives() {
        let (due, received) = channel(1);
        drop(received);
        // An hour from now: without the check of the receiver, this test would not end.
        pace(Instant::now(), plan(&[3_600_000]).into_iter(), &due);
    }
}
