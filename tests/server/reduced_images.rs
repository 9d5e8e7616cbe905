//! A large JPEG is decoded at a part of its size; the answer is that of the whole image.

use std::path::Path;

use anyhow::Context;
use anywidth::engine::{Pass, Width, predict};
use anywidth::image::{Image, ImageLimits};
use anywidth::repository::{Repository, ServedModel, Source};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use image::{DynamicImage, RgbImage};

/// By how much a class's probability may differ.
const TOLERANCE: f32 = 0.02;

#[test]
fn a_sample_as_a_large_jpeg_gets_the_answer_of_its_full_decoding() -> anyhow::Result<()> {
    let repository = Repository::load(&Source::Embedded, None)?;
    for (sample, model) in
        [("ship", "cifar10"), ("ship", "cifar10-lenet"), ("seven", "mnist"), ("shirt", "fashion-mnist")]
    {
        let served = repository.find(Some(model), None)?;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("samples/{sample}.png"));
        let small = image::open(path)?;
        for (width, height, quality) in [(520, 400, 92), (640, 480, 85), (1024, 1536, 75)] {
            let file = photograph(&small, width, height, quality)?;
            let reduced = Image::decode_for(&file, &ImageLimits::default(), &served.input)?;
            assert!(reduced.size().0 < width, "{sample} at {width}x{height} is decoded at full size");
            let whole = Image::decode(&file, &ImageLimits::default())?;
            same_answers(served, &whole, &reduced).with_context(|| format!("{sample} at {width}x{height}"))?;
        }
    }
    Ok(())
}

/// The sample so large, with some grain as a camera has it, as a JPEG file.
fn photograph(small: &DynamicImage, width: u32, height: u32, quality: u8) -> anyhow::Result<Vec<u8>> {
    let mut large: RgbImage = resize(&small.to_rgb8(), width, height, FilterType::CatmullRom);
    for (x, y, pixel) in large.enumerate_pixels_mut() {
        // Some hash of the index.
        let grain = (x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77)).wrapping_mul(0xC2B2_AE3D) >> 28;
        pixel.0 = pixel.0.map(|value| value.saturating_add(grain as u8).saturating_sub(8));
    }
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality).encode_image(&large)?;
    Ok(file)
}

/// At every width the same class first, and every class about as likely.
fn same_answers(served: &ServedModel, whole: &Image, reduced: &Image) -> anyhow::Result<()> {
    let model = &served.model;
    let mut pass = Pass::new(model.clone(), 2);
    pass.push(&whole.input(&served.input));
    pass.push(&reduced.input(&served.input));
    pass.widen(&[Width::FULL; 2]);
    let [whole, reduced] = [0, 1].map(|item| pass.logits_by_width(item, model.grid()));
    for ((width, whole), (_, reduced)) in whole.into_iter().zip(reduced) {
        let [whole, reduced] =
            [whole, reduced].map(|logits| predict(&logits, width, model.metadata(), model.classes()));
        anyhow::ensure!(whole[0].index == reduced[0].index, "another class at width {width}");
        for one in &whole {
            let other = reduced.iter().find(|other| other.index == one.index).context("a class is missing")?;
            let difference = (one.probability - other.probability).abs();
            anyhow::ensure!(difference <= TOLERANCE, "class {} differs by {difference} at width {width}", one.index);
        }
    }
    Ok(())
}
