//! Checks that reports are well-formed, complete, and escape untrusted text.

use proptest::prelude::*;
use roxmltree::Document;

use super::*;
use crate::compare::{self, Named};
use crate::models::{Accuracy, WidthAccuracy};
use crate::results::*;
use crate::units::Units;

/// A run of `count` intervals; `text` fills every field that comes from a server.
pub(crate) fn run(count: usize, text: &str) -> Results {
    let width = |number: f64| number.try_into().unwrap();
    let times = Percentiles { mean: 4.25, p50: 4.0, p90: 9.0, p99: 40.125, p999: 60.5, max: 61.0 };
    let tally = || vec![Tally { what: text.to_owned(), count: 3 }];
    let interval = |index: usize| Interval {
        at_s: index as f64 / 10.0,
        counts: Counts { offered: 20, on_time: 10, late: 4, refused: 3, failed: 2, not_sent: 1 },
        // Every third interval has no answer.
        width: (!index.is_multiple_of(3))
            .then_some(Spread { mean: 0.5, shares: [0.0, 0.6, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4] }),
        latency_ms: (!index.is_multiple_of(3)).then_some(times),
        lateness_ms: Some(times),
    };
    let n = count as u64;
    Results {
        format: FORMAT,
        version: text.to_owned(),
        command: vec!["anywidth-load".to_owned(), text.to_owned()],
        started_at_unix_s: 1_700_000_000,
        setup: Setup {
            url: text.to_owned(),
            model: Some(text.to_owned()),
            accuracy: Accuracy::new(vec![WidthAccuracy { width: width(0.5), accuracy: 0.75 }]),
            arrivals: text.to_owned(),
            seed: u64::MAX,
            units: Some(Units { capacity_per_s: 1530.25, image_ms: 0.701 }),
            deadlines_ms: vec![12.5, 50.0],
            max_outstanding: 512,
        },
        interrupted: true,
        totals: Totals {
            duration_s: n as f64 / 10.0,
            counts: Counts {
                offered: 20 * n,
                on_time: 10 * n,
                late: 4 * n,
                refused: 3 * n,
                failed: 2 * n,
                not_sent: n,
            },
            attainment: (count > 0).then_some(0.5),
            mean_width: (count > 1).then_some(0.5),
            mean_accuracy: (count > 1).then_some(0.75),
            effective_accuracy: (count > 0).then_some(0.375),
            labelled_accuracy: (count > 1).then_some(0.8),
            labelled_effective_accuracy: (count > 0).then_some(0.4),
            latency_ms: (count > 1).then_some(times),
            refusal_ms: None,
            lateness_ms: Some(times),
        },
        widths: vec![AtWidth { width: width(0.5), answers: 14 * n, on_time: 10 * n }],
        reasons: tally(),
        refusals: tally(),
        failures: tally(),
        interval_s: 0.1,
        intervals: (0..count).map(interval).collect(),
        samples: (0..count)
            .map(|index| Sample { at_s: index as f64 / 10.0, queue_length: Some(3.0), outstanding: 7 })
            .collect(),
        warnings: vec![text.to_owned()],
    }
}

/// All cells of a page's tables.
fn cells(page: &Document<'_>) -> Vec<String> {
    let cells = page.descendants().filter(|node| node.has_tag_name("td"));
    cells.map(|cell| cell.text().unwrap_or_default().to_owned()).collect()
}

/// Parses a page without its doctype line, which XML does not allow.
fn parse(page: &str) -> Document<'_> {
    Document::parse(page.strip_prefix("<!DOCTYPE html>\n").unwrap()).unwrap()
}

#[test]
fn a_page_says_what_was_found_and_needs_nothing_from_elsewhere() {
    let run = run(30, "plain words");
    let text = page(&run);
    let page = parse(&text);
    let cells = cells(&page);
    for wanted in ["50.00 %", "37.50 %", "600", "40.12 ms", "75.00 %", "plain words", "420"] {
        assert!(cells.iter().any(|cell| cell == wanted), "{wanted:?} is not in {cells:?}");
    }
    assert!(text.contains("Capacity at full width: 1,530 requests per second; one image takes 0.701 ms."));
    let figures = page.descendants().filter(|node| node.tag_name().name() == "svg").count();
    assert_eq!(figures, 4);
    for node in page.descendants() {
        assert!(!["script", "link", "img", "iframe"].contains(&node.tag_name().name()), "{node:?}");
        assert!(node.attributes().all(|attribute| !["src", "href"].contains(&attribute.name())), "{node:?}");
    }
    assert!(!text.contains("url(") && !text.contains("@import"));
}

#[test]
fn charts_stand_alone() {
    let load = [
        "Requests per second",
        "offered",
        "answered on time",
        "capacity at full width",
        "Width of the answers",
        "share of the answers",
    ];
    let all = [&load[..], &["Latency in milliseconds", "Waiting", "refused"]].concat();
    for (text, wanted) in [(chart(&run(30, "words")), &load[..]), (charts(&run(30, "words")), &all)] {
        let svg = Document::parse(&text).unwrap();
        let says = |wanted: &str| svg.descendants().any(|node| node.text() == Some(wanted));
        assert!(wanted.iter().all(|wanted| says(wanted)), "{wanted:?}: {text}");
        // The SVG draws its own background.
        assert!(text.contains("prefers-color-scheme:dark") && text.contains("class=\"f-ground\""));
    }
    assert!(!chart(&run(30, "words")).contains("Waiting") && !page(&run(30, "words")).contains("class=\"f-ground\""));
}

