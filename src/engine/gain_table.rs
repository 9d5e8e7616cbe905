//! Gain tables: which images a wider width helps, counted on held-out images.
//!
//! At each width of a table, an image falls into a bin by the calibrated probability of its most probable class. The table
//! counts, for each bin, how many images are right there and into which bins they fall at every wider width. A policy derives
//! from it whether an image is worth more width. The module must not know times or policies.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::probability::probabilities;
use super::width::Width;

/// What a network makes of held-out images, by width and by how sure it is. Every count is consistent with the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "Vec<GainRow>", try_from = "Vec<RawRow>")]
pub struct GainTable {
    rows: Vec<GainRow>,
}

/// One width of a [`GainTable`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GainRow {
    width: Width,
    /// The lower bounds of all bins but the first, ascending.
    edges: Vec<f32>,
    /// Images in each bin.
    images: Vec<u32>,
    /// How many of them are right.
    correct: Vec<u32>,
    /// For each wider row, and each bin here, the images in each bin there.
    wider: Vec<Vec<Vec<u32>>>,
}

/// What a network says about one image at one width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Calibrated probability of the most probable class, 0 to 1.
    pub probability: f32,
    /// Whether that class is the image's.
    pub correct: bool,
}

/// Why a gain table is refused. Rows and bins count from 0.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GainTableError {
    /// Too few or too many rows.
    #[error("has {0} widths; 1 to {MAX_ROWS} are allowed")]
    Rows(usize),
    /// Widths out of order, or without full width.
    #[error("widths must ascend to 1")]
    Widths,
    /// A width that is none.
    #[error("row {row}: {width} is not a width from 0.000001 to 1")]
    Width {
        /// The row.
        row: usize,
        /// The value.
        width: String,
    },
    /// Bin edges that are not probabilities in ascending order, or too many.
    #[error("width {0}: edges must be fewer than {MAX_BINS} numbers, ascending, from 0 to 1")]
    Edges(Width),
    /// A list with another length than the bins.
    #[error("width {width}: {field} has {found} entries for {expected} {unit}")]
    Length {
        /// The row's width.
        width: Width,
        /// The field.
        field: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits.
        expected: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// Counts that contradict each other.
    #[error("width {width}: {what}")]
    Counts {
        /// The row's width.
        width: Width,
        /// The contradiction.
        what: String,
    },
}

/// Maximum number of widths.
const MAX_ROWS: usize = 32;
/// Maximum number of widths of [`GainTable::widths_of`]: the size of a table grows with their square.
const MAX_COUNTED: usize = 12;
/// Maximum number of bins of a width.
const MAX_BINS: usize = 32;
/// Maximum number of images.
const MAX_IMAGES: u64 = 1 << 30;
/// Number of bins that [`GainTable::count`] makes with enough images.
const BINS: usize = 16;
/// Images per bin below which it makes fewer bins.
const IMAGES_PER_BIN: usize = 32;

/// A row as it is in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRow {
    width: f64,
    edges: Vec<f32>,
    images: Vec<u32>,
    correct: Vec<u32>,
    wider: Vec<Vec<Vec<u32>>>,
}

impl Outcome {
    /// The outcome for an image of `class`, from its logits at a width and that width's temperature. The lower class wins among
    /// equals.
    pub fn of(logits: &[f32], temperature: f64, class: usize) -> Outcome {
        let probabilities = probabilities(logits, temperature);
        let best = probabilities.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
        best.map_or(Outcome { probability: 0.0, correct: false }, |(first, &probability)| Outcome {
            probability,
            correct: first == class,
        })
    }
}

impl GainTable {
    /// Counts the outcomes of held-out images: for each image, one outcome per width. Bins hold equally many images, as far as
    /// probabilities differ.
    ///
    /// # Panics
    /// If there is no image, if `widths` are not 1 to 32 and ascend to full width, or if an image has another number of outcomes.
    pub fn count(widths: &[Width], images: &[Vec<Outcome>]) -> GainTable {
        assert!((1..=MAX_ROWS).contains(&widths.len()) && !images.is_empty(), "widths and images");
        assert!(widths.is_sorted_by(|a, b| a < b) && widths.last() == Some(&Width::FULL), "widths ascend to 1");
        let edges: Vec<Vec<f32>> = (0..widths.len()).map(|row| quantiles(images, row)).collect();
        let bins: Vec<Vec<usize>> = images
            .iter()
            .map(|outcomes| {
                assert_eq!(outcomes.len(), widths.len(), "one outcome per width");
                outcomes.iter().zip(&edges).map(|(outcome, edges)| bin(edges, outcome.probability)).collect()
            })
            .collect();
        let row = |at: usize| {
            let (mut counted, mut correct) = (vec![0; edges[at].len() + 1], vec![0; edges[at].len() + 1]);
            let matrix = |there: usize| vec![vec![0; edges[there].len() + 1]; edges[at].len() + 1];
            let mut wider: Vec<_> = (at + 1..widths.len()).map(matrix).collect();
            for (outcomes, bins) in images.iter().zip(&bins) {
                counted[bins[at]] += 1;
                correct[bins[at]] += u32::from(outcomes[at].correct);
                wider.iter_mut().zip(&bins[at + 1..]).for_each(|(matrix, &there)| matrix[bins[at]][there] += 1);
            }
            GainRow { width: widths[at], edges: edges[at].clone(), images: counted, correct, wider }
        };
        GainTable { rows: (0..widths.len()).map(row).collect() }
    }

