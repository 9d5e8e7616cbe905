//! The scores that the server's engine computes of many images.

use std::sync::Arc;

use anyhow::Context;
use anywidth::engine::{Model, ModelFile, Pass, Precision, Width};
use tch::Tensor;

use exporter::data::Images;
use exporter::evaluate::accuracies_of;
use exporter::onnx::with_precisions;

/// The labels of `images`, `[N]`.
pub(super) fn labels(images: &Images) -> Tensor {
    Tensor::from_slice(&images.labels().iter().map(|&label| i64::from(label)).collect::<Vec<_>>())
}

/// The engine's logits of `images` at each of `widths`, `[widths, N, classes]`.
pub(super) fn logits(model: &Arc<Model>, images: &Images, widths: &[Width]) -> Tensor {
    let (classes, shape) = (model.classes(), images.shape());
    let mut pass = Pass::new(model.clone(), 1);
    let mut all = Vec::with_capacity(images.len() * widths.len() * classes);
    for index in 0..images.len() {
        let image = images.batch([index]).images.contiguous().view([-1]);
        let image: Vec<f32> = Vec::try_from(image).expect("a flat tensor of floats");
        assert_eq!(image.len(), shape.len(), "values of the image");
        pass.clear();
        pass.push(&image);
        pass.widen(&[Width::FULL]);
        all.extend(pass.logits_by_width(0, widths).into_iter().flat_map(|(_, logits)| logits));
    }
    let size = [images.len() as i64, widths.len() as i64, classes as i64];
    Tensor::from_slice(&all).view(size).permute([1, 0, 2]).contiguous()
}

/// The accuracy of a file on `images` at each of `widths`, for each precision of this processor other than `f32`.
pub(super) fn accuracies_by_precision(
    file: &[u8],
    images: &Images,
    widths: &[Width],
) -> anyhow::Result<Vec<(Precision, Vec<f64>)>> {
    // What the file says of precisions may be of other widths.
    let file = with_precisions(file, widths, &[])?;
    let measured = Precision::others().map(|precision| {
        let model = ModelFile::read(&file, None)?.compile(precision)?;
        Ok((precision, accuracies_of(&logits(&Arc::new(model), images, widths), &labels(images))))
    });
    measured.collect::<anyhow::Result<_>>().context("the engine refuses the file")
}
