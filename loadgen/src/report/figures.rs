//! The figures of a run.

use super::axis::Axis;
use super::colours::style;
use super::svg::{Cell, Layer, Panel, Shape, draw};
use crate::results::{Counts, Interval, Percentiles, Results, WIDTH_RANGES};

/// A figure with its caption.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) svg: String,
    pub(crate) caption: &'static str,
}

/// Ranges of the axes; shared by runs that are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scales {
    seconds: f64,
    rate: Axis,
    latency: Axis,
    waiting: Axis,
}

/// Maximum number of deadlines drawn.
const MAX_DEADLINES: usize = 3;

const LOAD_AND_WIDTH: &str = "Offered load, answers on time, and their widths: the darker, the more answers of an interval have a width; and the mean.";

/// The figures of a page with their captions.
pub(crate) fn figures(run: &Results, scales: &Scales) -> Vec<Figure> {
    let [load, width, fates, latency, waiting] = panels(run, scales);
    let figure = |panels: &[Panel], caption| Figure { svg: draw(panels, scales.seconds, caption, ""), caption };
    vec![
        figure(&[load, width], LOAD_AND_WIDTH),
        figure(&[fates], "Outcomes of the requests due in each interval."),
        figure(
            &[latency],
            "From the scheduled time of a request to the end of its answer, on a logarithmic axis, and the lateness of this generator, which is not the server's.",
        ),
        figure(&[waiting], "Images in the server's queue, and outstanding requests."),
    ]
}

/// All figures of a run in one SVG file.
pub fn charts(run: &Results) -> String {
    let scales = Scales::over(&[run]);
    draw(&panels(run, &scales), scales.seconds, "Load, width, outcome, latency and queue over time", &style())
}

/// The first figure of a run as an SVG file.
pub fn chart(run: &Results) -> String {
    let scales = Scales::over(&[run]);
    let [load, width, ..] = panels(run, &scales);
    draw(&[load, width], scales.seconds, LOAD_AND_WIDTH, &style())
}

fn panels(run: &Results, scales: &Scales) -> [Panel; 5] {
    let rates = Rates { run };
    [
        Panel { title: "Requests per second", axis: scales.rate, layers: rates.load() },
        Panel { title: "Width of the answers", axis: Axis::Linear(1.0), layers: widths(run) },
        Panel { title: "Requests per second, by outcome", axis: scales.rate, layers: rates.fates() },
        Panel { title: "Latency in milliseconds", axis: scales.latency, layers: latencies(run) },
        Panel { title: "Waiting", axis: scales.waiting, layers: waiting(run) },
    ]
}

impl Scales {
    /// Ranges that cover all of these runs.
    pub(crate) fn over(runs: &[&Results]) -> Scales {
        let largest = |of: fn(&Results) -> f64| runs.iter().map(|run| of(run)).fold(0.0, f64::max);
        Scales {
            seconds: largest(seconds).max(1e-3),
            rate: Axis::linear(largest(|run| {
                let rates = run.intervals.iter().map(|interval| interval.counts.offered as f64 / run.interval_s);
                rates.chain(capacity(run)).fold(0.0, f64::max)
            })),
            latency: Axis::log(runs.iter().flat_map(|run| times_ms(run))),
            waiting: Axis::linear(largest(|run| {
                let waiting =
                    |sample: &crate::results::Sample| sample.queue_length.unwrap_or(0.0).max(sample.outstanding as f64);
                run.samples.iter().map(waiting).fold(0.0, f64::max)
            })),
        }
    }
}

/// The end of the last interval.
fn seconds(run: &Results) -> f64 {
    run.intervals.last().map_or(0.0, |last| last.at_s + run.interval_s)
}

/// Capacity at full width in requests per second, if known.
fn capacity(run: &Results) -> Option<f64> {
    run.setup.units.map(|units| units.capacity_per_s)
}

/// Every time in the latency figure.
fn times_ms(run: &Results) -> impl Iterator<Item = f64> {
    let of = |times: &Percentiles| [times.p50, times.p99];
    let latencies = run.intervals.iter().filter_map(|interval| interval.latency_ms.as_ref()).flat_map(of);
    latencies.chain(run.setup.deadlines_ms.iter().copied())
}

/// The rates of every interval.
struct Rates<'a> {
    run: &'a Results,
}