    /// Widths for a table of a model with this grid: at most 12 of its steps, evenly spaced to full width.
    pub fn widths_of(grid: &[Width]) -> Vec<Width> {
        let every = grid.len().div_ceil(MAX_COUNTED).max(1);
        let mut widths: Vec<Width> = grid.iter().rev().step_by(every).copied().collect();
        widths.reverse();
        widths
    }

    /// Checks a table from a file.
    pub(super) fn new(rows: Vec<RawRow>) -> Result<GainTable, GainTableError> {
        if !(1..=MAX_ROWS).contains(&rows.len()) {
            return Err(GainTableError::Rows(rows.len()));
        }
        let rows =
            rows.into_iter().enumerate().map(|(row, raw)| GainRow::new(row, raw)).collect::<Result<Vec<_>, _>>()?;
        if !rows.is_sorted_by(|a, b| a.width < b.width) || rows.last().is_none_or(|row| row.width != Width::FULL) {
            return Err(GainTableError::Widths);
        }
        for (index, row) in rows.iter().enumerate() {
            row.check_wider(&rows[index + 1..])?;
        }
        Ok(GainTable { rows })
    }

    /// The widths, narrow to wide; the last is full width.
    pub fn rows(&self) -> &[GainRow] {
        &self.rows
    }

    /// The row of a width, if the table has it.
    pub fn row(&self, width: Width) -> Option<&GainRow> {
        self.index(width).map(|index| &self.rows[index])
    }

    /// For each bin of one width, the images in each bin of a wider one; `None` if the table lacks either, or the second is not
    /// wider.
    pub fn moves(&self, from: Width, to: Width) -> Option<&[Vec<u32>]> {
        let (from, to) = (self.index(from)?, self.index(to)?);
        self.rows[from].wider.get(to.checked_sub(from + 1)?).map(Vec::as_slice)
    }

    /// Number of images.
    pub fn images(&self) -> u64 {
        sum(&self.rows[0].images)
    }

    /// The same table with other accuracies: `accuracy` gets the row, the bin and the accuracy there, and returns the one to take
    /// its place, from 0 to 1.
    #[must_use]
    pub fn with_accuracy(&self, accuracy: impl Fn(usize, usize, f64) -> f64) -> GainTable {
        let mut table = self.clone();
        for (at, row) in table.rows.iter_mut().enumerate() {
            for bin in 0..row.bins() {
                let (images, now) = (row.images[bin], accuracy(at, bin, row.bin_accuracy(bin)));
                row.correct[bin] = (now.clamp(0.0, 1.0) * f64::from(images)).round() as u32;
            }
        }
        table
    }

    fn index(&self, width: Width) -> Option<usize> {
        self.rows.binary_search_by_key(&width, |row| row.width).ok()
    }
}

impl From<GainTable> for Vec<GainRow> {
    fn from(table: GainTable) -> Vec<GainRow> {
        table.rows
    }
}

impl TryFrom<Vec<RawRow>> for GainTable {
    type Error = GainTableError;

    fn try_from(rows: Vec<RawRow>) -> Result<GainTable, GainTableError> {
        GainTable::new(rows)
    }
}

impl GainRow {
    /// The width.
    pub fn width(&self) -> Width {
        self.width
    }

    /// Number of bins.
    pub fn bins(&self) -> usize {
        self.images.len()
    }

    /// The bin of a calibrated top probability. NaN counts as 0.
    pub fn bin(&self, probability: f32) -> usize {
        bin(&self.edges, probability)
    }

    /// Images in each bin.
    pub fn images(&self) -> &[u32] {
        &self.images
    }

    /// Images of each bin that are right.
    pub fn correct(&self) -> &[u32] {
        &self.correct
    }

    /// The share of a bin's images that are right; that of all bins if it is empty.
    ///
    /// # Panics
    /// If there is no such bin.
    pub fn bin_accuracy(&self, bin: usize) -> f64 {
        match self.images[bin] {
            0 => self.accuracy(),
            images => f64::from(self.correct[bin]) / f64::from(images),
        }
    }

