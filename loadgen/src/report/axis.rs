//! Axes: positions of values, ticks, and number formatting.

/// A vertical axis: linear from 0, or logarithmic from a power of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Axis {
    /// From 0 to this value.
    Linear(f64),
    /// Between two powers of ten.
    Log(f64, f64),
}

/// Approximate number of ticks of an axis.
const TICKS: f64 = 4.0;

impl Axis {
    /// From 0 to the largest value, rounded up.
    pub(crate) fn linear(largest: f64) -> Axis {
        let step = step(largest);
        Axis::Linear((largest / step).ceil().max(1.0) * step)
    }

    /// Covers all values, which are above 0, by powers of ten.
    pub(crate) fn log(numbers: impl Iterator<Item = f64>) -> Axis {
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        numbers.for_each(|number| (low, high) = (low.min(number), high.max(number)));
        if high == 0.0 {
            return Axis::Log(0.1, 1.0);
        }
        // Times are whole microseconds in milliseconds: at least a thousandth.
        let low = 10f64.powf(low.max(1e-3).log10().floor());
        Axis::Log(low, 10f64.powf(high.log10().ceil()).max(low * 10.0))
    }

    /// Position of a value, from 0 (bottom) to 1.
    pub(crate) fn position(self, number: f64) -> f64 {
        let position = match self {
            Axis::Linear(top) => number / top,
            Axis::Log(low, high) => (number.max(low) / low).log10() / (high / low).log10(),
        };
        position.clamp(0.0, 1.0)
    }

    /// Round values from bottom to top.
    pub(crate) fn ticks(self) -> Vec<f64> {
        match self {
            Axis::Linear(top) => multiples(top, step(top)),
            Axis::Log(low, high) => {
                let decades = (high / low).log10().round() as i32;
                (0..=decades).map(|decade| low * 10f64.powi(decade)).collect()
            }
        }
    }
}

/// Round values from 0 to `top`.
pub(crate) fn ticks(top: f64, about: f64) -> Vec<f64> {
    multiples(top, step(top * TICKS / about))
}

fn multiples(top: f64, step: f64) -> Vec<f64> {
    // The quotient of two round values may fall just below the integer.
    let count = (top / step + 1e-9).floor() as usize;
    (0..=count).map(|index| index as f64 * step).collect()
}

/// 1, 2 or 5 times a power of ten, so that about [`TICKS`] steps reach `top`.
fn step(top: f64) -> f64 {
    if top <= 0.0 {
        return 1.0;
    }
    let rough = top / TICKS;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= rough * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

/// A number for axes and tables: grouped thousands and about four significant digits.
pub(crate) fn number(number: f64) -> String {
    if number.abs() >= 1000.0 { grouped(number.round() as i64) } else { short(number) }
}

fn short(number: f64) -> String {
    let places = if number.abs() >= 100.0 {
        1
    } else if number.abs() >= 1.0 {
        2
    } else {
        4
    };
    let text = format!("{number:.places$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// An integer with grouped thousands.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let parts = digits.as_bytes().rchunks(3).rev().map(|part| String::from_utf8_lossy(part).into_owned());
    format!("{}{}", if number < 0 { "-" } else { "" }, parts.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(Axis::linear(1.0).ticks(), [0.0, 0.5, 1.0]);
        assert_eq!(Axis::linear(830.0).ticks(), [0.0, 500.0, 1000.0]);
        assert_eq!(Axis::linear(0.0).ticks(), [0.0, 0.5, 1.0]);
        assert_eq!(Axis::log([3.0, 250.0].into_iter()).ticks(), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(Axis::log([].into_iter()), Axis::Log(0.1, 1.0));
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.25, 12.3456, 0.00001, 123.46, 1234.5, 1_234_567.0, -5.0].map(number);
        assert_eq!(texts, ["0", "0.25", "12.35", "0", "123.5", "1,235", "1,234,567", "-5"]);
    }

    proptest! {
        #[test]
        fn the_largest_number_is_on_the_axis_and_above_its_middle(largest in 1e-6f64..1e9) {
            let axis = Axis::linear(largest);
            let ticks = axis.ticks();
            prop_assert!((3..=8).contains(&ticks.len()), "{:?}", ticks);
            prop_assert!(axis.position(largest) > 0.5 && *ticks.last().unwrap() >= largest * 0.999_999);
            let log = Axis::log([largest, largest * 2.0].into_iter());
            prop_assert!(log.position(largest) <= log.position(largest * 2.0));
        }
    }
}
