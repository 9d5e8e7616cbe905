//! Mean and standard deviation of pixels, exact and independent of the order of images.

/// Red, green, blue.
pub(super) const CHANNELS: usize = 3;

/// Sums over pixels, by channel.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sums {
    count: u64,
    values: [u64; CHANNELS],
    squares: [u64; CHANNELS],
}

/// Standard deviations below this are those of constant images.
const SMALLEST_DEVIATION: f64 = 1e-3;

impl Sums {
    /// The sums of one image `[C, H, W]`.
    pub(super) fn of(image: &[u8]) -> Sums {
        let area = image.len() / CHANNELS;
        let mut sums = Sums { count: area as u64, ..Sums::default() };
        for (channel, plane) in image.chunks_exact(area).enumerate() {
            sums.values[channel] = plane.iter().map(|&byte| u64::from(byte)).sum();
            sums.squares[channel] = plane.iter().map(|&byte| u64::from(byte).pow(2)).sum();
        }
        sums
    }

    pub(super) fn add(&mut self, other: &Sums) {
        self.count += other.count;
        for channel in 0..CHANNELS {
            self.values[channel] += other.values[channel];
            self.squares[channel] += other.squares[channel];
        }
    }

    /// Mean and standard deviation in 0..1.
    pub(super) fn statistics(&self) -> (Vec<f64>, Vec<f64>) {
        let of = |sum: u64, scale: f64| sum as f64 / self.count as f64 / scale;
        let mean: Vec<f64> = self.values.iter().map(|&sum| of(sum, 255.0)).collect();
        let squares = self.squares.iter().map(|&sum| of(sum, 255.0 * 255.0));
        let std =
            squares.zip(&mean).map(|(square, mean)| (square - mean * mean).max(0.0).sqrt().max(SMALLEST_DEVIATION));
        (mean.iter().map(|&value| rounded(value)).collect(), std.map(rounded).collect())
    }
}

/// Rounds to four places, as published statistics are.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
