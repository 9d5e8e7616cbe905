//! Confusion matrices.

use std::fmt::Write;

use super::{TAIL, escaped, head};

/// Counts of images by class and predicted class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    labels: Vec<String>,
    /// `[class][predicted]`
    counts: Vec<Vec<usize>>,
}

/// Maximum number of classes with names and numbers in the figure.
const MAX_NAMED: usize = 30;
/// Target width of all cells of a row in pixels, within limits on the cell size.
const CELLS: usize = 320;
/// Maximum number of characters of a name.
const LONGEST_NAME: usize = 24;

impl Confusion {
    /// Counts pairs of a class and a predicted class.
    ///
    /// # Panics
    /// If an index is not below the number of labels.
    pub fn count(labels: &[String], pairs: impl IntoIterator<Item = (usize, usize)>) -> Confusion {
        let mut counts = vec![vec![0; labels.len()]; labels.len()];
        pairs.into_iter().for_each(|(class, taken_for)| counts[class][taken_for] += 1);
        Confusion { labels: labels.into(), counts }
    }

    /// The most frequent mistakes: count, images of the class, class, predicted class.
    pub fn worst(&self, most: usize) -> Vec<(usize, usize, &str, &str)> {
        let mut mistakes = Vec::new();
        for (class, row) in self.counts.iter().enumerate() {
            let of = row.iter().sum();
            for (taken_for, &count) in row.iter().enumerate().filter(|&(other, &count)| other != class && count > 0) {
                mistakes.push((count, of, self.labels[class].as_str(), self.labels[taken_for].as_str()));
            }
        }
        mistakes.sort_by_key(|&(count, ..)| std::cmp::Reverse(count));
        mistakes.truncate(most);
        mistakes
    }

    /// Mean recall over the classes that have images (balanced accuracy).
    pub fn mean_recall(&self) -> f64 {
        let recall = |(class, row): (usize, &Vec<usize>)| {
            let of: usize = row.iter().sum();
            (of > 0).then(|| row[class] as f64 / of as f64)
        };
        let recalls: Vec<f64> = self.counts.iter().enumerate().filter_map(recall).collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }

    /// The confusion matrix as a figure: a row per class, a column per predicted class, darker for a larger share of
    /// the row.
    pub fn svg(&self, title: &str) -> String {
        let classes = self.labels.len();
        let named = classes <= MAX_NAMED;
        let cell = if named { (CELLS / classes).clamp(26, 64) } else { (780 / classes).max(1) };
        let longest = self.labels.iter().map(|label| length(label)).max().unwrap_or(0);
        let margin = if named { 30 + longest } else { 24 };
        let side = margin + cell * classes + 8;
        let mut svg = head(side, side, title);
        let mut add = |text: std::fmt::Arguments<'_>| svg.write_fmt(text).expect("writing to a string");
        let middle = margin + cell * classes / 2;
        add(format_args!("<text x=\"{middle}\" y=\"12\" text-anchor=\"middle\" fill=\"#777\">taken for</text>\n"));
        add(format_args!(
            "<text transform=\"translate(12 {middle}) rotate(-90)\" text-anchor=\"middle\" fill=\"#777\">true class</text>\n"
        ));
        for (class, row) in self.counts.iter().enumerate() {
            let (y, of) = (margin + class * cell, row.iter().sum::<usize>().max(1));
            if named {
                let (name, centre, beside) = (shortened(&self.labels[class]), y + cell / 2, margin - 6);
                add(format_args!("<text x=\"{beside}\" y=\"{centre}\" dy=\"4\" text-anchor=\"end\">{name}</text>\n"));
                let (x, beside) = (margin + class * cell + cell / 2, margin - 6);
                add(format_args!("<text transform=\"translate({x} {beside}) rotate(-90)\" dy=\"4\">{name}</text>\n"));
            }
            // Omits empty cells: with a thousand classes most are empty.
            for (column, &count) in row.iter().enumerate().filter(|&(_, &count)| count > 0) {
                let (x, share) = (margin + column * cell, count as f64 / of as f64);
                let colour = if column == class { "#1f6feb" } else { "#d1490c" };
                let opacity = 0.08 + 0.92 * share;
                add(format_args!(
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{cell}\" height=\"{cell}\" fill=\"{colour}\" \
                     fill-opacity=\"{opacity:.2}\"/>\n"
                ));
                if named {
                    let (x, y) = (x + cell / 2, y + cell / 2);
                    let ink = if share > 0.55 { "#fff" } else { "#222" };
                    add(format_args!(
                        "<text x=\"{x}\" y=\"{y}\" dy=\"4\" text-anchor=\"middle\" font-size=\"9\" fill=\"{ink}\">{count}</text>\n"
                    ));
                }
            }
        }
        let (length, frame) = (cell * classes, "fill=\"none\" stroke=\"#999\"");
        add(format_args!("<rect x=\"{margin}\" y=\"{margin}\" width=\"{length}\" height=\"{length}\" {frame}/>\n"));
        svg + TAIL
    }
}

