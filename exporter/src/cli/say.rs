//! Terminal output: one line per message, with untrusted names escaped.

/// Maximum number of notes of one kind that are printed.
const NAMED: usize = 10;

/// `text` on one line; characters that control a terminal or reorder text are escaped.
pub(crate) fn printable(text: &str) -> String {
    let reorders =
        |character| matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            order if order.is_control() || reorders(order) => shown.extend(order.escape_debug()),
            other => shown.push(other),
        }
    }
    shown
}

/// Prints a note that does not stop the command.
pub(super) fn note(text: &str) {
    eprintln!("note: {}", printable(text));
}

/// Prints the first notes and the number of the others.
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
        let plain = "große u\u{308} \"三角形\" it's\\ 👩\u{200d}🚀";
        assert_eq!(printable(plain), plain);
        assert_eq!(printable("a\nb\u{1b}[31m\u{202e}"), "a\\nb\\u{1b}[31m\\u{202e}");
    }
}
