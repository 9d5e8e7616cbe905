//! What goes to a terminal: one line each, whatever names files and classes have.

/// Notes of one kind before the rest is only counted.
const NAMED: usize = 10;

/// `text` in one line, with everything that would move a cursor or change a colour as an escape sequence.
pub(crate) fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        '\'' | '"' | '\\' => character.to_string(),
        other => other.escape_debug().to_string(),
    };
    text.chars().map(shown).collect()
}

/// Something that is worth knowing and stops nothing.
pub(super) fn note(text: &str) {
    eprintln!("note: {}", printable(text));
}

/// The first of many notes, and how many more there are.
pub(super) fn notes(all: &[String], more: &str) {
    all.iter().take(NAMED).for_each(|text| note(text));
    if all.len() > NAMED {
        note(&format!("{} {more}", all.len() - NAMED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_stay_in_one_line_and_give_a_terminal_no_orders() {
        assert_eq!(printable("große \"三角形\" it's\\"), "große \"三角形\" it's\\");
        assert_eq!(printable("a\nb\u{1b}[31m\u{202e}"), "a\\nb\\u{1b}[31m\\u{202e}");
    }
}