    /// The smallest probability of a bin.
    ///
    /// # Panics
    /// If there is no such bin.
    pub fn lower_bound(&self, bin: usize) -> f32 {
        if bin == 0 { 0.0 } else { self.edges[bin - 1] }
    }

    /// The share of images that are right.
    pub fn accuracy(&self) -> f64 {
        let [correct, images] = [&self.correct, &self.images].map(|counts| sum(counts) as f64);
        correct / images
    }

    fn new(row: usize, raw: RawRow) -> Result<GainRow, GainTableError> {
        let RawRow { width, edges, images, correct, wider } = raw;
        let width = Width::try_from(width).map_err(|_| GainTableError::Width { row, width: width.to_string() })?;
        let probable = |edge: &f32| (0.0..=1.0).contains(edge);
        if edges.len() >= MAX_BINS || !edges.iter().all(probable) || !edges.is_sorted_by(|a, b| a < b) {
            return Err(GainTableError::Edges(width));
        }
        for (field, found) in [("images", images.len()), ("correct", correct.len())] {
            length(width, (field, found), edges.len() + 1, "bins")?;
        }
        let total = sum(&images);
        if !(1..=MAX_IMAGES).contains(&total) {
            return Err(counts(width, format!("has {total} images; 1 to {MAX_IMAGES} are allowed")));
        }
        if let Some(bin) = images.iter().zip(&correct).position(|(images, correct)| correct > images) {
            let (correct, images) = (correct[bin], images[bin]);
            return Err(counts(width, format!("{correct} of the {images} images of bin {bin} are right")));
        }
        Ok(GainRow { width, edges, images, correct, wider })
    }

    /// Checks the transitions to the wider rows.
    fn check_wider(&self, wider: &[GainRow]) -> Result<(), GainTableError> {
        length(self.width, ("wider", self.wider.len()), wider.len(), "wider widths")?;
        for (matrix, there) in self.wider.iter().zip(wider) {
            length(self.width, ("an entry of wider", matrix.len()), self.bins(), "bins")?;
            for (bin, row) in matrix.iter().enumerate() {
                length(self.width, ("a row of wider", row.len()), there.bins(), "bins of the wider width")?;
                let (moved, here) = (sum(row), u64::from(self.images[bin]));
                if moved != here {
                    let to = there.width;
                    let what = format!("bin {bin} has {here} images, of which {moved} are counted at width {to}");
                    return Err(counts(self.width, what));
                }
            }
            for (bin, &images) in there.images.iter().enumerate() {
                let moved: u64 = matrix.iter().map(|row| u64::from(row[bin])).sum();
                if moved != u64::from(images) {
                    let to = there.width;
                    let what = format!("{moved} images move to bin {bin} of width {to}, which has {images}");
                    return Err(counts(self.width, what));
                }
            }
        }
        Ok(())
    }
}

/// The bin of a probability, by the lower bounds of all bins but the first.
fn bin(edges: &[f32], probability: f32) -> usize {
    edges.partition_point(|&edge| edge <= probability)
}

/// Lower bounds of bins that hold equally many of the images, as far as their probabilities differ.
fn quantiles(images: &[Vec<Outcome>], row: usize) -> Vec<f32> {
    // Broken networks give NaN, which `max` turns into 0.
    let mut probabilities: Vec<f32> = images.iter().map(|outcomes| outcomes[row].probability.max(0.0)).collect();
    probabilities.sort_by(f32::total_cmp);
    let bins = (images.len() / IMAGES_PER_BIN).clamp(1, BINS);
    let mut edges: Vec<f32> = (1..bins).map(|bin| probabilities[bin * images.len() / bins]).collect();
    edges.retain(|edge| *edge > probabilities[0]);
    edges.dedup();
    edges
}

fn sum(counts: &[u32]) -> u64 {
    counts.iter().map(|&count| u64::from(count)).sum()
}

fn counts(width: Width, what: String) -> GainTableError {
    GainTableError::Counts { width, what }
}

