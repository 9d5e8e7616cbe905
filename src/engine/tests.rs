//! Engine invariants as property tests over random networks, widths and batches.

use std::sync::Arc;

use proptest::prelude::*;

use super::graph::{Affine, Clamp, Conv, Function, Graph, Head, Linear, Node, Op, Pool, PoolKind, Shape, Window};
use super::kernel::simd::InstructionSet;
use super::metadata::Metadata;
use super::width::Width;
use super::{LoadError, Model, Pass, Precision, Triangle, reference};

/// A layer to add to a network, if it fits.
#[derive(Debug, Clone)]
enum Spec {
    Conv {
        outputs: usize,
        window: Window,
    },
    Depthwise {
        window: Window,
    },
    Linear {
        outputs: usize,
    },
    Affine,
    Clamp(Clamp),
    Pool {
        kind: PoolKind,
        window: Window,
    },
    Function(Function),
    /// A shape-preserving convolution, added to its input.
    Residual,
    /// Two linear layers on the means of the channels, and a factor for each channel.
    SqueezeExcitation {
        hidden: usize,
        inner: Function,
        /// `clamp(x / 6 + 1 / 2)` instead of a sigmoid.
        hard: bool,
    },
    /// The input times the sigmoid of a shape-preserving convolution.
    Gated,
}

fn windows() -> impl Strategy<Value = Window> {
    let pair = |range: std::ops::Range<usize>| [range.clone(), range];
    let dilations = prop_oneof![2 => Just([1; 2]), 1 => prop::array::uniform2(1..4usize)];
    (pair(1..6), pair(1..4), dilations, pair(0..3), pair(0..3)).prop_map(|(kernel, stride, dilation, before, after)| {
        Window {
            kernel,
            stride,
            dilation,
            before: [before[0].min(kernel[0] - 1), before[1].min(kernel[1] - 1)],
            after: [after[0].min(kernel[0] - 1), after[1].min(kernel[1] - 1)],
        }
    })
}

/// Windows common in real networks.
fn common_windows() -> impl Strategy<Value = Window> {
    (prop::sample::select(vec![(1, 0), (3, 1), (3, 0), (5, 2), (5, 0)]), 1..3usize).prop_map(
        |((kernel, pad), stride)| Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            before: [pad; 2],
            after: [pad; 2],
        },
    )
}

fn functions() -> impl Strategy<Value = Function> {
    prop_oneof![
        (-1.0..2.0f32).prop_map(|slope| Function::LeakyRelu { slope }),
        Just(Function::Sigmoid),
        Just(Function::Tanh),
        Just(Function::Erf),
        prop::sample::select(vec![1.0, 1.702]).prop_map(|factor| Function::Swish { factor }),
        Just(Function::HardSwish),
        Just(Function::Gelu),
        Just(Function::GeluTanh),
    ]
}

fn specs() -> impl Strategy<Value = Spec> {
    let kinds = || prop::sample::select(vec![PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding]);
    let halving = Window { kernel: [2; 2], stride: [2; 2], ..Window::POINT };
    prop_oneof![
        3 => (1..60usize, common_windows()).prop_map(|(outputs, window)| Spec::Conv { outputs, window }),
        2 => (1..30usize, windows()).prop_map(|(outputs, window)| Spec::Conv { outputs, window }),
        1 => windows().prop_map(|window| Spec::Depthwise { window }),
        1 => (1..40usize).prop_map(|outputs| Spec::Linear { outputs }),
        1 => Just(Spec::Affine),
        2 => prop::sample::select(vec![Clamp::RELU, Clamp { low: 0.0, high: 6.0 }]).prop_map(Spec::Clamp),
        1 => (kinds(), windows())
            .prop_map(|(kind, window)| Spec::Pool { kind, window: Window { dilation: [1; 2], ..window } }),
        1 => Just(Spec::Pool { kind: PoolKind::Max, window: halving }),
        1 => Just(Spec::Residual),
        2 => functions().prop_map(Spec::Function),
        2 => (1..20usize, functions(), any::<bool>())
            .prop_map(|(hidden, inner, hard)| Spec::SqueezeExcitation { hidden, inner, hard }),
        1 => Just(Spec::Gated),
    ]
}

/// Deterministic numbers in -1..1: splitmix64 (Steele, Lea and Flood, 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn take(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.next()).collect()
    }
}

