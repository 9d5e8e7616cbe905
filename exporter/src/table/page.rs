//! The page of all tables in Markdown, and a figure of the curves of each.

use std::fmt::Write;

use super::outcome::Curve;
use crate::words::{counted, thousands};

/// The contents of one table.
#[derive(Debug)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// The file's name without its extension, which is also the figure's.
    pub name: String,
    /// Lower end of the area.
    pub narrowest: f64,
    /// Epochs in the paper.
    pub paper_epochs: Option<usize>,
    /// The lines of the table.
    pub lines: Vec<Line>,
    /// The commands that train the missing runs.
    pub missing: Vec<String>,
    /// Diverged runs with their reasons.
    pub diverged: Vec<(String, String)>,
}

/// One line: a method with its seeds.
#[derive(Debug)]
pub struct Line {
    /// What it is called.
    pub title: String,
    /// One curve per seed.
    pub curves: Vec<Curve>,
    /// The seeds, in the same order.
    pub seeds: Vec<u64>,
    /// Number of networks that form a curve, if each width has its own.
    pub networks: Option<usize>,
    /// The paper's area in percent.
    pub paper: Option<f64>,
    /// Completed epochs.
    pub epochs: usize,
    /// Median duration of an epoch, in seconds.
    pub epoch_seconds: f64,
    /// Weights and biases at the narrowest compared width, and at full width.
    pub parameters: [u64; 2],
    /// Multiply-adds of one image at these widths.
    pub multiply_adds: [u64; 2],
    /// The device that computed it.
    pub machine: String,
}

/// Widths of the table's columns.
const COLUMNS: [f64; 4] = [0.25, 0.5, 0.75, 1.0];

const HEAD: &str = "\
# The paper's methods, trained here

Every row is trained by `exporter table configs/*.toml`, which trains what is missing and writes this page. The
methods are those that *Any-Width Networks* (Vu et al., CVPRW 2020) compares, MutualNet, our one-pass method, and ordinary
networks that are trained for one width only.

- **Accuracy** is of the test set, in percent, at the width that heads the column. The test set is measured once, after
  training; whatever was chosen was chosen on the validation split.
- **Area** is the mean accuracy over all widths from the narrowest to 1, measured at every channel count (for networks
  whose layers differ, at 32 evenly spaced widths). With several seeds: the mean, and the standard deviation between seeds.
- **Paper** is the area that the paper's table gives for the method, and the row says for how many epochs each was trained.
- **Parameters** and **multiply-adds** are those at the narrowest width and at full width, normalization folded into the
  layer before it; what lies above a triangle does not exist. Any-width networks have the root of 2 times as many channels, so
  that they cost as much as the others.
- **s / epoch** is the median epoch on one thread of the machine below the table, often beside other work: a guide, not a
  benchmark.

";

/// The page of all `sections`.
pub fn page(sections: &[Section]) -> String {
    let mut text = HEAD.to_owned();
    sections.iter().for_each(|section| section.write(&mut text).expect("writing to a string"));
    text.truncate(text.trim_end().len());
    text + "\n"
}

impl Section {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "## {}\n", self.title)?;
        if !self.lines.is_empty() {
            writeln!(
                text,
                "| method | 0.25 | 0.5 | 0.75 | 1 | area | paper | seeds | epochs (paper) | parameters | multiply-adds | s / epoch |\n\
                 |---|---|---|---|---|---|---|---|---|---|---|---|"
            )?;
            self.lines.iter().try_for_each(|line| line.write(text, self))?;
            writeln!(text, "\n![Accuracy by width](paper/{}.svg)\n", self.name)?;
            let mut machines: Vec<&str> = self.lines.iter().map(|line| line.machine.as_str()).collect();
            machines.sort_unstable();
            machines.dedup();
            writeln!(text, "Trained on: {}. The area begins at width {}.\n", machines.join("; "), self.narrowest)?;
        }
        if let Some(paper) = self.paper_epochs
            && self.lines.iter().any(|line| line.epochs < paper)
        {
            writeln!(
                text,
                "The paper trains for {}: rows with fewer are not comparable with it.\n",
                counted(paper, "epoch")
            )?;
        }
        for (name, reason) in &self.diverged {
            writeln!(text, "- {name} diverged: {reason}")?;
        }
        if !self.missing.is_empty() {
            writeln!(text, "Rows without all of their runs, with the command that trains those:\n\n```sh")?;
            self.missing.iter().try_for_each(|command| writeln!(text, "{command}"))?;
            writeln!(text, "```\n")?;
        }
        Ok(())
    }
}