fn length(
    width: Width,
    (field, found): (&'static str, usize),
    expected: usize,
    unit: &'static str,
) -> Result<(), GainTableError> {
    if found == expected { Ok(()) } else { Err(GainTableError::Length { width, field, found, expected, unit }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn widths(count: usize) -> Vec<Width> {
        (1..=count).map(|active| Width::of_channels(active, count)).collect()
    }

    fn images() -> impl Strategy<Value = Vec<Vec<Outcome>>> {
        let outcome =
            (0u8..40, any::<bool>()).prop_map(|(at, correct)| Outcome { probability: f32::from(at) / 39.0, correct });
        (1usize..5)
            .prop_flat_map(move |rows| prop::collection::vec(prop::collection::vec(outcome.clone(), rows), 1..600))
    }

    fn read(json: &str) -> Result<GainTable, String> {
        let rows = serde_json::from_str(json).map_err(|error| error.to_string())?;
        GainTable::new(rows).map_err(|error| error.to_string())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_counted_table_is_read_back_as_it_was(images in images()) {
            let table = GainTable::count(&widths(images[0].len()), &images);
            prop_assert_eq!(read(&serde_json::to_string(&table).unwrap()), Ok(table));
        }

        #[test]
        fn every_count_is_the_number_of_such_images(images in images()) {
            let table = GainTable::count(&widths(images[0].len()), &images);
            let rows = table.rows();
            let count = |such: &dyn Fn(&[Outcome]) -> bool| images.iter().filter(|image| such(image)).count() as u32;
            for (at, row) in rows.iter().enumerate() {
                for bin in 0..row.bins() {
                    let here = |image: &[Outcome]| row.bin(image[at].probability) == bin;
                    prop_assert_eq!(row.images()[bin], count(&|image| here(image)));
                    prop_assert_eq!(row.correct()[bin], count(&|image| here(image) && image[at].correct));
                    for (index, there) in rows[at + 1..].iter().enumerate() {
                        for to in 0..there.bins() {
                            let moved = |image: &[Outcome]| there.bin(image[at + 1 + index].probability) == to;
                            prop_assert_eq!(table.moves(row.width, there.width).unwrap()[bin][to], count(&|image| here(image) && moved(image)));
                        }
                    }
                }
                prop_assert!(row.images().iter().all(|&images| images > 0) || row.bins() == 1);
            }
            prop_assert_eq!(table.images(), images.len() as u64);
        }

        /// One digit changed: never a panic, and never a table that contradicts itself.
        #[test]
        fn a_changed_table_is_refused_or_consistent(images in images(), place in any::<prop::sample::Index>(), digit in 0u8..10) {
            let table = GainTable::count(&widths(images[0].len()), &images);
            let mut json = serde_json::to_string(&table).unwrap().into_bytes();
            let digits: Vec<_> = (0..json.len()).filter(|&at| json[at].is_ascii_digit()).collect();
            json[digits[place.index(digits.len())]] = b'0' + digit;
            if let Ok(read) = read(std::str::from_utf8(&json).unwrap()) {
                for (at, row) in read.rows().iter().enumerate() {
                    prop_assert_eq!(sum(row.images()), read.images());
                    prop_assert_eq!(row.wider.len(), read.rows().len() - at - 1);
                }
            }
        }
    }

    #[test]
    fn an_outcome_is_the_most_probable_class_and_the_lower_among_equals() {
        let outcome = |logits: &[f32], class| Outcome::of(logits, 1.0, class);
        assert_eq!(outcome(&[0.0, 0.0], 0), Outcome { probability: 0.5, correct: true });
        assert!(!outcome(&[0.0, 0.0], 1).correct);
        let sure = outcome(&[0.0, 3f32.ln()], 1);
        assert!(sure.correct && (sure.probability - 0.75).abs() < 1e-6);
    }

    #[test]
    fn bins_hold_equally_many_images_and_equal_probabilities_share_one() {
        let images: Vec<_> =
            (0..1600).map(|at| vec![Outcome { probability: at as f32 / 1600.0, correct: true }]).collect();
        let table = GainTable::count(&[Width::FULL], &images);
        assert_eq!(table.rows()[0].images(), [100; 16]);
        let sure = vec![vec![Outcome { probability: 1.0, correct: true }]; 1600];
        assert_eq!(GainTable::count(&[Width::FULL], &sure).rows()[0].bins(), 1);
        let broken = vec![vec![Outcome { probability: f32::NAN, correct: false }]; 1600];
        assert_eq!(GainTable::count(&[Width::FULL], &broken).rows()[0].correct(), [0]);
    }

    #[test]
    fn a_table_has_at_most_twelve_widths_of_the_grid() {
        assert_eq!(GainTable::widths_of(&widths(8)), widths(8));
        assert_eq!(GainTable::widths_of(&widths(24)), widths(12));
        assert_eq!(GainTable::widths_of(&widths(1)), [Width::FULL]);
    }

    #[test]
    fn probabilities_of_zero_and_one_have_a_bin() {
        let row = read(r#"[{"width":1,"edges":[0,0.5,1],"images":[0,1,2,3],"correct":[0,1,2,3],"wider":[]}]"#).unwrap();
        let row = &row.rows()[0];
        assert_eq!([-1.0, 0.0, 0.4, 0.5, 1.0, f32::NAN].map(|p| row.bin(p)), [0, 1, 1, 2, 3, 0]);
    }
}