struct Builder {
    nodes: Vec<Node>,
    numbers: Numbers,
}

impl Builder {
    fn push(&mut self, op: Op, inputs: Vec<usize>, shape: Shape) -> usize {
        let sliced = matches!(op, Op::Conv(_) | Op::Linear(_)) || self.nodes[inputs[0]].sliced;
        let name = format!("layer{}", self.nodes.len());
        self.nodes.push(Node { name, op, inputs, shape, sliced });
        self.nodes.len() - 1
    }

    /// Weights `[outputs, inputs, per_input]` with zeros above the triangle, scaled to keep the variance of the
    /// activations.
    fn weights(&mut self, source: usize, outputs: usize, per_input: usize) -> Vec<f32> {
        let inputs = self.nodes[source].shape.channels;
        let sliced = self.nodes[source].sliced;
        let scale = (3.0 / (inputs * per_input) as f32).sqrt();
        let mut weights = vec![];
        for i in 0..outputs {
            for j in 0..inputs {
                let allowed = !sliced || Triangle::new(inputs, outputs).connects(i, j);
                weights.extend((0..per_input).map(|_| if allowed { scale * self.numbers.next() } else { 0.0 }));
            }
        }
        weights
    }

    fn conv(&mut self, source: usize, outputs: usize, window: Window) -> Option<usize> {
        let shape = self.nodes[source].shape;
        let [height, width] = window.output(shape.height, shape.width)?;
        let weights = self.weights(source, outputs, window.area());
        let conv = Conv { weights, bias: self.numbers.take(outputs), window };
        Some(self.push(Op::Conv(conv), vec![source], Shape { channels: outputs, height, width }))
    }

    /// A number for each channel, of the channels' means.
    fn gate(&mut self, source: usize, hidden: usize, inner: Function, hard: bool) -> Option<usize> {
        let shape = self.nodes[source].shape;
        let window = Window { kernel: [shape.height, shape.width], ..Window::POINT };
        let pool = Spec::Pool { kind: PoolKind::Average, window };
        let layers =
            [pool, Spec::Linear { outputs: hidden }, Spec::Function(inner), Spec::Linear { outputs: shape.channels }];
        let top = layers.iter().try_fold(source, |top, spec| self.add(top, spec))?;
        let pixel = self.nodes[top].shape;
        if !hard {
            return self.add(top, &Spec::Function(Function::Sigmoid));
        }
        let affine = Affine { scale: vec![1.0 / 6.0; shape.channels], shift: vec![0.5; shape.channels] };
        let ramp = self.push(Op::Affine(affine), vec![top], pixel);
        self.add(ramp, &Spec::Clamp(Clamp { low: 0.0, high: 1.0 }))
    }

    /// A value times its gate; the gate alone if the value has all channels at every width.
    fn product(&mut self, source: usize, gate: usize) -> usize {
        if !self.nodes[source].sliced {
            return gate;
        }
        let shape = self.nodes[source].shape;
        self.push(Op::Mul, vec![source, gate], shape)
    }

    /// Adds a layer on top of node `source`; `None` if it does not fit.
    fn add(&mut self, source: usize, spec: &Spec) -> Option<usize> {
        let shape = self.nodes[source].shape;
        Some(match *spec {
            Spec::Conv { outputs, window } => self.conv(source, outputs, window)?,
            Spec::Depthwise { window } => {
                let [height, width] = window.output(shape.height, shape.width)?;
                let weights = self.numbers.take(shape.channels * window.area());
                let conv = Conv { weights, bias: self.numbers.take(shape.channels), window };
                self.push(Op::Depthwise(conv), vec![source], Shape { height, width, ..shape })
            }
            Spec::Linear { outputs } => {
                let weights = self.weights(source, outputs, shape.pixels());
                let linear = Linear { weights, bias: self.numbers.take(outputs) };
                self.push(Op::Linear(linear), vec![source], Shape { channels: outputs, height: 1, width: 1 })
            }
            Spec::Affine => {
                let channels = shape.channels;
                let affine = Affine { scale: self.numbers.take(channels), shift: self.numbers.take(channels) };
                self.push(Op::Affine(affine), vec![source], shape)
            }
            Spec::Clamp(clamp) => self.push(Op::Clamp(clamp), vec![source], shape),
            Spec::Pool { kind, window } => {
                let [height, width] = window.output(shape.height, shape.width)?;
                self.push(Op::Pool(Pool { kind, window }), vec![source], Shape { height, width, ..shape })
            }
            Spec::Function(function) => self.push(Op::Function(function), vec![source], shape),
            Spec::SqueezeExcitation { hidden, inner, hard } => {
                let gate = self.gate(source, hidden, inner, hard)?;
                self.product(source, gate)
            }
            Spec::Gated => {
                let conv = self.conv(source, shape.channels, AROUND)?;
                let gate = self.push(Op::Function(Function::Sigmoid), vec![conv], shape);
                self.product(source, gate)
            }
            Spec::Residual => {
                let sum = self.conv(source, shape.channels, AROUND)?;
                if !self.nodes[source].sliced {
                    return Some(sum);
                }
                self.push(Op::Add, vec![source, sum], shape)
            }
        })
    }
}

