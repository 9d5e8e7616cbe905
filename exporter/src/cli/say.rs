//! What goes to a terminal: one line each, whatever names files and classes have.

/// Notes of one kind before the rest is only counted.
const NAMED: usize = 10;

/// `text` in one line, with every character that would give a terminal orders, or reorder the line, as an escape sequence.
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
        let plain = "große u\u{308} \"三角形\" it's\\ 👩\u{200d}🚀";
        assert_eq!(printable(plain), plain);
        assert_eq!(printable("a\nb\u{1b}[31m\u{202e}"), "a\\nb\\u{1b}[31m\\u{202e}");
    }
}
