//! Text tables for the terminal.

/// Formats a table. Each column is as wide as its widest cell; the first is left-aligned, the others right-aligned. A row may
/// have fewer cells than the header.
pub(super) fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let head = head.iter().map(|&title| title.to_owned()).collect();
    let printable = |row: Vec<String>| row.iter().map(|cell| printable(cell)).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).map(printable).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..rows[0].len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            line += &if column == 0 { format!("  {cell:<width$}") } else { format!("   {cell:>width$}") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Escapes control and invisible characters, so that text from a model file cannot control the terminal.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\'' | '"' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_text_cannot_command_the_terminal() {
        assert_eq!(printable("it's a\\b \u{1b}[2J\n\u{202e}"), "it's a\\b \\u{1b}[2J\\n\\u{202e}");
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["bcd".into(), "1,000".into()], vec!["e".into()]];
        assert_eq!(table(&["name", "n"], rows), "  name       n\n  a          1\n  bcd    1,000\n  e\n");
    }
}