/// A window that preserves the shape.
const AROUND: Window = Window { kernel: [3; 2], before: [1; 2], after: [1; 2], ..Window::POINT };

/// A random network with triangular weights, and a seed for images.
fn networks() -> impl Strategy<Value = (Arc<Graph>, u64)> {
    let image = (1..4usize, 1..14usize, 1..14usize);
    let layers = prop::collection::vec(specs(), 1..8);
    (image, layers, 1..24usize, any::<u64>()).prop_map(|((channels, height, width), specs, classes, seed)| {
        let shape = Shape { channels, height, width };
        let image = Node { name: "image".into(), op: Op::Input, inputs: vec![], shape, sliced: false };
        let mut builder = Builder { nodes: vec![image], numbers: Numbers(seed) };
        let top = specs.iter().fold(0, |top, spec| builder.add(top, spec).unwrap_or(top));
        let weights = builder.weights(top, classes, 1);
        let per_class = builder.nodes[top].shape.len();
        let mut linear = Linear { weights, bias: builder.numbers.take(classes) };
        linear.weights = builder.numbers.take(classes * per_class);
        let head = Head { name: "head".into(), source: top, linear };
        (Arc::new(Graph { nodes: builder.nodes, head }), seed)
    })
}

fn any_width() -> impl Strategy<Value = Width> {
    (1..=1_000_000u32).prop_map(|millionths| Width::from_millionths(millionths).unwrap())
}

fn model(graph: &Graph) -> Arc<Model> {
    Arc::new(Model::new(graph, Metadata::default(), Precision::F32).unwrap())
}

fn images(graph: &Graph, seed: u64, count: usize) -> Vec<Vec<f32>> {
    let mut numbers = Numbers(!seed);
    (0..count).map(|_| numbers.take(graph.input().len())).collect()
}

/// Runs one image through the widths in order.
fn run(model: &Arc<Model>, set: InstructionSet, image: &[f32], widths: &[Width]) -> Vec<f32> {
    let mut pass = Pass::with_instructions(model.clone(), 1, set);
    pass.push(image);
    pass.poison();
    widths.iter().for_each(|&width| pass.widen(&[width]));
    pass.logits(0).to_vec()
}

