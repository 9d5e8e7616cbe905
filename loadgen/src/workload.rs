//! The planned requests and their contents, from one seed, before anything is sent.
//!
//! Must not know connections, clocks or answers.

use std::time::Duration;

use anywidth::engine::Width;
use form_urlencoded::Serializer;
use hyper::Uri;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::mix::Mix;

/// The contents of requests.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Path of every request.
    pub path: String,
    /// Latency budgets in milliseconds; `None` sends no budget.
    pub budgets_ms: Mix<Option<f64>>,
    /// Pinned widths; `None` leaves the choice to the server.
    pub widths: Mix<Option<Width>>,
    /// The model; `None` for the server's default.
    pub model: Option<String>,
    /// Additional query parameters, URL-encoded.
    pub query: String,
    /// Deadline for every answer, instead of its request's budget.
    pub deadline: Option<Duration>,
}

/// Requests with the same parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestKind {
    /// Path and query.
    pub uri: Uri,
    /// Maximum latency from the scheduled time that counts as on time; `None` if any does.
    pub deadline: Option<Duration>,
    /// The pinned width.
    pub width: Option<Width>,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Due time, from the start of the run.
    pub at: Duration,
    /// Its index among the [kinds](Workload::kinds).
    pub kind: usize,
    /// The index of its image.
    pub image: usize,
}

impl Workload {
    /// All pairs of a budget and a width.
    pub fn kinds(&self) -> Vec<RequestKind> {
        let of = |&budget_ms| self.widths.values().iter().map(move |&width| self.kind(budget_ms, width));
        self.budgets_ms.values().iter().flat_map(of).collect()
    }

    fn kind(&self, budget_ms: Option<f64>, width: Option<Width>) -> RequestKind {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(self.model.iter().map(|model| ("model", model)));
        query.extend_pairs(budget_ms.map(|budget_ms| ("budget_ms", budget_ms.to_string())));
        query.extend_pairs(width.map(|width| ("width", width.to_string())));
        query.extend_pairs(form_urlencoded::parse(self.query.as_bytes()));
        let uri = format!("{}?{}", self.path, query.finish());
        let uri = uri.trim_end_matches('?').parse().expect("the flag's path is checked, and the query percent-encoded");
        let deadline = self.deadline.or(budget_ms.map(|budget_ms| Duration::from_secs_f64(budget_ms / 1e3)));
        RequestKind { uri, deadline, width }
    }

    /// Assigns a budget, a width and an image to every arrival; images in turn, from one that the seed chooses.
    pub fn plan<A>(&self, arrivals: A, images: usize, seed: u64) -> impl Iterator<Item = Planned> + Send + use<A>
    where
        A: Iterator<Item = Duration> + Send,
    {
        let (budgets, widths) = (self.budgets_ms.clone(), self.widths.clone());
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // A separate stream of the same seed keeps the contents independent of the gaps.
        random.set_stream(1);
        let first = random.random_range(..images);
        arrivals.enumerate().map(move |(index, at)| {
            let kind = budgets.index_at(random.random()) * widths.values().len() + widths.index_at(random.random());
            Planned { at, kind, image: (first + index) % images }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload() -> Workload {
        Workload {
            path: "/classify".to_owned(),
            budgets_ms: Mix::read("10:3,20.5:1", |text| text.parse().map(Some).map_err(|_| String::new())).unwrap(),
            widths: Mix::read("auto:1,0.5:1", |text| Ok(text.parse().ok())).unwrap(),
            model: Some("a&b".to_owned()),
            query: "priority=high&x=a b".to_owned(),
            deadline: None,
        }
    }

    #[test]
    fn every_kind_says_what_it_asks_for_and_when_it_is_late() {
        let kinds = workload().kinds();
        let paths: Vec<_> = kinds.iter().map(|kind| kind.uri.to_string()).collect();
        assert_eq!(
            paths,
            [
                "/classify?model=a%26b&budget_ms=10&priority=high&x=a+b",
                "/classify?model=a%26b&budget_ms=10&width=0.5&priority=high&x=a+b",
                "/classify?model=a%26b&budget_ms=20.5&priority=high&x=a+b",
                "/classify?model=a%26b&budget_ms=20.5&width=0.5&priority=high&x=a+b",
            ]
        );
        assert_eq!(kinds[2].deadline, Some(Duration::from_micros(20_500)));

        let judged = Workload { deadline: Some(Duration::from_millis(7)), ..workload() };
        assert!(judged.kinds().iter().all(|kind| kind.deadline == judged.deadline));
        let plain = Workload {
            path: "/v2/infer".to_owned(),
            budgets_ms: Mix::one(None),
            widths: Mix::one(None),
            model: None,
            query: String::new(),
            deadline: None,
        };
        assert_eq!(plain.kinds(), [RequestKind { uri: Uri::from_static("/v2/infer"), deadline: None, width: None }]);
    }

    #[test]
    fn a_seed_repeats_a_plan_and_another_makes_another() {
        let arrivals = || (0..4000).map(Duration::from_millis);
        let plan = |seed| workload().plan(arrivals(), 3, seed).collect::<Vec<_>>();
        let planned = plan(7);
        assert_eq!(planned, plan(7));
        assert_ne!(planned, plan(8));
        assert!(planned.iter().map(|planned| planned.at).eq(arrivals()));
        assert!(planned.windows(2).all(|pair| pair[1].image == (pair[0].image + 1) % 3));
        // Three quarters have the first budget; 82 is three standard deviations of 4000 draws.
        let first = planned.iter().filter(|planned| planned.kind < 2).count();
        assert!(first.abs_diff(3000) < 82, "{first}");
    }
}
