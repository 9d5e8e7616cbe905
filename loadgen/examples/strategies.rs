//! Prints and draws what a mean time per image buys: one width for all, a mixture of two widths, and a width for each image by the
//! gain table. On the recorded answers of the shipped vgg-8 to test images, which its tables were not counted on:
//! `cargo run --release --example strategies -p anywidth-load > docs/images/strategies.svg` (the table goes to standard error).

use std::fmt::Write;

use anywidth::engine::Width;
use anywidth::policy::{Profile, concave_hull};
use anywidth_load::simulate::{Measured, Recording};

/// Milliseconds and accuracy.
type Point = (f64, f64);

/// Width and height of the drawing.
const SIZE: (f64, f64) = (820.0, 360.0);
/// Its left, right, top and bottom edges.
const EDGES: [f64; 4] = [60.0, 805.0, 20.0, 310.0];
/// The accuracies at the bottom and at the top.
const RANGE: (f64, f64) = (0.79, 0.91);

fn main() -> anyhow::Result<()> {
    let measured = Measured::cifar10()?;
    let recording = measured.recording.clone().unwrap_or_else(|| unreachable!("the shipped measurement has one"));
    let profile = measured.profile()?;
    let narrowest = profile.narrowest();
    let one: Vec<Point> = profile
        .widths()
        .map(|width| mean(&profile, &recording, |image| recording.stop(image, None, (narrowest, width))))
        .collect();
    let mixed: Vec<Point> = concave_hull(&one).into_iter().map(|corner| one[corner]).collect();
    let mut gain: Vec<Point> = profile
        .exit_rules()
        .map(|rule| mean(&profile, &recording, |image| recording.stop(image, Some(&rule), (narrowest, Width::FULL))))
        .collect();
    gain.extend(one.last());
    gain.insert(0, one[0]);
    let full = one[one.len() - 1].0;
    eprintln!("| mean time, of full width | one width for all | mixture of two widths | by gain |\n|---|---|---|---|");
    for share in [0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0] {
        let fits = one.iter().rev().find(|point| point.0 <= share * full + 1e-9);
        let one = fits.map_or("-".to_owned(), |point| format!("{:.1} %", 100.0 * point.1));
        let [mixed, gain] = [&mixed, &gain].map(|curve| format!("{:.1} %", 100.0 * at(curve, share * full)));
        eprintln!("| {share} | {one} | {mixed} | {gain} |");
    }
    print!("{}", svg(&[("by gain", "#1f77b4", &gain), ("mixture of two widths", "#ff7f0e", &mixed)], &one)?);
    Ok(())
}

/// The mean time of all images, one at a time and without what another walk through the layers costs, and the share that is right.
fn mean(profile: &Profile, recording: &Recording, stop: impl Fn(usize) -> (Width, Option<bool>)) -> Point {
    let (mut time, mut right) = (0.0, 0.0);
    for image in 0..recording.images() {
        let (width, correct) = stop(image);
        time += profile.latency(width, 1).as_secs_f64() * 1e3;
        right += f64::from(correct.unwrap_or_default());
    }
    let images = recording.images() as f64;
    (time / images, right / images)
}

/// The accuracy of a curve at a time, linear between its points.
fn at(curve: &[Point], time: f64) -> f64 {
    let above = curve.partition_point(|point| point.0 < time).clamp(1, curve.len() - 1);
    let ((t0, a0), (t1, a1)) = (curve[above - 1], curve[above]);
    a0 + (a1 - a0) * ((time - t0) / (t1 - t0)).clamp(0.0, 1.0)
}

fn svg(curves: &[(&str, &str, &Vec<Point>)], widths: &[Point]) -> Result<String, std::fmt::Error> {
    let (width, height) = SIZE;
    let [left, right, top, bottom] = EDGES;
    let full = widths[widths.len() - 1].0;
    let x = |time: f64| left + time / full * (right - left);
    let y = |accuracy: f64| bottom - (accuracy - RANGE.0) / (RANGE.1 - RANGE.0) * (bottom - top);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for percent in (80..=90).step_by(2) {
        let at = y(f64::from(percent) / 100.0);
        writeln!(text, "<line x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>")?;
        writeln!(text, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>", left - 6.0, at + 4.0)?;
    }
    for tenths in (0..=10).step_by(2) {
        let (at, share) = (x(f64::from(tenths) / 10.0 * full), f64::from(tenths) / 10.0);
        writeln!(text, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{share}</text>", bottom + 16.0)?;
    }
    let middle = (left + right) / 2.0;
    writeln!(
        text,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">mean time per image, of full width</text>",
        bottom + 36.0
    )?;
    for (index, (name, colour, curve)) in curves.iter().enumerate() {
        let points: Vec<String> =
            curve.iter().map(|&(time, right)| format!("{:.1},{:.1}", x(time), y(right))).collect();
        let points = points.join(" ");
        writeln!(text, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>")?;
        legend(&mut text, index, colour, name)?;
    }
    for &(time, accuracy) in widths {
        writeln!(text, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"#333\"/>", x(time), y(accuracy))?;
    }
    legend(&mut text, curves.len(), "#333", "one width for all")?;
    Ok(text + "</svg>\n")
}

fn legend(text: &mut String, index: usize, colour: &str, name: &str) -> std::fmt::Result {
    let at = EDGES[3] - 60.0 + 20.0 * index as f64;
    writeln!(text, "<circle cx=\"600\" cy=\"{}\" r=\"5\" fill=\"{colour}\"/>", at - 4.0)?;
    writeln!(text, "<text x=\"612\" y=\"{at}\">{name}</text>")
}
