//! Where training starts: other weights than random ones, for a head start.

use std::collections::HashMap;

use anywidth::engine::Width;
use tch::{Kind, Tensor};

use super::layer::FanIn;
use super::{Convolution, Layer, Mode, Network, Window, channels_last};

/// Makes rows of the later convolutions copies: output channel `i` passes input channel `i * C_in / C_out` through, where
/// that is a whole number. The other rows stay as they are.
///
/// That channel is the last that the row may read, so narrow widths get copies of what they have.
pub fn pass_through(network: &Network) {
    convolutions(network).skip(1).filter(|it| it.weight.fan_in != FanIn::Own).for_each(copy_channels);
}

fn copy_channels(convolution: &Convolution) {
    tch::no_grad(|| {
        let values = &convolution.weight.values;
        let [c_out, c_in, side, _] = values.size()[..] else { unreachable!("four axes") };
        for row in (0..c_out).filter(|row| row * c_in % c_out == 0) {
            let mut weight = values.get(row);
            let _ = weight.zero_();
            let _ = weight.get(row * c_in / c_out).get(side / 2).get(side / 2).fill_(1.0);
        }
    });
}

/// Gives `network` the hidden layers of `source`, the same architecture for images of a size of their own. Stages that only
/// `network` has pass on what they get, of which the pooling at the end leaves what it would have left anyway; of kernels of
/// another size, the middle is the same.
pub fn transfer(source: &Network, network: &Network) {
    let theirs: HashMap<String, &Tensor> = source.tensors().into_iter().collect();
    let copy = |name: &str, tensor: &Tensor| {
        let found = theirs.get(name).filter(|found| found.size() == tensor.size());
        found.map(|found| tch::no_grad(|| tensor.shallow_clone().copy_(found))).is_some()
    };
    for node in &network.graph.nodes {
        let name = |what: &str| format!("{}.{what}", node.name);
        match &node.layer {
            Layer::Convolution(convolution) => match theirs.get(&name("weight")) {
                _ if copy(&name("weight"), &convolution.weight.values) => {}
                Some(found) => copy_middle(&convolution.weight.values, found),
                None => copy_channels(convolution),
            },
            Layer::Linear(linear) => {
                copy(&name("weight"), &linear.weight.values);
            }
            Layer::Norm(norm) => norm.full().tensors().into_iter().for_each(|(what, tensor)| {
                copy(&name(what), tensor);
            }),
            _ => {}
        }
    }
}

/// Gives the middle of kernels `to` what the middle of kernels `from`, of another odd size, has, and zeros around it.
fn copy_middle(to: &Tensor, from: &Tensor) {
    let [ours, theirs] = [to, from].map(|kernels| kernels.size()[2]);
    let side = ours.min(theirs);
    let middle = |kernels: &Tensor, length: i64| {
        let border = (length - side) / 2;
        kernels.narrow(2, border, side).narrow(3, border, side)
    };
    tch::no_grad(|| {
        let _ = to.shallow_clone().zero_();
        middle(to, ours).copy_(&middle(from, theirs));
    });
}

/// Lets the stem of `network`, whose stride is larger than that of `source`, say of `images` (`[N, C, H, W]` in 0..1) what
/// the stem of `source` says of them once they are as much smaller: the kernels that come closest over all patches. Does
/// nothing where the strides are the same.
pub fn fit_stem(source: &Network, network: &Network, images: &Tensor) {
    let stem = |network: &Network| convolutions(network).next().map(|it| (it.weight.values.detach(), it.window));
    let (Some((theirs, coarse)), Some((ours, fine))) = (stem(source), stem(network)) else { return };
    if fine.stride <= coarse.stride {
        return;
    }
    tch::no_grad(|| {
        let times = (fine.stride / coarse.stride) as i64;
        let images = network.normalised(images);
        let reduced = images.avg_pool2d([times; 2], [times; 2], [0, 0], false, true, None::<i64>);
        let [stride, padding] = [coarse.stride, coarse.padding].map(|length| [length as i64; 2]);
        let wanted = reduced.conv2d(&theirs, None::<Tensor>, stride, padding, [1, 1], 1);
        let [side, stride, padding] = [fine.side, fine.stride, fine.padding].map(|length| length as i64);
        let [_, _, height, width] = images.size()[..] else { unreachable!("four axes") };
        let places = |length: i64| (length + 2 * padding - side) / stride + 1;
        let patches = images.im2col([side; 2], [1, 1], [padding; 2], [stride; 2]);
        let patches = patches.view([images.size()[0], -1, places(height), places(width)]);
        // Both maps begin at the same pixel; one may have a row more, and borders are of zeros of different sizes.
        let inside = |maps: &Tensor| {
            let [rows, columns] = [2, 3].map(|axis| patches.size()[axis].min(wanted.size()[axis]) - 2);
            maps.narrow(2, 1, rows).narrow(3, 1, columns).permute([0, 2, 3, 1]).flatten(0, 2).to_kind(Kind::Double)
        };
        let (patches, wanted) = (inside(&patches), inside(&wanted));
        let mut products = patches.tr().matmul(&patches);
        let ridge = RIDGE * products.trace().double_value(&[]) / products.size()[0] as f64;
        products += Tensor::eye(products.size()[0], (Kind::Double, products.device())) * ridge;
        let kernels = Tensor::linalg_solve(&products, &patches.tr().matmul(&wanted), true).tr();
        ours.shallow_clone().copy_(&kernels.contiguous().view_as(&ours));
    });
}

