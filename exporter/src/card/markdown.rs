//! Escapes arbitrary text and code for Markdown.

/// Text with all Markdown escaped, on one line.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            control if control.is_control() => out.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '|' | '~' | '$' => out.extend(['\\', character]),
            other => out.push(other),
        }
    }
    out
}

/// A code block whose fence is longer than any in `code`.
pub(super) fn fenced(language: &str, code: &str) -> String {
    let fence = "`".repeat(3.max(longest_fence(code) + 1));
    format!("{fence}{language}\n{code}\n{fence}\n")
}

/// An inline code span, on one line.
pub(super) fn span(code: &str) -> String {
    let fence = "`".repeat(longest_fence(code) + 1);
    format!("{fence}{}{fence}", code.replace(char::is_control, " "))
}

/// Length of the longest run of backticks.
fn longest_fence(code: &str) -> usize {
    code.split(|character| character != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_whatever_is_in_them() {
        assert_eq!(escaped("<b>a</b> *b* [c](d)\n# `e`"), "\\<b\\>a\\</b\\> \\*b\\* \\[c\\](d) # \\`e\\`");
        assert_eq!(escaped("große Autos, 三角形"), "große Autos, 三角形");
    }

    #[test]
    fn a_block_of_code_ends_where_its_code_does() {
        assert_eq!(fenced("sh", "ls"), "```sh\nls\n```\n");
        assert_eq!(fenced("sh", "x\n```\n# Owned"), "````sh\nx\n```\n# Owned\n````\n");
        assert_eq!(span("a `b`\n# c"), "``a `b` # c``");
    }
}