#[test]
fn every_colour_that_is_used_is_there() {
    let text = charts(&run(30, "words"));
    let svg = Document::parse(&text).unwrap();
    let style = svg.descendants().find(|node| node.tag_name().name() == "style").unwrap().text().unwrap();
    let classes = svg.descendants().filter_map(|node| node.attribute("class")).flat_map(str::split_whitespace);
    for class in classes.filter(|class| *class != "load") {
        assert!(style.contains(&format!(".{class}{{")), "{class}");
    }
}

#[test]
fn the_capacity_is_drawn_where_it_is_known() {
    let mut run = run(6, "words");
    let lines = |run: &Results| chart(run).matches("class=\"level s-capacity\"").count();
    assert_eq!(lines(&run), 1);
    // 200 requests per second were offered; the axis must reach the capacity.
    assert!(chart(&run).contains(">1,500</text>"), "{}", chart(&run));
    run.setup.units = None;
    assert_eq!((lines(&run), chart(&run).contains(">1,500</text>")), (0, false));
}

#[test]
fn a_line_is_interrupted_where_nothing_was_answered() {
    let lines = |run: &Results| charts(run).matches("class=\"line s-width\"").count();
    let mut run = run(6, "words");
    // Gaps at 0 and 3 leave two lines.
    assert_eq!(lines(&run), 2);
    run.intervals[1].width = None;
    assert_eq!(lines(&run), 2);
    run.intervals.iter_mut().for_each(|interval| interval.width = None);
    assert_eq!(lines(&run), 0);
}

#[test]
fn what_is_seen_after_the_plans_end_is_not_drawn() {
    let mut run = run(6, "words");
    let drawn = charts(&run);
    run.samples.push(Sample { at_s: 60.0, queue_length: Some(3.0), outstanding: 7 });
    assert_eq!(charts(&run), drawn);
}

#[test]
fn two_runs_stand_side_by_side_on_the_same_axes() {
    let (left, mut right) = (run(30, "words"), run(30, "words"));
    right.totals.attainment = Some(0.75);
    right.totals.counts.on_time *= 2;
    right.setup.seed = 2;
    let pair = [Named { name: "full <width>", run: &left }, Named { name: "any", run: &right }];
    let text = compare::text(pair);
    let line = |label: &str| text.lines().find(|line| line.trim_start().starts_with(label)).unwrap().to_owned();
    assert!(line("SLO attainment").ends_with("50.00 %    75.00 %   +25.00 points"), "{text}");
    assert!(line("on time").ends_with("+100.0 %") && line("late").ends_with("0 %"), "{text}");
    assert!(text.contains("Warning: The runs had different arrivals"), "{text}");

    let text = compare::page(pair);
    let page = parse(&text);
    assert!(cells(&page).contains(&"+25.00 points".to_owned()));
    assert_eq!(page.descendants().filter(|node| node.tag_name().name() == "svg").count(), 8);
    let headings: Vec<_> =
        page.descendants().filter(|node| node.has_tag_name("h2")).filter_map(|node| node.text()).collect();
    assert_eq!(headings, ["full <width>", "any"]);
}

#[test]
fn a_file_of_another_kind_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = |text: &str| {
        let path = folder.path().join("run.json");
        std::fs::write(&path, text).unwrap();
        Results::read(&path).unwrap_err().to_string()
    };
    assert!(error("hello").contains("run.json is not a run written by --json: expected value at line 1"));
    assert!(error("{\"format\":2}").ends_with("run.json has format 2: this program reads format 1"));
    assert!(error("{\"format\":1}").contains("missing field"));
    let absent = Results::read(&folder.path().join("absent")).unwrap_err().to_string();
    assert!(absent.contains("cannot read") && absent.contains("absent"), "{absent}");
}

proptest! {
    #[test]
    fn server_text_is_escaped(words in "\\PC{0,40}|[<>&\"'\\x00-\\x1f]{0,40}", count in 0usize..5) {
        let run = run(count, &words);
        let text = page(&run);
        let page = parse(&text);
        prop_assert_eq!(page.descendants().filter(|node| node.tag_name().name() == "li").count(), 1);
        Document::parse(&charts(&run)).unwrap();
        parse(&compare::page([Named { name: &words, run: &run }, Named { name: "b", run: &run }]));
        prop_assert!(!summary(&run).chars().any(|character| character.is_control() && character != '\n'));
    }

    #[test]
    fn a_run_survives_being_written(words in any::<String>(), count in 0usize..5) {
        let (run, folder) = (run(count, &words), tempfile::tempdir().unwrap());
        let path = folder.path().join("run.json");
        std::fs::write(&path, run.to_json()).unwrap();
        prop_assert_eq!(Results::read(&path).unwrap(), run);
    }
}
