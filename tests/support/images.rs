//! Images, good and bad, made on the spot.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// A colourful image, another one for each `seed`.
pub fn image(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 7 + seed * 40) as u8, (y * 5 + seed * 90) as u8, (x * y + seed) as u8])
    })
}

/// An image as a file.
pub fn file(width: u32, height: u32, seed: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(image(width, height, seed)).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A small PNG.
pub fn png(seed: u32) -> Vec<u8> {
    file(32, 32, seed, ImageFormat::Png)
}

/// A PNG whose header, with a valid checksum, claims far more pixels than any machine holds.
pub fn bomb() -> Vec<u8> {
    let mut bytes = png(0);
    bytes[16..24].copy_from_slice(&[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60]);
    // The checksum of `IHDR`, 60000, 60000, 8 bits, RGB, not interlaced.
    let checksum = !bytes[12..29].iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1)))
    });
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    bytes
}