/// Maximum width of the written part of a name in pixels.
fn length(label: &str) -> usize {
    label.chars().take(LONGEST_NAME).map(|character| if is_wide(character) { 13 } else { 7 }).sum()
}

/// Whether a character is as wide as it is high (the blocks of Unicode Standard Annex 11, "East Asian Width", and
/// emoji).
fn is_wide(character: char) -> bool {
    matches!(u32::from(character),
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD)
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= LONGEST_NAME {
        return escaped(label);
    }
    escaped(&label.chars().take(LONGEST_NAME - 1).chain(['…']).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_mistakes_come_first() {
        let labels = ["cat", "dog", "ship"].map(String::from);
        let pairs = [(0, 0), (0, 1), (0, 1), (1, 1), (2, 0), (2, 2), (2, 2)];
        let confusion = Confusion::count(&labels, pairs);
        assert_eq!(confusion.worst(5), [(2, 3, "cat", "dog"), (1, 3, "ship", "cat")]);
        assert_eq!(confusion.worst(1).len(), 1);
    }

    #[test]
    fn every_class_that_was_seen_counts_alike_in_the_mean_recall() {
        let labels = ["cat", "dog", "ship"].map(String::from);
        let pairs = (0..98).map(|_| (0, 0)).chain([(1, 0), (1, 1)]);
        assert_eq!(Confusion::count(&labels, pairs).mean_recall(), 0.75);
    }

    #[test]
    fn names_in_wide_characters_have_as_much_room_as_they_take() {
        assert_eq!(length("cat"), 21);
        assert_eq!(length("三角形"), 39);
        let side = |name: &str| {
            let svg = Confusion::count(&[name.into(), "b".into()], [(0, 0)]).svg("mistakes");
            let (_, rest) = svg.split_once("width=\"").expect("a width");
            rest.split('"').next().and_then(|side| side.parse::<usize>().ok()).expect("a number")
        };
        assert_eq!(side("三角形") - side("abc"), 18);
    }

    #[test]
    fn both_axes_say_what_they_are_and_long_names_leave_the_cells_as_much_room_as_they_take() {
        let labels = ["a class with a long name", "another class of images"].map(String::from);
        let svg = Confusion::count(&labels, [(0, 1)]).svg("mistakes");
        assert!(svg.contains(">taken for</text>") && svg.contains(">true class</text>"), "{svg}");
        let (_, rest) = svg.split_once("viewBox=\"0 0 ").expect("a size");
        let side: usize = rest.split(' ').next().and_then(|side| side.parse().ok()).expect("a number");
        assert!(2 * 64 > side / 3, "{side}");
    }

    #[test]
    fn a_figure_has_a_cell_for_each_pair_that_was_seen() {
        let labels = ["a & b", "c"].map(String::from);
        let svg = Confusion::count(&labels, [(0, 1), (1, 1), (1, 1)]).svg("mistakes");
        assert_eq!(svg.matches("fill-opacity").count(), 2);
        assert!(svg.contains("a &amp; b") && svg.contains(">2</text>"), "{svg}");
    }
}
