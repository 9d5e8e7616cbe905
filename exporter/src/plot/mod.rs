//! Figures for model cards as SVG: black on white, without scripts and fonts.
//!
//! Must not know where numbers and names come from.

mod confusion;
mod curve;

pub use confusion::Confusion;
pub use curve::{Curve, accuracy_curve, share_curve};

/// The start of a file of this size in pixels, with `title` for screen readers.
fn head(width: usize, height: usize, title: &str) -> String {
    let title = escaped(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <title>{title}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    )
}

const TAIL: &str = "</svg>\n";

/// Escapes markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML cannot represent the other control characters.
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_whatever_is_in_them() {
        assert_eq!(escaped("a<b> & \"c\"\u{1}\n三角形"), "a&lt;b&gt; &amp; &quot;c&quot;  三角形");
    }
}
