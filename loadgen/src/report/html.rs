//! A run as one self-contained HTML page: no script, font or image file.

use super::axis::number;
use super::colours::style;
use super::escape::escape;
use super::figures::{Figure, Scales, figures};
use super::rows::{OF_THE_MODEL, rows};
use super::verdict::verdict;
use crate::results::{AtWidth, Results, Tally};
use crate::units::Units;

/// The page of a run.
pub fn page(run: &Results) -> String {
    let figures: String = figures(run, &Scales::over(&[run])).iter().map(Figure::html).collect();
    let totals = rows(run).into_iter().map(|row| vec![row.label.to_owned(), row.text()]).collect();
    let body = format!(
        "<h1>Load on {url}</h1>\n<p class=\"verdict\">{verdict}</p>\n<p>{setup}</p>\n{warnings}{figures}<h2>In all</h2>\n\
         {totals}<p>{OF_THE_MODEL}</p>\n{widths}{reasons}{refusals}{failures}<h2>The plan</h2>\n<p>Arrivals: {arrivals}; seed \
         {seed}.</p>\n<h2>Again</h2>\n<p>With a server at URL:</p>\n<pre>{command}</pre>\n",
        url = escape(&run.setup.url),
        verdict = escape(&verdict(run)),
        arrivals = escape(&run.setup.arrivals),
        seed = run.setup.seed,
        setup = escape(&setup(run)),
        warnings = list(&run.warnings),
        totals = table(&["figure", "value"], totals),
        widths = titled("By width", table(&["width", "answers", "on time", "accuracy of the model"], widths(run))),
        reasons = tallies("Why these widths", &run.reasons),
        refusals = tallies("Refusals", &run.refusals),
        failures = tallies("Failures", &run.failures),
        command = escape(&shell(&again(run))),
    );
    document(&format!("Load on {}", run.setup.url), &body)
}

/// A complete document, light and dark.
pub(crate) fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width\"/>\n<title>{}</title>\n\
         <style>{}{PAGE_STYLE}</style>\n</head>\n<body class=\"load\">\n{body}</body>\n</html>\n",
        escape(title),
        style(),
    )
}

const PAGE_STYLE: &str = "\
:root{color-scheme:light dark}body{color:light-dark(#1f2933,#e4e7eb);background:light-dark(#fff,#12181f);\
font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}h1{font-size:1.4rem}\
h2{font-size:1.1rem;margin-top:2rem}figure{margin:1.5rem 0}figcaption,th{color:light-dark(#616e7c,#9aa5b1)}\
figcaption{font-size:.85rem}svg{display:block;width:100%}table{border-collapse:collapse}th{font-weight:500}\
th,td{text-align:right;padding:.15rem .8rem;border-bottom:1px solid light-dark(#e4e7eb,#323f4b);\
font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left;padding-left:0}\
.verdict{font-size:1.15rem}pre,p{overflow-wrap:anywhere}pre{white-space:pre-wrap;overflow-wrap:anywhere}.warnings{border-left:4px solid #e8a33d;padding-left:2rem}\
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem}";

impl Figure {
    /// The figure as HTML.
    pub(crate) fn html(&self) -> String {
        format!("<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n", self.svg, escape(self.caption))
    }
}

/// Warnings as a list; empty if there are none.
pub(crate) fn list(warnings: &[String]) -> String {
    if warnings.is_empty() {
        return String::new();
    }
    let items: String = warnings.iter().map(|warning| format!("<li>{}</li>\n", escape(warning))).collect();
    format!("<ul class=\"warnings\">\n{items}</ul>\n")
}

/// A table; empty without rows.
pub(crate) fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let cells = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
        let cells: String = cells.map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(|row| cells("td", &mut row.iter().map(String::as_str))).collect();
    format!("<table>\n{}{rows}</table>\n", cells("th", &mut head.iter().copied()))
}

fn titled(title: &str, content: String) -> String {
    if content.is_empty() { content } else { format!("<h2>{title}</h2>\n{content}") }
}

fn tallies(title: &str, tallies: &[Tally]) -> String {
    let rows = tallies.iter().map(|tally| vec![tally.what.clone(), tally.count.to_string()]).collect();
    titled(title, table(&["what", "requests"], rows))
}

fn widths(run: &Results) -> Vec<Vec<String>> {
    let accuracy =
        |width| run.setup.accuracy.at(width).map_or("-".to_owned(), |share| format!("{:.2} %", share * 100.0));
    let row = |&AtWidth { width, answers, on_time }: &AtWidth| {
        vec![width.to_string(), answers.to_string(), on_time.to_string(), accuracy(width)]
    };
    run.widths.iter().map(row).collect()
}

fn setup(run: &Results) -> String {
    let model = run.setup.model.as_ref().map(|model| format!("Model {model}. ")).unwrap_or_default();
    let deadlines: Vec<_> = run.setup.deadlines_ms.iter().map(f64::to_string).collect();
    let deadlines = if deadlines.is_empty() { "none".to_owned() } else { format!("{} ms", deadlines.join(", ")) };
    let units = run.setup.units.map(|Units { capacity_per_s, image_ms }| {
        let (capacity, image) = (number(capacity_per_s), number(image_ms));
        format!(" Capacity at full width: {capacity} requests per second; one image takes {image} ms.")
    });
    let units = units.unwrap_or_default();
    format!("{model}Deadlines: {deadlines}.{units}")
}

/// The command of the run, with `URL` for the server, which may have moved.
fn again(run: &Results) -> Vec<String> {
    let word = |word: &String| if *word == run.setup.url { "URL".to_owned() } else { word.clone() };
    run.command.iter().map(word).collect()
}

/// Quotes arguments for a shell.
fn shell(words: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty() && word.chars().all(|letter| letter.is_alphanumeric() || "-_./:,=+".contains(letter))
    };
    let quoted = |word: &String| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        let words = ["anywidth-load", "run", "--query", "a=1&b=2", "it's", ""].map(str::to_owned);
        assert_eq!(shell(&words), r"anywidth-load run --query 'a=1&b=2' 'it'\''s' ''");
    }
}
