//! Chooses a network by the arrival rate, as Model-Switching (Zhang et al., HotCloud 2020) does, but for each request.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The arrivals of the last quarter of a second, and what each network can answer.
pub struct Switch {
    /// Images per second up to which each network is used, narrowest network first.
    capacities: Vec<f64>,
    arrivals: VecDeque<Instant>,
}

const WINDOW: Duration = Duration::from_millis(250);

impl Switch {
    pub fn new(capacities: Vec<f64>) -> Switch {
        Switch { capacities, arrivals: VecDeque::new() }
    }

    /// Counts an arrival and returns the index of the widest network that sustains the rate, or of the narrowest.
    pub fn arrival(&mut self, now: Instant) -> usize {
        self.arrivals.push_back(now);
        while self.arrivals.front().is_some_and(|&first| now.duration_since(first) > WINDOW) {
            self.arrivals.pop_front();
        }
        let rate = self.arrivals.len() as f64 / WINDOW.as_secs_f64();
        self.capacities.iter().rposition(|&capacity| rate <= capacity).unwrap_or(0)
    }
}