impl Line {
    fn write(&self, text: &mut String, section: &Section) -> std::fmt::Result {
        write!(text, "| {} |", self.title)?;
        for width in COLUMNS {
            let at = |curve: &Curve| match self.networks {
                Some(_) => curve.test_exactly_at(width),
                None => curve.test_at(width),
            };
            let shares: Vec<f64> = self.curves.iter().filter_map(at).collect();
            write!(text, " {} |", if width < section.narrowest { String::new() } else { percent(&shares) })?;
        }
        let whole = self.curves.iter().filter(|curve| self.networks.is_none_or(|count| curve.widths.len() == count));
        let areas: Vec<f64> = whole.filter_map(|curve| curve.area(section.narrowest)).collect();
        let paper = self.paper.map_or_else(String::new, |area| format!("{area:.2}"));
        let epochs = section.paper_epochs.map_or_else(String::new, |epochs| format!(" ({epochs})"));
        let range = |[narrow, full]: [u64; 2]| match narrow == full {
            true => thousands(full),
            false => format!("{} to {}", thousands(narrow), thousands(full)),
        };
        writeln!(
            text,
            " {} | {paper} | {} | {}{epochs} | {} | {} | {:.0} |",
            percent(&areas),
            self.seeds.len(),
            self.epochs,
            range(self.parameters),
            range(self.multiply_adds),
            self.epoch_seconds,
        )
    }

    /// Adds the results of a run with this seed; other runs may have the same seed and other widths.
    pub fn take(&mut self, seed: u64, curve: &Curve) {
        let Some(index) = self.seeds.iter().position(|&other| other == seed) else {
            self.seeds.push(seed);
            self.curves.push(curve.clone());
            return;
        };
        self.curves[index].join(curve);
    }

    /// The mean over seeds at each width.
    pub fn mean(&self) -> Vec<(f64, f64)> {
        let Some(first) = self.curves.first() else { return Vec::new() };
        let whole: Vec<&Curve> = self.curves.iter().filter(|curve| curve.widths == first.widths).collect();
        let mean = |index: usize| whole.iter().map(|curve| curve.test[index]).sum::<f64>() / whole.len() as f64;
        first.widths.iter().enumerate().map(|(index, &width)| (width, mean(index))).collect()
    }
}

/// The mean of shares in percent, with the standard deviation if there are several.
fn percent(shares: &[f64]) -> String {
    let count = shares.len() as f64;
    let mean = shares.iter().sum::<f64>() / count;
    match shares.len() {
        0 => String::new(),
        1 => format!("{:.2}", 100.0 * mean),
        _ => {
            let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / (count - 1.0);
            format!("{:.2} ± {:.2}", 100.0 * mean, 100.0 * variance.sqrt())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_the_mean_and_the_spread_of_its_seeds() {
        let curve = |at: f64| Curve {
            statistics: None,
            widths: vec![0.25, 1.0],
            test: vec![at, at + 0.2],
            validation: Vec::new(),
        };
        let line = Line {
            title: "US-Net".into(),
            curves: vec![curve(0.5), curve(0.52)],
            seeds: vec![1, 2],
            networks: None,
            paper: Some(61.25),
            epochs: 30,
            epoch_seconds: 59.6,
            parameters: [1000, 20_000],
            multiply_adds: [5, 5],
            machine: "a processor".into(),
        };
        assert_eq!(line.mean(), [(0.25, 0.51), (1.0, 0.71)]);
        let section = Section {
            title: "LeNet on CIFAR-10".into(),
            name: "lenet".into(),
            narrowest: 0.25,
            paper_epochs: Some(100),
            lines: vec![line],
            missing: vec!["exporter table a.toml --only a/awn".into()],
            diverged: vec![("s-net-1".into(), "the loss is NaN".into())],
        };
        let page = page(&[section]);
        for expected in [
            "| US-Net | 51.00 ± 1.41 | 71.00 ± 1.41 | 71.00 ± 1.41 | 71.00 ± 1.41 | 61.00 ± 1.41 | 61.25 | 2 | 30 (100) | 1,000 to 20,000 | 5 | 60 |",
            "Trained on: a processor. The area begins at width 0.25.",
            "The paper trains for 100 epochs",
            "- s-net-1 diverged: the loss is NaN",
            "exporter table a.toml --only a/awn\n",
        ] {
            assert!(page.contains(expected), "{expected}\n{page}");
        }
    }
}
