//! The result of a run in one sentence.

use super::axis::{grouped, number};
use crate::results::{Counts, Results};

/// The number of answers on time, the outcomes of the others, and the range of widths.
pub(crate) fn verdict(run: &Results) -> String {
    let counts = &run.totals.counts;
    let many = |count: u64| grouped(count as i64);
    let on_time = match (counts.offered, counts.on_time) {
        (0, _) => return "No request was due.".to_owned(),
        (offered, on_time) if on_time == offered => format!("All {} requests were answered on time", many(offered)),
        (offered, on_time) => format!(
            "{} of {} requests ({:.2} %) were answered on time{}",
            many(on_time),
            many(offered),
            100.0 * on_time as f64 / offered as f64,
            others(counts),
        ),
    };
    format!("{on_time}{}.", width(run))
}

/// The outcomes of requests not answered on time.
fn others(counts: &Counts) -> String {
    let all =
        [(counts.late, "late"), (counts.refused, "refused"), (counts.failed, "failed"), (counts.not_sent, "not sent")];
    let some = all.iter().filter(|(count, _)| *count > 0);
    let words: Vec<_> = some.map(|(count, what)| format!("{} {what}", grouped(*count as i64))).collect();
    format!(", {}", words.join(", "))
}

fn width(run: &Results) -> String {
    match &run.widths[..] {
        [] => String::new(),
        [only] => format!("; all answers had width {}", only.width),
        [narrowest, .., widest] => {
            let mean = run.totals.mean_width.map(|mean| format!(", {} on average", number(mean))).unwrap_or_default();
            format!("; the width went from {} down to {}{mean}", widest.width, narrowest.width)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::run;
    use crate::results::AtWidth;

    #[test]
    fn the_result_is_told_in_a_sentence() {
        let mut run = run(30, "words");
        let others = "120 late, 90 refused, 60 failed, 30 not sent";
        assert_eq!(
            verdict(&run),
            format!("300 of 600 requests (50.00 %) were answered on time, {others}; all answers had width 0.5.")
        );
        run.totals.counts = Counts { offered: 20_583, on_time: 20_583, ..Counts::default() };
        run.widths.push(AtWidth { width: anywidth::engine::Width::FULL, ..run.widths[0] });
        assert_eq!(
            verdict(&run),
            "All 20,583 requests were answered on time; the width went from 1 down to 0.5, 0.5 on average."
        );
        run.totals.counts = Counts::default();
        assert_eq!(verdict(&run), "No request was due.");
    }
}
