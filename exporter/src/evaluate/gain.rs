//! The gain table of a network, from its logits at every width.

use anywidth::engine::{GainTable, Outcome, Width};
use tch::{Kind, Tensor};

/// Which images a wider width helps, by the [`outcomes`] at ascending widths.
///
/// # Panics
/// If there are no images, or if full width is left out.
pub fn gain_table(logits: &Tensor, labels: &Tensor, by_width: (&[Width], &[f64]), counted: &[Width]) -> GainTable {
    let widths: Vec<Width> = by_width.0.iter().copied().filter(|width| counted.contains(width)).collect();
    GainTable::count(&widths, &outcomes(logits, labels, by_width, counted))
}

/// For each image, its outcome at each width. `logits` are `[widths, N, classes]` at ascending `widths` up to full width, `labels`
/// are `[N]`, and `temperatures` are those of the widths. Widths that are not in `counted` are left out.
pub fn outcomes(
    logits: &Tensor,
    labels: &Tensor,
    (widths, temperatures): (&[Width], &[f64]),
    counted: &[Width],
) -> Vec<Vec<Outcome>> {
    let rows: Vec<usize> = (0..widths.len()).filter(|&row| counted.contains(&widths[row])).collect();
    let labels: Vec<i64> = Vec::try_from(labels).expect("a label for each image");
    let columns: Vec<Vec<Outcome>> =
        rows.iter().map(|&row| at_one_width(&logits.get(row as i64), temperatures[row], &labels)).collect();
    (0..labels.len()).map(|image| columns.iter().map(|column| column[image]).collect()).collect()
}

/// The outcome for each image, from logits `[N, classes]`.
fn at_one_width(logits: &Tensor, temperature: f64, labels: &[i64]) -> Vec<Outcome> {
    let classes = logits.size()[1] as usize;
    let logits: Vec<f32> = Vec::try_from(logits.to_kind(Kind::Float).contiguous().view([-1])).expect("flat floats");
    let images = logits.chunks_exact(classes).zip(labels);
    images.map(|(logits, &label)| Outcome::of(logits, temperature, label as usize)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_the_answers_at_the_temperatures_of_the_widths() {
        // 64 images of class 1. At the narrow width half of them are answered 0, with 0.6; the others 1, with 0.9.
        let logit = |probability: f64| (probability / (1.0 - probability)).ln();
        let narrow = (0..64).flat_map(|n| if n % 2 == 0 { [logit(0.6), 0.0] } else { [0.0, logit(0.9)] });
        let wide = (0..64).flat_map(|_| [0.0, 2.0 * logit(0.8)]);
        let logits = Tensor::from_slice(&narrow.chain(wide).collect::<Vec<f64>>()).view([2, 64, 2]);
        let widths = [Width::of_channels(1, 2), Width::FULL];
        let labels = Tensor::from_slice(&[1i64; 64]);
        let table = gain_table(&logits, &labels, (&widths, &[1.0, 2.0]), &widths);
        let [narrow, wide] = table.rows() else { panic!("two rows") };
        assert_eq!((narrow.images(), narrow.correct()), (&[32, 32][..], &[0, 32][..]));
        assert_eq!((narrow.bin(0.7), narrow.bin(0.91)), (0, 1));
        assert_eq!((wide.accuracy(), table.moves(widths[0], widths[1])), (1.0, Some(&[vec![32], vec![32]][..])));
        assert_eq!(gain_table(&logits, &labels, (&widths, &[1.0, 2.0]), &widths[1..]).rows().len(), 1);
    }
}
