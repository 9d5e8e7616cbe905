//! Which input channels an output channel of a triangular layer reads: the single definition that exporter and engine share.

/// The lower block triangle of a layer's weights.
///
/// Output channel `i` reads the input channels that exist at the narrowest width at which `i` itself exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Triangle {
    /// Input channels at full width.
    pub inputs: usize,
    /// Output channels at full width.
    pub outputs: usize,
}

impl Triangle {
    /// The triangle of a layer with `inputs` input and `outputs` output channels at full width.
    pub const fn new(inputs: usize, outputs: usize) -> Triangle {
        Triangle { inputs, outputs }
    }

    /// How many input channels output channel `i` reads: a prefix of all.
    ///
    /// Where `inputs == outputs` this is `i + 1`: the lower triangle with its diagonal.
    pub const fn fan_in(self, i: usize) -> usize {
        let readable = i * self.inputs / self.outputs + 1;
        if readable < self.inputs { readable } else { self.inputs }
    }

    /// Whether output channel `i` reads input channel `j`: `j * outputs <= i * inputs`.
    pub const fn connects(self, i: usize, j: usize) -> bool {
        j * self.outputs <= i * self.inputs
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::Width;

    proptest! {
        /// The property that every width relies on: an active channel reads active channels only.
        #[test]
        fn active_channels_read_only_active_channels(
            millionths in 1u32..=1_000_000, inputs in 1usize..200, outputs in 1usize..200,
        ) {
            let (width, triangle) = (Width::from_millionths(millionths).unwrap(), Triangle::new(inputs, outputs));
            for i in 0..width.active(outputs) {
                prop_assert!(triangle.fan_in(i) <= width.active(inputs));
            }
        }

        #[test]
        fn the_fan_in_counts_the_connected_channels(inputs in 1usize..200, outputs in 1usize..200) {
            let triangle = Triangle::new(inputs, outputs);
            for i in 0..outputs {
                prop_assert_eq!(triangle.fan_in(i), (0..inputs).filter(|&j| triangle.connects(i, j)).count());
            }
        }
    }
}
