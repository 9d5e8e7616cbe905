//! Initialization: rows that pass a channel through, and a first layer that whitens patches.

use anywidth::engine::Triangle;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tch::{Kind, Tensor};

use exporter::data::Shape;
use exporter::model::{Architecture, Convolution, Layer, Network, Normalisation, Weights, Window, start};

fn network(architecture: Architecture, side: usize) -> Network {
    let normalisation = Normalisation { mean: vec![0.5; 3], std: vec![0.25; 3] };
    Network::new(architecture, Weights::Triangular, square(side), 10, normalisation, 3, Kind::Float)
}

fn square(side: usize) -> Shape {
    Shape { channels: 3, height: side, width: side }
}

fn convolutions(network: &Network) -> Vec<&Convolution> {
    let nodes = network.graph.nodes.iter();
    nodes.filter_map(|node| if let Layer::Convolution(it) = &node.layer { Some(it) } else { None }).collect()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).contiguous().view([-1])).expect("a flat tensor")
}

/// Smooth images: neighbouring pixels are highly correlated, the colours of a pixel less.
fn photographs(count: usize, side: usize) -> Tensor {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let mut pixels = Vec::new();
    for _ in 0..count {
        let [row, column, offset] = std::array::from_fn(|_| random.random_range(-0.02..0.02f32));
        let colour: [f32; 3] = std::array::from_fn(|_| random.random_range(-0.1..0.1));
        for tint in colour {
            for place in 0..side * side {
                // From -8 to 8, for any size.
                let [y, x] = [place / side, place % side].map(|at| 16.0 * at as f32 / side as f32 - 8.0);
                pixels.push(0.5 + tint + 10.0 * offset + row * y + column * x + random.random_range(-0.05..0.05));
            }
        }
    }
    Tensor::from_slice(&pixels).view([count as i64, 3, side as i64, side as i64])
}

#[test]
fn a_row_that_passes_a_channel_through_reads_the_last_one_that_it_may_and_others_keep_their_weights() {
    for architecture in [Architecture::Vgg8 { channels: [8, 12, 12] }, Architecture::Lenet { channels: 5 }] {
        let (random, copies) = (network(architecture, 32), network(architecture, 32));
        start::pass_through(&copies);
        for (index, (before, after)) in convolutions(&random).into_iter().zip(convolutions(&copies)).enumerate() {
            let [c_out, c_in, side, _] = before.weight.values.size()[..] else { panic!("four axes") };
            for row in 0..c_out {
                let now = after.weight.values.get(row);
                if index == 0 || row * c_in % c_out != 0 {
                    assert_eq!(values(&now), values(&before.weight.values.get(row)), "convolution {index} row {row}");
                    continue;
                }
                let last = Triangle::new(c_in as usize, c_out as usize).fan_in(row as usize) as i64 - 1;
                let one = ((last * side + side / 2) * side + side / 2) as usize;
                let expected: Vec<f64> = (0..now.numel()).map(|place| if place == one { 1.0 } else { 0.0 }).collect();
                assert_eq!(values(&now), expected, "convolution {index} row {row}");
            }
        }
    }
}

/// The patches of the normalized images inside the stem's windows, as rows of `C * K * K` values.
fn patches(images: &Tensor, Window { side, stride, .. }: Window) -> Tensor {
    let normalised = (images - 0.5) / 0.25;
    let [side, stride] = [side, stride].map(|length| [length as i64; 2]);
    normalised.im2col(side, [1, 1], [0, 0], stride).permute([0, 2, 1]).flatten(0, 1).to_kind(Kind::Double)
}

#[test]
fn a_whitened_stem_holds_uncorrelated_components_with_both_signs_side_by_side() {
    for (side, values_in_a_patch) in [(32, 27), (64, 27), (128, 75)] {
        let network = network(Architecture::Vgg8 { channels: [64, 64, 64] }, side);
        let images = photographs(50, side);
        start::whitened_stem(&network, &images);
        let stem = convolutions(&network)[0];
        let rows = stem.weight.values.detach().view([32, values_in_a_patch]).to_kind(Kind::Double);
        for pair in 0..16 {
            let (plus, minus) = (values(&rows.get(2 * pair)), values(&rows.get(2 * pair + 1)));
            assert!(plus.iter().zip(&minus).all(|(a, b)| a == &-b), "{side} pixels: pair {pair}");
            let length: f64 = plus.iter().map(|value| value * value).sum();
            assert!((length - 2.0).abs() < 1e-4, "{side} pixels: pair {pair} has the squared length {length}");
        }
        let answers = patches(&images, stem.window).matmul(&rows.slice(0, 0, 32, 2).tr());
        let correlation = values(&answers.tr().corrcoef());
        for (place, value) in correlation.iter().enumerate().filter(|(place, _)| place / 16 != place % 16) {
            assert!(value.abs() < 1e-2, "{side} pixels: {} and {} correlate by {value}", place / 16, place % 16);
        }
    }
}

#[test]
fn the_first_channels_of_a_whitened_stem_see_brightness_and_colour() {
    let network = network(Architecture::Vgg8 { channels: [64, 64, 64] }, 32);
    start::whitened_stem(&network, &photographs(50, 32));
    let rows = convolutions(&network)[0].weight.values.detach();
    // The share of a row's squared length, 2, that is equal in all three colours.
    let alike = |row: i64| -> f64 {
        let common = rows.get(row).mean_dim([0i64].as_slice(), false, None);
        3.0 * common.square().sum(Kind::Double).double_value(&[]) / 2.0
    };
    let kinds: Vec<bool> = (0..6).map(|pair| alike(2 * pair) > 0.5).collect();
    assert_eq!(kinds, [true, false, true, true, false, true]);
}

#[test]
fn a_stem_with_more_rows_than_components_keeps_the_rest_random() {
    let architecture = Architecture::Vgg8 { channels: [120, 8, 8] };
    let (random, whitened) = (network(architecture, 32), network(architecture, 32));
    start::whitened_stem(&whitened, &photographs(20, 32));
    let [before, after] = [&random, &whitened].map(|network| convolutions(network)[0].weight.values.detach());
    assert_eq!(values(&before.narrow(0, 54, 6)), values(&after.narrow(0, 54, 6)));
    assert_ne!(values(&before.narrow(0, 53, 1)), values(&after.narrow(0, 53, 1)));
}
