//! Draws docs/images/ceiling.svg: arrivals and the width of each answer in the simulator, while the load steps from 0.3 to 3 times the
//! capacity at full width, and back: `cargo run --release --example ceiling -p anywidth-load > docs/images/ceiling.svg`.

use std::fmt::Write;
use std::time::Duration;

use anywidth::policy::PolicyKind;
use anywidth_load::arrivals::Gaps;
use anywidth_load::simulate::{Case, Event, Measured, Player, run};

const PLAN: &str = "0.3:0.3s,3:0.5s,0.3:0.4s";
const LENGTH: f64 = 1.2;
/// Width and height of the drawing, and its margins.
const SIZE: (f64, f64) = (820.0, 300.0);
const LEFT: f64 = 60.0;
const RIGHT: f64 = 15.0;
/// Top and height of the two panels.
const RATES: (f64, f64) = (30.0, 75.0);
const WIDTHS: (f64, f64) = (150.0, 110.0);
/// Arrivals are counted in intervals of this length.
const INTERVAL: f64 = 0.02;

fn main() -> anyhow::Result<()> {
    let measured = Measured::cifar10()?;
    let scenario = Case::new("", PLAN, Gaps::Poisson)?.scenario(&measured, 1)?;
    let player = Player { policy: PolicyKind::WidestFit.build(scenario.settings), corrects: true };
    let mut widths: Vec<(f64, f64)> = Vec::new();
    run(&scenario, &measured, &measured.profile()?, player, &mut |at: Duration, event: &Event| {
        if let Event::Run(jobs) = event {
            widths.extend(jobs.iter().map(|job| (at.as_secs_f64(), job.1.as_f64())));
        }
    });
    let mut rates = vec![0.0; (LENGTH / INTERVAL) as usize];
    for arrival in &scenario.arrivals {
        if let Some(rate) = rates.get_mut((arrival.as_secs_f64() / INTERVAL) as usize) {
            *rate += 1.0 / INTERVAL;
        }
    }
    print!("{}", svg(&rates, &widths)?);
    Ok(())
}

fn svg(rates: &[f64], widths: &[(f64, f64)]) -> Result<String, std::fmt::Error> {
    let (width, height) = SIZE;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    let most = rates.iter().copied().fold(0.0, f64::max);
    panel(&mut text, RATES, "arrivals per second", &[(0.0, "0".into()), (1.0, format!("{most:.0}"))])?;
    let labels = [0.25, 0.5, 0.75, 1.0].map(|width: f64| (width, width.to_string()));
    panel(&mut text, WIDTHS, "width of each answer", &labels)?;
    let mut steps = String::new();
    for (index, rate) in rates.iter().enumerate() {
        let from = index as f64 * INTERVAL;
        for at in [from, from + INTERVAL] {
            write!(steps, "{:.1},{:.1} ", x(at), y(RATES, rate / most))?;
        }
    }
    writeln!(text, "<polyline points=\"{steps}\" fill=\"none\" stroke=\"#666\" stroke-width=\"1.5\"/>")?;
    writeln!(text, "<g fill=\"#1f77b4\">")?;
    for &(at, width) in widths {
        writeln!(text, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"1.3\"/>", x(at), y(WIDTHS, width))?;
    }
    writeln!(text, "</g>")?;
    let foot = WIDTHS.0 + WIDTHS.1 + 18.0;
    for tenths in [0, 2, 4, 6, 8, 10, 12] {
        let at = f64::from(tenths) / 10.0;
        writeln!(text, "<text x=\"{:.1}\" y=\"{foot}\" text-anchor=\"middle\">{at} s</text>", x(at))?;
    }
    Ok(text + "</svg>\n")
}

/// The frame of a panel with its title, and labels at shares of its height.
fn panel(text: &mut String, panel: (f64, f64), title: &str, labels: &[(f64, String)]) -> std::fmt::Result {
    writeln!(text, "<text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"bold\">{title}</text>", panel.0 - 8.0)?;
    for (share, label) in labels {
        let (at, end) = (y(panel, *share), SIZE.0 - RIGHT);
        writeln!(text, "<line x1=\"{LEFT}\" x2=\"{end:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>")?;
        writeln!(text, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0, at + 4.0)?;
    }
    Ok(())
}

fn x(seconds: f64) -> f64 {
    LEFT + seconds / LENGTH * (SIZE.0 - LEFT - RIGHT)
}

fn y((top, height): (f64, f64), share: f64) -> f64 {
    top + height * (1.0 - share)
}
