//! Parameters and multiply-adds on a card are what one gets by counting.

use anywidth::engine::width::{Width, limit};
use tch::Kind;

use exporter::data::Dataset;
use exporter::model::{Architecture, Network, Normalisation};

#[test]
fn the_cost_at_every_width_is_what_counting_row_by_row_gives() {
    let channels = 10;
    let normalisation = Normalisation { mean: vec![0.5; 3], std: vec![0.5; 3] };
    let architecture = Architecture::Lenet { channels };
    let network = Network::new(architecture, Dataset::Cifar10.shape(), 10, normalisation, 1, Kind::Float);
    for active in 1..=channels {
        // Maps after the three convolutions: 30x30, 28x28, and (after pooling to 14x14) 10x10; 5x5 reach the end.
        let triangle: usize = (0..active).map(|row| limit(row, channels, channels)).sum();
        let weights = [active * 3 * 9, triangle * 9, triangle * 25, 10 * active * 25];
        let cost = network.cost(Width::of_channels(active, channels));
        assert_eq!(cost.parameters, weights.iter().sum::<usize>() + 3 * active + 10);
        let places = [30 * 30, 28 * 28, 10 * 10, 1];
        assert_eq!(cost.multiply_adds, weights.iter().zip(places).map(|(count, places)| count * places).sum::<usize>());
    }
}
