//! A run as text for the terminal.

use super::rows::{OF_THE_MODEL, rows};
use super::verdict::verdict;
use crate::results::Results;

/// The verdict, the figures and the warnings of a run.
pub fn summary(run: &Results) -> String {
    let rows = rows(run).into_iter().map(|row| vec![row.label.to_owned(), row.text()]);
    let warnings = run.warnings.iter().map(|warning| format!("\nWarning: {}\n", printable(warning)));
    let figures = columns(rows.collect());
    format!("{}\n\n{figures}\n{OF_THE_MODEL}\n{}", verdict(run), warnings.collect::<String>())
}

/// Aligns text in columns: the first to the left, the others to the right.
pub(crate) fn columns(rows: Vec<Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let cell = |(column, (cell, &width)): (usize, (&String, &usize))| match column {
        0 => format!("  {cell:<width$}"),
        _ => format!("   {cell:>width$}"),
    };
    let line = |row: &Vec<String>| row.iter().zip(&widths).enumerate().map(cell).collect::<String>();
    rows.iter().map(|row| format!("{}\n", line(row).trim_end())).collect()
}

/// Removes control characters from a server's text.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}