impl Rates<'_> {
    fn load(&self) -> Vec<Layer> {
        let capacity = capacity(self.run).map(|capacity| Layer {
            colour: "capacity",
            label: "capacity at full width".to_owned(),
            shape: Shape::Level(capacity),
        });
        let rates = [
            self.between("offered", "offered", |_| 0, |counts| counts.offered),
            self.between("on-time", "answered on time", |_| 0, |counts| counts.on_time),
        ];
        rates.into_iter().chain(capacity).collect()
    }

    /// Stacked areas, whose total is the offered load.
    fn fates(&self) -> Vec<Layer> {
        type Part = fn(&Counts) -> u64;
        let parts: [(&'static str, &str, Part); 5] = [
            ("on-time", "on time", |counts| counts.on_time),
            ("late", "late", |counts| counts.late),
            ("refused", "refused", |counts| counts.refused),
            ("failed", "failed", |counts| counts.failed),
            ("not-sent", "not sent", |counts| counts.not_sent),
        ];
        let below = |count: usize| move |counts: &Counts| parts[..count].iter().map(|(_, _, part)| part(counts)).sum();
        let layer = |(index, &(colour, label, _)): (usize, &(&'static str, &str, Part))| {
            self.between(colour, label, below(index), below(index + 1))
        };
        parts.iter().enumerate().map(layer).collect()
    }

    fn between(
        &self,
        colour: &'static str,
        label: &str,
        low: impl Fn(&Counts) -> u64,
        high: impl Fn(&Counts) -> u64,
    ) -> Layer {
        let rate = |count: u64| count as f64 / self.run.interval_s;
        let value = |interval: &Interval| Some((rate(low(&interval.counts)), rate(high(&interval.counts))));
        Layer { colour, label: label.to_owned(), shape: Shape::Area(over_time(self.run, value)) }
    }
}

fn widths(run: &Results) -> Vec<Layer> {
    let mean = |interval: &Interval| interval.width.map(|width| width.mean);
    let cells = |interval: &Interval| {
        let seconds = (interval.at_s, interval.at_s + run.interval_s);
        let shares = interval.width.map_or([0.0; WIDTH_RANGES], |width| width.shares);
        let end = |range: usize| range as f64 / WIDTH_RANGES as f64;
        let cell = move |(range, share)| Cell { seconds, values: (end(range), end(range + 1)), share };
        shares.into_iter().enumerate().map(cell).filter(|cell| cell.share > 0.0)
    };
    let cells = Shape::Cells(run.intervals.iter().flat_map(cells).collect());
    vec![
        Layer { colour: "widths", label: "share of the answers".to_owned(), shape: cells },
        Layer { colour: "width", label: "mean".to_owned(), shape: Shape::Line(over_time(run, mean)) },
    ]
}

fn latencies(run: &Results) -> Vec<Layer> {
    let line = |colour, label: &str, of: fn(&Interval) -> Option<f64>| {
        let value = |interval: &Interval| of(interval);
        Layer { colour, label: label.to_owned(), shape: Shape::Line(over_time(run, value)) }
    };
    let deadlines = run.setup.deadlines_ms.iter().take(MAX_DEADLINES).enumerate().map(|(index, &deadline_ms)| Layer {
        colour: "deadline",
        label: if index == 0 { "deadline".to_owned() } else { String::new() },
        shape: Shape::Level(deadline_ms),
    });
    let lines = [
        line("lateness", "generator late, 99 %", |interval| interval.lateness_ms.map(|times| times.p99)),
        line("p50", "median", |interval| interval.latency_ms.map(|times| times.p50)),
        line("p99", "99 %", |interval| interval.latency_ms.map(|times| times.p99)),
    ];
    lines.into_iter().chain(deadlines).collect()
}

fn waiting(run: &Results) -> Vec<Layer> {
    // Answers may arrive after the last request was due.
    let samples = run.samples.iter().filter(|sample| sample.at_s <= seconds(run));
    let outstanding = samples.clone().map(|sample| (sample.at_s, Some(sample.outstanding as f64))).collect();
    let queue = samples.map(|sample| (sample.at_s, sample.queue_length)).collect();
    vec![
        Layer { colour: "outstanding", label: "outstanding".to_owned(), shape: Shape::Line(outstanding) },
        Layer { colour: "queue", label: "in the queue".to_owned(), shape: Shape::Line(queue) },
    ]
}

/// A value at the middle of every interval, extended to both ends of the run.
fn over_time<T: Copy>(run: &Results, value: impl Fn(&Interval) -> Option<T>) -> Vec<(f64, Option<T>)> {
    let (Some(first), Some(last)) = (run.intervals.first(), run.intervals.last()) else { return Vec::new() };
    let middles = run.intervals.iter().map(|interval| (interval.at_s + run.interval_s / 2.0, value(interval)));
    let ends = ((first.at_s, value(first)), (last.at_s + run.interval_s, value(last)));
    std::iter::once(ends.0).chain(middles).chain([ends.1]).collect()
}
