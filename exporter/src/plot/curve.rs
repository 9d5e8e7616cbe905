//! Curves of accuracy by width.

use std::fmt::Write;

use super::{TAIL, escaped, head};
use crate::words::interval;

const WIDTH: usize = 560;
const HEIGHT: usize = 340;
/// Left, top, right and bottom of the plotted area.
const AREA: [f64; 4] = [56.0, 20.0, 540.0, 290.0];
const COLOURS: [&str; 8] = ["#1f6feb", "#d1490c", "#2b8a3e", "#7a3e9d", "#b08500", "#0b7285", "#c2255c", "#5c5f66"];

/// A curve of a figure.
#[derive(Debug)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Accuracies (0..1) by ascending width (0..1).
    pub points: Vec<(f64, f64)>,
    /// Number of images of each accuracy, if the interval is to be drawn.
    pub images: Option<usize>,
}

/// Accuracy by width: a line for each of `curves`, with a band for the 95 % interval if the number of images is known.
pub fn accuracy_curve(title: &str, curves: &[Curve]) -> String {
    share_curve(title, "width", curves)
}

/// Shares from 0 to 1 by the quantity named `axis`.
pub fn share_curve(title: &str, axis: &str, curves: &[Curve]) -> String {
    let [left, top, right, bottom] = AREA;
    let lowest = curves.iter().flat_map(Curve::band).map(|(_, low, _)| low).fold(1.0, f64::min);
    let floor = (lowest * 10.0).floor() / 10.0;
    let (x, axis) = (|width: f64| left + width * (right - left), escaped(axis));
    let y = |accuracy: f64| bottom - (accuracy - floor) / (1.0 - floor).max(0.1) * (bottom - top);
    let mut svg = head(WIDTH, HEIGHT, title);
    let mut add = |text: std::fmt::Arguments<'_>| svg.write_fmt(text).expect("writing to a string");
    for tenth in (floor * 10.0).round() as usize..=10 {
        let (share, at) = (tenth as f64 / 10.0, y(tenth as f64 / 10.0));
        add(format_args!("<path d=\"M{left:.0} {at:.1}H{right:.0}\" stroke=\"#ddd\"/>\n"));
        let (text, percent) = (left - 8.0, 100.0 * share);
        add(format_args!("<text x=\"{text:.0}\" y=\"{at:.1}\" dy=\"4\" text-anchor=\"end\">{percent:.0} %</text>\n"));
    }
    for quarter in 0..=4 {
        let (width, below) = (f64::from(quarter) / 4.0, bottom + 18.0);
        add(format_args!("<text x=\"{:.1}\" y=\"{below:.0}\" text-anchor=\"middle\">{width}</text>\n", x(width)));
    }
    let (middle, below) = ((left + right) / 2.0, bottom + 38.0);
    add(format_args!("<text x=\"{middle:.0}\" y=\"{below:.0}\" text-anchor=\"middle\">{axis}</text>\n"));
    add(format_args!("<path d=\"M{left:.0} {top:.0}V{bottom:.0}H{right:.0}\" fill=\"none\" stroke=\"#222\"/>\n"));
    for (index, Curve { name, points, .. }) in curves.iter().enumerate() {
        let band: Vec<(f64, f64, f64)> = curves[index].band().collect();
        let there = band.iter().map(|&(at, low, _)| format!("{:.1},{:.1}", x(at), y(low)));
        let back = band.iter().rev().map(|&(at, _, high)| format!("{:.1},{:.1}", x(at), y(high)));
        let outline = there.chain(back).collect::<Vec<String>>().join(" ");
        let colour = COLOURS[index % COLOURS.len()];
        let line: Vec<String> = points.iter().map(|&(at, share)| format!("{:.1},{:.1}", x(at), y(share))).collect();
        let line = line.join(" ");
        if curves[index].images.is_some() {
            add(format_args!("<polygon points=\"{outline}\" fill=\"{colour}\" fill-opacity=\"0.12\"/>\n"));
        }
        add(format_args!("<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n"));
        let (baseline, name) = (bottom - 12.0 - 18.0 * (curves.len() - 1 - index) as f64, escaped(name));
        let text = right - 8.0;
        add(format_args!(
            "<text x=\"{text:.0}\" y=\"{baseline:.0}\" text-anchor=\"end\" fill=\"{colour}\">{name}</text>\n"
        ));
    }
    svg + TAIL
}

impl Curve {
    /// The 95 % interval at each width: width, lower end, upper end.
    fn band(&self) -> impl Iterator<Item = (f64, f64, f64)> {
        self.points.iter().map(|&(width, accuracy)| {
            let (low, high) = self.images.map_or((accuracy, accuracy), |images| interval(accuracy, images));
            (width, low, high)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The height of the band of a line at 80 %.
    fn height(images: usize) -> f64 {
        let curve = Curve { name: "test".into(), points: vec![(0.25, 0.8), (1.0, 0.8)], images: Some(images) };
        let svg = accuracy_curve("accuracy", &[curve]);
        let (_, rest) = svg.split_once("<polygon points=\"").expect("a band");
        let ends: Vec<f64> = rest
            .split('"')
            .next()
            .expect("its points")
            .split(' ')
            .filter_map(|point| point.split_once(',')?.1.parse().ok())
            .collect();
        assert_eq!(ends.len(), 4);
        ends[0] - ends[3]
    }

    #[test]
    fn the_fewer_the_images_the_wider_the_band() {
        assert!(height(100) > 3.0 * height(2500) && height(2500) > 0.5);
    }
}