/// Added to the squares of neighbouring pixels, which are much alike, as a share of their mean.
const RIDGE: f64 = 1e-4;

/// Makes the first convolution's rows the principal components of the patches of `images` (`[N, C, H, W]` in 0..1),
/// each with both signs side by side; rows beyond the last component stay as they are.
///
/// Batch normalisation follows and scales what a row gives to variance 1, which makes the components white. So all rows
/// get the length that random ones have on average, and learn as fast. Components of brightness and of colour are mixed,
/// each kind in the order of its variance, so that the narrowest widths see both.
pub fn whitened_stem(network: &Network, images: &Tensor) {
    let stem = convolutions(network).next().expect("a network begins with a convolution");
    tch::no_grad(|| {
        let [rows, channels, ..] = stem.weight.values.size()[..] else { unreachable!("four axes") };
        let components = components(&network.normalised(images), stem.window);
        let [count, ..] = components.size()[..] else { unreachable!("four axes") };
        let order = mixed(&(0..count).map(|index| is_brightness(&components.get(index))).collect::<Vec<bool>>());
        debug_assert_eq!(components.size()[1], channels);
        for row in 0..rows.min(2 * count) {
            let component = components.get(order[row as usize / 2] as i64);
            let sign = if row % 2 == 0 { 1.0 } else { -1.0 };
            stem.weight.values.get(row).copy_(&(component * (sign * 2f64.sqrt())));
        }
    });
}

/// Makes a network whose normalisations are folded away, or of other images, one that can be trained: each layer with
/// a normalisation right after it gets rows of the length that random ones have, and each normalisation the statistics of
/// `images` (`[N, C, H, W]` in 0..1). In evaluation the network computes what it did before; in training, about that.
pub fn calibrated(network: &Network, images: &Tensor) {
    let mode = Mode::EVALUATION;
    tch::no_grad(|| {
        let graph = &network.graph;
        let mut stretched: HashMap<&str, Tensor> = HashMap::new();
        for (id, node) in graph.nodes.iter().enumerate() {
            if let (Some(matrix), Some((norm, _))) = (node.layer.matrix(), graph.folded_norm(id)) {
                stretched.insert(&graph.nodes[norm].name, matrix.stretch());
            }
        }
        let _ = graph.walk(channels_last(&network.normalised(images)), |node, inputs| {
            if let Layer::Norm(norm) = &node.layer {
                let set = norm.full();
                match stretched.get(node.name.as_str()) {
                    Some(factor) => {
                        let scale = set.scale() / factor;
                        let summand = &set.beta - &set.mean * &scale * factor;
                        set.become_with(&scale, &summand, &inputs[0]);
                    }
                    None => norm.calibrate(&inputs[0]),
                }
            }
            node.layer.forward(inputs, Width::FULL, mode)
        });
    });
}

/// The principal components of the patches that `window` takes from `images` (those inside of the image),
/// `[C * side * side, C, side, side]`, largest variance first, each of length 1 and with its largest value positive.
fn components(images: &Tensor, window: Window) -> Tensor {
    let channels = images.size()[1];
    let [side, stride] = [window.side, window.stride].map(|length| length as i64);
    let mut centred = images.im2col([side; 2], [1, 1], [0, 0], [stride; 2]).permute([1, 0, 2]).flatten(1, 2);
    centred -= centred.mean_dim([1i64].as_slice(), true, None);
    let covariance = centred.matmul(&centred.tr()).to_kind(Kind::Double) / centred.size()[1] as f64;
    let vectors = covariance.linalg_eigh("L").1.tr().flip([0]);
    let largest = vectors.gather(1, &vectors.abs().argmax(1, true), false);
    (vectors * largest.sign()).view([-1, channels, side, side])
}

/// Does most of the component (`[C, K, K]`, of length 1) lie where all of the image's channels are alike?
fn is_brightness(component: &Tensor) -> bool {
    let channels = component.size()[0] as f64;
    let alike = component.mean_dim([0i64].as_slice(), false, None).square().sum(Kind::Double).double_value(&[]);
    alike * channels > 0.5
}

/// The indices of both kinds, each kind in its order: every third place is colour's, the second one first.
fn mixed(brightness: &[bool]) -> Vec<usize> {
    let of_kind = |kind| (0..brightness.len()).filter(move |&index| brightness[index] == kind);
    let (mut light, mut colour) = (of_kind(true), of_kind(false));
    let pick = |place: usize| match place % 3 {
        1 => colour.next().or_else(|| light.next()),
        _ => light.next().or_else(|| colour.next()),
    };
    (0..brightness.len()).map_while(pick).collect()
}

fn convolutions(network: &Network) -> impl Iterator<Item = &Convolution> {
    network.graph.nodes.iter().filter_map(|node| match &node.layer {
        Layer::Convolution(convolution) => Some(convolution),
        _ => None,
    })
}