fn assert_close(got: &[f32], expected: &[f64]) {
    let scale = expected.iter().fold(1.0f64, |scale, value| scale.max(value.abs()));
    for (got, expected) in got.iter().zip(expected) {
        assert!((f64::from(*got) - expected).abs() <= 2e-4 * scale, "{got} is not {expected}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Every kernel of every instruction set matches a dense network of the same width.
    #[test]
    fn every_width_equals_the_sliced_network((graph, seed) in networks(), width in any_width()) {
        let model = model(&graph);
        let image = &images(&graph, seed, 1)[0];
        let expected = reference::logits(&graph, image, width);
        for set in InstructionSet::available() {
            assert_close(&run(&model, set, image, &[width]), &expected);
        }
    }

    /// Bitwise: widening omits nothing.
    #[test]
    fn widening_in_steps_equals_running_at_once(
        (graph, seed) in networks(), mut widths in prop::collection::vec(any_width(), 2..5),
    ) {
        widths.sort();
        let model = model(&graph);
        let image = &images(&graph, seed, 1)[0];
        let at_once = run(&model, InstructionSet::best(), image, &widths[widths.len() - 1..]);
        prop_assert_eq!(run(&model, InstructionSet::best(), image, &widths), at_once);
    }

    /// Bitwise, in bfloat16 as well; a width that cuts a pair of channels does not read the second.
    #[test]
    fn bfloat16_is_close_and_widening_it_equals_running_at_once(
        (graph, seed) in networks(), mut widths in prop::collection::vec(any_width(), 2..5),
    ) {
        widths.sort();
        let model = Arc::new(Model::new(&graph, Metadata::default(), Precision::Bf16).unwrap());
        let image = &images(&graph, seed, 1)[0];
        for set in InstructionSet::available() {
            let at_once = run(&model, set, image, &widths[widths.len() - 1..]);
            prop_assert_eq!(run(&model, set, image, &widths), &at_once[..]);
            let expected = reference::logits(&graph, image, widths[widths.len() - 1]);
            let scale = expected.iter().fold(1.0f64, |scale, value| scale.max(value.abs()));
            for (got, expected) in at_once.iter().zip(&expected) {
                prop_assert!((f64::from(*got) - expected).abs() <= 0.25 * scale, "{} is not {}", got, expected);
            }
        }
    }

    /// Bitwise: what is not kept changes nothing, and is computed again if it is needed.
    #[test]
    fn finished_items_have_the_logits_of_kept_ones_and_can_be_widened(
        (graph, seed) in networks(), widths in prop::collection::vec((any_width(), any_width()), 1..5),
    ) {
        let model = model(&graph);
        let images = images(&graph, seed, widths.len());
        let mut pass = Pass::new(model.clone(), widths.len());
        images.iter().for_each(|image| { pass.push(image); });
        pass.poison();
        let (first, then): (Vec<_>, Vec<_>) = widths.into_iter().unzip();
        let best = InstructionSet::best();
        pass.finish(&first);
        for (item, (image, &width)) in images.iter().zip(&first).enumerate() {
            let alone = run(&model, best, image, &[width]);
            prop_assert_eq!(pass.logits(item), &alone[..]);
            let mut kept = Pass::new(model.clone(), 1);
            kept.push(image);
            kept.widen(&[width]);
            prop_assert_eq!(pass.logits_by_width(item, model.grid()), kept.logits_by_width(0, model.grid()));
        }
        pass.widen(&then);
        for (item, (image, (&first, &then))) in images.iter().zip(first.iter().zip(&then)).enumerate() {
            let alone = run(&model, best, image, &[first.max(then)]);
            prop_assert_eq!(pass.logits(item), &alone[..]);
        }
    }

    /// Whatever the memory held before.
    #[test]
    fn models_share_the_memory_of_a_pass((one, seed) in networks(), (other, _) in networks(), width in any_width()) {
        let models = [model(&one), model(&other)];
        let mut pass = Pass::new(models[0].clone(), 2);
        for index in [0, 1, 0] {
            let (model, graph) = (&models[index], [&one, &other][index]);
            let images = images(graph, seed, 2);
            pass.restart(model);
            images.iter().for_each(|image| { pass.push(image); });
            pass.poison();
            pass.widen(&[width; 2]);
            for (item, image) in images.iter().enumerate() {
                let alone = run(model, InstructionSet::best(), image, &[width]);
                prop_assert_eq!(pass.logits(item), &alone[..]);
            }
        }
    }

    #[test]
    fn instructions_that_the_processor_lacks_are_replaced_by_portable_code((graph, seed) in networks()) {
        let model = model(&graph);
        let image = &images(&graph, seed, 1)[0];
        let portable = run(&model, InstructionSet::Portable, image, &[Width::FULL]);
        for set in [InstructionSet::Avx512, InstructionSet::Avx2, InstructionSet::Neon] {
            if !InstructionSet::available().contains(&set) {
                prop_assert_eq!(run(&model, set, image, &[Width::FULL]), &portable[..]);
            }
        }
    }

    #[test]
    fn narrowing_keeps_the_wider_logits((graph, seed) in networks(), width in any_width()) {
        let model = model(&graph);
        let image = &images(&graph, seed, 1)[0];
        let wide = run(&model, InstructionSet::best(), image, &[Width::FULL]);
        prop_assert_eq!(run(&model, InstructionSet::best(), image, &[Width::FULL, width]), wide);
    }

    /// Neighbours of other widths, and earlier batches of the same pass, change no bit.
    #[test]
    fn a_batch_of_mixed_widths_equals_its_items_alone(
        (graph, seed) in networks(), widths in prop::collection::vec(any_width(), 1..5),
    ) {
        let model = model(&graph);
        let images = images(&graph, seed, widths.len());
        let mut pass = Pass::new(model.clone(), widths.len());
        for widths in [vec![Width::FULL; widths.len()], widths] {
            pass.clear();
            images.iter().for_each(|image| { pass.push(image); });
            pass.widen(&widths);
            for (item, (image, &width)) in images.iter().zip(&widths).enumerate() {
                let alone = run(&model, InstructionSet::best(), image, &[width]);
                prop_assert_eq!(pass.logits(item), &alone[..]);
                prop_assert_eq!(pass.width(item), Some(width));
            }
        }
    }

    /// One pass holds the logits of every narrower width.
    #[test]
    fn the_logits_by_width_equal_separate_runs((graph, seed) in networks(), width in any_width()) {
        let model = model(&graph);
        let image = &images(&graph, seed, 1)[0];
        let mut pass = Pass::new(model.clone(), 1);
        pass.push(image);
        pass.widen(&[width]);
        let by_width = pass.logits_by_width(0, model.grid());
        prop_assert_eq!(by_width.last().map(|(width, _)| *width), Some(width));
        for (width, logits) in by_width {
            prop_assert_eq!(run(&model, InstructionSet::best(), image, &[width]), logits);
        }
    }

    #[test]
    fn one_weight_above_the_triangle_is_found((graph, _) in networks(), pick in any::<prop::sample::Index>()) {
        let mut graph = Arc::try_unwrap(graph).unwrap();
        let Some((id, row, column)) = break_triangle(&mut graph, pick) else { return Ok(()) };
        let name = graph.nodes[id].name.clone();
        match Model::new(&graph, Metadata::default(), Precision::F32) {
            Err(LoadError::NotTriangular(found)) => {
                prop_assert_eq!((found.layer, found.row, found.column), (name, row, column));
            }
            other => prop_assert!(false, "{:?}", other.map(|_| ())),
        }
    }

    #[test]
    fn the_grid_ascends_to_full_width_and_costs_grow_along_it((graph, _) in networks()) {
        let model = model(&graph);
        prop_assert_eq!(model.grid().last(), Some(&Width::FULL));
        prop_assert!(model.grid().is_sorted_by(|a, b| a < b) && model.grid().len() <= 32);
        let costs: Vec<_> = model.grid().iter().map(|&width| model.cost(width)).collect();
        prop_assert!(costs.is_sorted_by_key(|cost| cost.multiply_adds));
        prop_assert!(costs.is_sorted_by_key(|cost| cost.parameters));
        prop_assert!(model.grid().iter().all(|&step| model.step(step) == step));
    }
}

/// Sets a weight that must be zero in a random hidden layer. Returns node, row and column; `None` if there is none.
fn break_triangle(graph: &mut Graph, pick: prop::sample::Index) -> Option<(usize, usize, usize)> {
    let mut zeros = vec![];
    for (id, node) in graph.nodes.iter().enumerate() {
        let Some(&source) = node.inputs.first().filter(|&&source| graph.nodes[source].sliced) else { continue };
        let (inputs, outputs) = (graph.nodes[source].shape, node.shape.channels);
        let features = match &node.op {
            Op::Conv(_) => 1,
            Op::Linear(_) => inputs.pixels(),
            _ => continue,
        };
        let triangle = Triangle::new(inputs.channels, outputs);
        for row in 0..outputs {
            let columns = (0..inputs.channels).filter(|&j| !triangle.connects(row, j));
            zeros.extend(columns.map(|j| (id, row, j * features)));
        }
    }
    if zeros.is_empty() {
        return None;
    }
    let (id, row, column) = *pick.get(&zeros);
    let outputs = graph.nodes[id].shape.channels;
    let (weights, per_column) = match &mut graph.nodes[id].op {
        Op::Conv(conv) => (&mut conv.weights, conv.window.area()),
        Op::Linear(linear) => (&mut linear.weights, 1),
        _ => return None,
    };
    let row_len = weights.len() / outputs;
    weights[row * row_len + column * per_column] = 0.5;
    Some((id, row, column))
}
