//! The triangular connectivity of hidden layers. Exporter and engine share this definition.

/// The lower block-triangular connectivity of a layer.
///
/// Output channel `i` reads the input channels that exist at the narrowest width at which `i` exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Triangle {
    /// Input channels at full width.
    pub inputs: usize,
    /// Output channels at full width.
    pub outputs: usize,
}

impl Triangle {
    /// Creates the triangle of a layer with these channel counts at full width.
    pub const fn new(inputs: usize, outputs: usize) -> Triangle {
        Triangle { inputs, outputs }
    }

    /// Number of input channels that output channel `i` reads; they are a prefix of all input channels.
    ///
    /// If `inputs == outputs` this is `i + 1`: the lower triangle with its diagonal.
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
        /// The invariant behind every width: an active channel reads only active channels.
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
