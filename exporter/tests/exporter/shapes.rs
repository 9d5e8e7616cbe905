//! Folders of generated images of shapes, in place of photographs.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// The classes, which are also folder names.
pub(crate) const CLASSES: [&str; 4] = ["disc", "gestreifte Fläche", "square", "三角形"];

/// An image of class `class`: a bright shape of random colour, position and size on dark noise.
pub(crate) fn image(class: usize, size: (u32, u32), random: &mut ChaCha8Rng) -> RgbImage {
    let (width, height) = (size.0 as f32, size.1 as f32);
    let radius = width.min(height) * random.random_range(0.25..0.4);
    let x0 = random.random_range(radius..width - radius);
    let y0 = random.random_range(radius..height - radius);
    let colour = [0; 3].map(|_: u8| random.random_range(140..=255u8));
    RgbImage::from_fn(size.0, size.1, |x, y| {
        let (dx, dy) = ((x as f32 - x0) / radius, (y as f32 - y0) / radius);
        let inside = match class {
            0 => dx * dx + dy * dy < 1.0,
            1 => dx.abs() < 1.0 && dy.abs() < 1.0 && (dy * 4.0).rem_euclid(2.0) < 1.0,
            2 => dx.abs() < 0.9 && dy.abs() < 0.9,
            _ => dy.abs() < 1.0 && dx.abs() < (dy + 1.0) / 2.0,
        };
        Rgb(if inside { colour } else { [0; 3].map(|_: u8| random.random_range(0..60)) })
    })
}

/// Writes `count` images per class, in all formats and many sizes, to `folder/<class>/`.
pub(crate) fn draw(folder: &Path, count: usize, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for (class, name) in CLASSES.iter().enumerate() {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        for number in 0..count {
            let size = (random.random_range(40..90), random.random_range(40..90));
            let extension = ["png", "jpg", "webp", "JPEG"][number % 4];
            let path = folder.join(format!("{number}.{extension}"));
            image(class, size, &mut random).save(path).expect("written");
        }
    }
}

/// The JPEG file `jpeg` with an EXIF orientation (tag 274), as a camera writes it.
pub(crate) fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
    let tiff = [&b"MM\0*\0\0\0\x08\0\x01"[..], &entry, &[0; 4]].concat();
    let length = (2 + 6 + tiff.len()) as u16;
    // After the start-of-image marker.
    [&jpeg[..2], &[0xFF, 0xE1], &length.to_be_bytes(), b"Exif\0\0", &tiff, &jpeg[2..]].concat()
}
