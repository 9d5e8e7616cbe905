//! Comparison of two runs.

use crate::report::{Figure, Row, Scales, columns, document, escape, figures, list, rows, table};
use crate::results::Results;

/// A run with its name.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// The name, such as that of its file.
    pub name: &'a str,
    /// The results.
    pub run: &'a Results,
}

/// Both runs' figures and their differences, for the terminal.
pub fn text(pair: [Named<'_>; 2]) -> String {
    let head = vec![String::new(), pair[0].name.to_owned(), pair[1].name.to_owned(), "change".to_owned()];
    let rows = std::iter::once(head).chain(differences(pair)).collect();
    let warnings = warnings(pair).into_iter().map(|warning| format!("\nWarning: {warning}\n"));
    columns(rows) + &warnings.collect::<String>()
}

/// The comparison as an HTML page, with both runs' figures on the same axes.
pub fn page(pair: [Named<'_>; 2]) -> String {
    let title = format!("{} and {}", pair[0].name, pair[1].name);
    let scales = Scales::over(&pair.map(|named| named.run));
    let [left, right] = pair.map(|named| figures(named.run, &scales));
    let beside =
        |(left, right): (&Figure, &Figure)| format!("<div class=\"pair\">\n{}{}</div>\n", left.html(), right.html());
    let figures: String = left.iter().zip(&right).map(beside).collect();
    let names: String = pair.iter().map(|named| format!("<h2>{}</h2>\n", escape(named.name))).collect();
    let body = format!(
        "<h1>{}</h1>\n{}{}<div class=\"pair\">\n{names}</div>\n{figures}",
        escape(&title),
        list(&warnings(pair)),
        table(&["", pair[0].name, pair[1].name, "change"], differences(pair)),
    );
    document(&title, &body)
}

fn differences(pair: [Named<'_>; 2]) -> Vec<Vec<String>> {
    let [left, right] = pair.map(|named| rows(named.run));
    let row = |(left, right): (&Row, &Row)| vec![left.label.to_owned(), left.text(), right.text(), left.change(right)];
    left.iter().zip(&right).map(row).collect()
}

/// Differences in the setup, then each run's own warnings.
fn warnings(pair: [Named<'_>; 2]) -> Vec<String> {
    let [left, right] = pair.map(|named| &named.run.setup);
    let differs = [
        ("arrivals", left.arrivals != right.arrivals || left.seed != right.seed),
        ("deadlines", left.deadlines_ms != right.deadlines_ms),
        ("models", left.model != right.model),
    ];
    let differs = differs.into_iter().filter(|(_, differ)| *differ);
    let differs =
        differs.map(|(what, _)| format!("The runs had different {what}: their figures may not be comparable."));
    let own =
        pair.into_iter().flat_map(|Named { name, run }| run.warnings.iter().map(move |text| format!("{name}: {text}")));
    differs.chain(own).collect()
}
