//! Initialization of weights other than random.

use std::collections::HashMap;

use anywidth::engine::Width;
use tch::{Kind, Tensor};

use super::layer::FanIn;
use super::{Convolution, Layer, Mode, Network, Window, channels_last};

/// Initializes rows of the later convolutions as copies: output channel `i` passes input channel `i * C_in / C_out`
/// through if that is an integer. Other rows are unchanged.
///
/// That channel is the last in the row's fan-in, so narrow widths copy channels that they have.
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

/// Gives `network` the hidden layers of `source`, which has the same architecture for another image size. Stages that
/// only `network` has are initialized to pass their input through, so the final pooling gives about the same result;
/// kernels of another size get the same middle.
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

/// Copies the middle of the kernels `from`, of another odd size, to the middle of `to`, with zeros around it.
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

/// Fits the stem of `network`, whose stride is larger than that of `source`, so that its output for `images` (`[N, C,
/// H, W]` in 0..1) approximates the output of `source` for the downscaled images: least squares over all patches. Does
/// nothing if the strides are equal.
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
        let outputs = |length: i64| (length + 2 * padding - side) / stride + 1;
        let patches = images.im2col([side; 2], [1, 1], [padding; 2], [stride; 2]);
        let patches = patches.view([images.size()[0], -1, outputs(height), outputs(width)]);
        // Both maps begin at the same pixel; one may have an extra row, and the zero borders differ.
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

/// Ridge regularization as a share of the mean square, because neighbouring pixels are highly correlated.
const RIDGE: f64 = 1e-4;

/// Sets the first convolution's rows to the principal components of the patches of `images` (`[N, C, H, W]` in 0..1),
/// each with both signs; rows beyond the last component are unchanged.
///
/// The following batch normalization scales each output to variance 1, which whitens the components. All rows get the
/// expected length of random ones, so that they learn at the same speed. Components of brightness and colour are
/// interleaved, each in the order of variance, so that the narrowest widths have both.
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

/// Prepares a network for training whose normalizations are folded, or which was trained on other images: rows before a
/// normalization get the length of random ones, and normalizations the statistics of `images` (`[N, C, H, W]` in 0..1).
/// The output in evaluation is unchanged; the output in training is about the same.
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

/// The principal components of the patches of `images` (those inside the image) in `window`, `[C * side * side, C,
/// side, side]`, in descending order of variance, each of length 1 and with its largest value positive.
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

/// Whether most of the component (`[C, K, K]`, of length 1) is equal in all image channels.
fn is_brightness(component: &Tensor) -> bool {
    let channels = component.size()[0] as f64;
    let alike = component.mean_dim([0i64].as_slice(), false, None).square().sum(Kind::Double).double_value(&[]);
    alike * channels > 0.5
}

/// The indices of both kinds, each in order: every third position, starting with the second, is a colour component.
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
