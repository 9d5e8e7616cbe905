//! Draws panels over a common time axis as SVG. Must not know what they show.

use std::fmt::Write;

use super::axis::{Axis, number, ticks};
use super::escape::escape;

/// One panel; layers are drawn in order.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) axis: Axis,
    pub(crate) layers: Vec<Layer>,
}

#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// Colour name in [`COLOURS`](super::colours).
    pub(crate) colour: &'static str,
    /// Legend label; empty for none.
    pub(crate) label: String,
    pub(crate) shape: Shape,
}

/// Points of seconds and values; `None` is a gap.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Line(Vec<(f64, Option<f64>)>),
    /// Between a lower and an upper value.
    Area(Vec<(f64, Option<(f64, f64)>)>),
    /// A constant.
    Level(f64),
    /// Rectangles, the darker the larger their share.
    Cells(Vec<Cell>),
}

/// A share of what happened in a range of time that has values in a range.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) seconds: (f64, f64),
    pub(crate) values: (f64, f64),
    /// From 0 to 1.
    pub(crate) share: f64,
}

const WIDTH: f64 = 880.0;
/// Left margin, for tick labels.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
/// Height of a panel's title.
const TITLE: f64 = 26.0;
const DRAWING: f64 = 110.0;
const BETWEEN: f64 = 14.0;
/// Height of the time labels below the last panel.
const SECONDS: f64 = 24.0;

/// Draws panels below each other, over 0 to `seconds`. The [style](super::colours::style) is either passed here or
/// defined by the page.
pub(crate) fn draw(panels: &[Panel], seconds: f64, title: &str, style: &str) -> String {
    let height = panels.len() as f64 * (TITLE + DRAWING + BETWEEN) + SECONDS;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"load\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"{title}\">\n<title>{title}</title>\n",
        title = escape(title),
    );
    if !style.is_empty() {
        // Draws its own background: the surrounding page may not follow the system's light or dark setting.
        line(
            &mut svg,
            format_args!("<style>{style}</style>\n<rect class=\"f-ground\" width=\"100%\" height=\"100%\"/>"),
        );
    }
    for (index, panel) in panels.iter().enumerate() {
        let frame = Frame { top: index as f64 * (TITLE + DRAWING + BETWEEN) + TITLE, seconds };
        frame.head(&mut svg, panel);
        frame.grid(&mut svg, panel.axis);
        panel.layers.iter().for_each(|layer| frame.layer(&mut svg, panel.axis, layer));
    }
    Frame { top: height - SECONDS - BETWEEN - DRAWING, seconds }.seconds(&mut svg);
    svg + "</svg>\n"
}

/// The position of a panel's drawing.
struct Frame {
    top: f64,
    seconds: f64,
}

impl Frame {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + (seconds / self.seconds).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, axis: Axis, value: f64) -> f64 {
        self.top + (1.0 - axis.position(value)) * DRAWING
    }

    /// The title with the legend to its right.
    fn head(&self, svg: &mut String, panel: &Panel) {
        let y = self.top - 9.0;
        line(svg, format_args!("<text class=\"title\" x=\"{LEFT}\" y=\"{y}\">{}</text>", escape(panel.title)));
        let labelled = panel.layers.iter().filter(|layer| !layer.label.is_empty()).enumerate();
        let entry = |(index, Layer { colour, label, .. }): (usize, &Layer)| {
            let gap = if index == 0 { 0 } else { 14 };
            let label = escape(label);
            format!("<tspan class=\"f-{colour}\" dx=\"{gap}\">\u{25a0}</tspan><tspan dx=\"5\">{label}</tspan>")
        };
        // One text element, because text widths are unknown here.
        let (right, legend) = (WIDTH - RIGHT, labelled.map(entry).collect::<String>());
        line(svg, format_args!("<text class=\"soft\" x=\"{right}\" y=\"{y}\" text-anchor=\"end\">{legend}</text>"));
    }

    fn grid(&self, svg: &mut String, axis: Axis) {
        for tick in axis.ticks() {
            let (y, right) = (self.y(axis, tick), WIDTH - RIGHT);
            line(svg, format_args!("<path class=\"s-grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
            line(
                svg,
                format_args!(
                    "<text class=\"soft\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                    LEFT - 6.0,
                    y + 4.0,
                    number(tick)
                ),
            );
        }
    }

    fn layer(&self, svg: &mut String, axis: Axis, layer: &Layer) {
        let colour = layer.colour;
        match &layer.shape {
            Shape::Level(value) => {
                let (y, right) = (self.y(axis, *value), WIDTH - RIGHT);
                line(svg, format_args!("<path class=\"level s-{colour}\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
            }
            Shape::Cells(cells) => {
                for Cell { seconds, values, share } in cells {
                    let (left, right) = (self.x(seconds.0), self.x(seconds.1));
                    let (top, bottom) = (self.y(axis, values.1), self.y(axis, values.0));
                    let (width, height) = (right - left, bottom - top);
                    // Rare values stay visible.
                    let opacity = share.sqrt();
                    line(
                        svg,
                        format_args!(
                            "<rect class=\"f-{colour}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
                             height=\"{height:.1}\" fill-opacity=\"{opacity:.2}\"/>"
                        ),
                    );
                }
            }
            Shape::Line(points) => {
                for run in runs(points) {
                    // A single point would be invisible.
                    let dash = if run.len() == 1 { "h2" } else { "" };
                    let path = self.path(run.iter().copied(), axis) + dash;
                    line(svg, format_args!("<path class=\"line s-{colour}\" d=\"M{path}\"/>"));
                }
            }
            Shape::Area(points) => {
                for run in runs(points) {
                    let upper = self.path(run.iter().map(|&(at, (_, high))| (at, high)), axis);
                    let lower = self.path(run.iter().rev().map(|&(at, (low, _))| (at, low)), axis);
                    line(svg, format_args!("<path class=\"f-{colour}\" d=\"M{upper}L{lower}Z\"/>"));
                }
            }
        }
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>, axis: Axis) -> String {
        let point = |(at, value)| format!("{:.1} {:.1}", self.x(at), self.y(axis, value));
        points.map(point).collect::<Vec<_>>().join("L")
    }

    fn seconds(&self, svg: &mut String) {
        let y = self.top + DRAWING + 16.0;
        let all = ticks(self.seconds, 10.0);
        for (index, &tick) in all.iter().enumerate() {
            let unit = if index + 1 == all.len() { " s" } else { "" };
            line(
                svg,
                format_args!(
                    "<text class=\"soft\" x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}{unit}</text>",
                    self.x(tick).min(WIDTH - RIGHT - 8.0),
                    number(tick)
                ),
            );
        }
    }
}

/// The maximal sequences without a gap.
fn runs<T: Copy>(points: &[(f64, Option<T>)]) -> Vec<Vec<(f64, T)>> {
    let parts = points.split(|(_, value)| value.is_none());
    let values = |part: &[(f64, Option<T>)]| part.iter().filter_map(|&(at, value)| Some((at, value?))).collect();
    parts.map(values).filter(|run: &Vec<_>| !run.is_empty()).collect()
}

fn line(svg: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(svg, "{text}").expect("a string takes all");
}
