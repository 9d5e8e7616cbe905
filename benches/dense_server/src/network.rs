//! One dense network in ONNX Runtime, and the pixels that it reads.

use std::time::Instant;

use image::imageops::FilterType;
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

/// Side of the images.
pub const SIDE: usize = 32;
/// Numbers of one image, `[C, H, W]`.
pub const PIXELS: usize = 3 * SIDE * SIDE;

/// A session on one thread.
pub struct Network {
    session: Session,
    /// Images per second, in batches.
    pub images_per_s: f64,
}

/// Runs that measure the capacity.
const RUNS: usize = 30;

impl Network {
    /// Loads a network that takes `[N, 3, 32, 32]` in 0..1 and measures its capacity in batches of `batch`.
    pub fn load(environment: &Environment, file: &str, batch: usize) -> anyhow::Result<Network> {
        let session = session(environment, file)?;
        let mut network = Network { session, images_per_s: f64::INFINITY };
        let pixels = vec![0.5; batch * PIXELS];
        network.scores(&pixels)?;
        let start = Instant::now();
        for _ in 0..RUNS {
            network.scores(&pixels)?;
        }
        network.images_per_s = (RUNS * batch) as f64 / start.elapsed().as_secs_f64();
        Ok(network)
    }

    /// The scores of a batch of images, one after another.
    pub fn scores(&mut self, pixels: &[f32]) -> ort::Result<Vec<f32>> {
        let images = TensorRef::from_array_view(([pixels.len() / PIXELS, 3, SIDE, SIDE], pixels))?;
        let outputs = self.session.run(ort::inputs![images])?;
        Ok(outputs[0].try_extract_tensor::<f32>()?.1.to_vec())
    }
}

fn session(environment: &Environment, file: &str) -> ort::Result<Session> {
    let builder = Session::builder(environment)?.with_intra_threads(1)?;
    builder.with_optimization_level(GraphOptimizationLevel::All)?.commit_from_file(file)
}

/// Decodes an image to `[3, 32, 32]` in 0..1.
pub fn pixels(encoded: &[u8]) -> image::ImageResult<Vec<f32>> {
    let image = image::load_from_memory(encoded)?.into_rgb8();
    let side = SIDE as u32;
    let image = match image.dimensions() {
        (width, height) if (width, height) == (side, side) => image,
        _ => image::imageops::resize(&image, side, side, FilterType::Triangle),
    };
    let mut pixels = vec![0.0; PIXELS];
    for (index, pixel) in image.pixels().enumerate() {
        for channel in 0..3 {
            pixels[channel * SIDE * SIDE + index] = f32::from(pixel.0[channel]) / 255.0;
        }
    }
    Ok(pixels)
}
