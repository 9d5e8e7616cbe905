//! Formatting of untrusted text for messages: truncated and printable.

/// Maximum length of a quoted name, in characters.
const MAX_NAME: usize = 64;
/// Maximum length of a reason from a library or from another part of the program, in characters.
pub(super) const MAX_REASON: usize = 120;
/// Maximum elements of a printed list.
const MAX_LISTED: usize = 8;

/// Quotes a name from a file.
pub(super) fn name(text: &str) -> String {
    clip(text, MAX_NAME)
}

/// Truncates text to `most` characters and replaces control and bidirectional formatting characters.
pub(crate) fn clip(text: &str, most: usize) -> String {
    let turns =
        |symbol: char| matches!(symbol, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let printable = |symbol: char| if symbol.is_control() || turns(symbol) { '\u{fffd}' } else { symbol };
    let mut clipped: String = text.chars().take(most).map(printable).collect();
    if text.chars().nth(most).is_some() {
        clipped.pop();
        clipped.push('…');
    }
    clipped
}

/// Formats a list as `[1, 2, 3]`, truncated if it is long.
pub(super) fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let mut values = values.into_iter();
    let mut words: Vec<String> = values.by_ref().take(MAX_LISTED).map(|value| value.to_string()).collect();
    if values.next().is_some() {
        words.push("…".into());
    }
    format!("[{}]", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_short_and_printable() {
        assert_eq!(name("conv1\n\u{1b}[2J"), "conv1\u{fffd}\u{fffd}[2J");
        assert_eq!(name("a\u{202e}b"), "a\u{fffd}b");
        assert_eq!(name(&"x".repeat(1000)).chars().count(), MAX_NAME);
        assert_eq!((list([1, 2]), list(0..9)), ("[1, 2]".into(), "[0, 1, 2, 3, 4, 5, 6, 7, …]".into()));
    }
}
