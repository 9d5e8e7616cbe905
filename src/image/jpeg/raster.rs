//! Combines planes into an image: upsamples subsampled components and converts colours.
//!
//! Bit-identical to libjpeg's defaults: components at half resolution are interpolated with weights 3/4 and 1/4 ("fancy
//! upsampling"), those at a quarter are replicated, and colours are converted with 16-bit constants.

use ::image::{DynamicImage, GrayImage, RgbImage};

use super::frame::{Component, FrameHeader};
use super::header::Colors;
use super::plane::Plane;

/// Combines planes of full size.
pub(super) fn full(frame: &FrameHeader, planes: &[Plane], colors: Colors) -> Option<DynamicImage> {
    let channels: Vec<_> =
        frame.components.iter().zip(planes).map(|(component, plane)| Channel { component, plane }).collect();
    image((frame.width, frame.height), colors, channels.len(), |channel, row, target| {
        channels[channel].row(row, target)
    })
}

/// Combines planes of means, which have one sample per pixel; surplus samples are cropped. Means are in sixteenths and
/// are rounded only after colour conversion.
pub(super) fn reduced((width, height): (u32, u32), planes: &[Plane], colors: Colors) -> Option<DynamicImage> {
    let mut pixels = Vec::with_capacity(planes.len() * width as usize * height as usize);
    for row in 0..height as usize {
        let means = |plane| Plane::means(plane, row)[..width as usize].iter().copied().map(f32::from);
        match (colors, planes) {
            (Colors::Gray, [gray]) => pixels.extend(means(gray).map(rounded)),
            (Colors::Rgb | Colors::YCbCr, [one, two, three]) => {
                for ((one, two), three) in means(one).zip(means(two)).zip(means(three)) {
                    let samples = [one, two, three];
                    pixels.extend(if colors == Colors::Rgb { samples } else { rgb_of_means(samples) }.map(rounded));
                }
            }
            _ => return None,
        }
    }
    match colors {
        Colors::Gray => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        _ => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
    }
}

/// Like [`rgb`], in sixteenths.
fn rgb_of_means([luma, blue, red]: [f32; 3]) -> [f32; 3] {
    let (blue, red) = (blue - 2048.0, red - 2048.0);
    [luma + 1.402 * red, luma - 0.344_136 * blue - 0.714_136 * red, luma + 1.772 * blue]
}

/// Rounds sixteenths to a byte. Colour conversion stays within the range of a byte.
fn rounded(sixteenths: f32) -> u8 {
    (sixteenths / 16.0 + 0.5) as u8
}

/// Creates an image. `fill` writes a row of a channel.
fn image(
    (width, height): (u32, u32),
    colors: Colors,
    channels: usize,
    mut fill: impl FnMut(usize, usize, &mut [u8]),
) -> Option<DynamicImage> {
    let (columns, lines) = (width as usize, height as usize);
    if colors == Colors::Gray {
        let mut pixels = vec![0; columns * lines];
        pixels.chunks_exact_mut(columns).enumerate().for_each(|(row, target)| fill(0, row, target));
        return GrayImage::from_raw(width, height, pixels).map(DynamicImage::from);
    }
    let mut pixels = vec![0; 3 * columns * lines];
    let mut rows = vec![vec![0; columns]; channels];
    for (row, target) in pixels.chunks_exact_mut(3 * columns).enumerate() {
        rows.iter_mut().enumerate().for_each(|(channel, samples)| fill(channel, row, samples));
        let target = target.as_chunks_mut::<3>().0;
        match (colors, &rows[..]) {
            (Colors::Rgb, [red, green, blue]) => {
                convert(target, [red, green, blue], |channels| channels);
            }
            (Colors::YCbCr, [luma, blue, red]) => convert(target, [luma, blue, red], rgb),
            (Colors::Cmyk, [cyan, magenta, yellow, black]) => {
                convert(target, [cyan, magenta, yellow, black], |[c, m, y, k]| [c, m, y].map(|ink| over(ink, k)));
            }
            (Colors::Ycck, [luma, blue, red, black]) => {
                let ink = |[y, cb, cr, k]: [u8; 4]| rgb([y, cb, cr]).map(|ink| over(255 - ink, k));
                convert(target, [luma, blue, red, black], ink);
            }
            _ => return None,
        }
    }
    RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
}

#[inline]
fn convert<const N: usize>(target: &mut [[u8; 3]], rows: [&Vec<u8>; N], color: impl Fn([u8; N]) -> [u8; 3]) {
    // Slices of equal length remove the bounds checks from the loop.
    let rows = rows.map(|row| &row[..target.len()]);
    for (at, pixel) in target.iter_mut().enumerate() {
        *pixel = color(rows.map(|row| row[at]));
    }
}

/// Converts JFIF's YCbCr: luma, and the blue and red differences, centred at 128.
#[inline]
fn rgb([luma, blue, red]: [u8; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (luma, blue, red) = (i32::from(luma), i32::from(blue) - 128, i32::from(red) - 128);
    let channels = [
        luma + ((91_881 * red + HALF) >> 16),
        luma + ((-22_554 * blue - 46_802 * red + HALF) >> 16),
        luma + ((116_130 * blue + HALF) >> 16),
    ];
    channels.map(|channel| channel.clamp(0, 255) as u8)
}

/// Multiplies an inverted ink by inverted black: overprinting on white.
#[inline]
fn over(ink: u8, black: u8) -> u8 {
    ((u32::from(ink) * u32::from(black) + 127) / 255) as u8
}

/// A component and its upsampling to the image's resolution.
struct Channel<'a> {
    component: &'a Component,
    plane: &'a Plane,
}

impl Channel<'_> {
    /// Writes a row of the image.
    fn row(&self, row: usize, target: &mut [u8]) {
        let (width, height) = self.component.size;
        match self.component.ratio {
            (1, 1) => target.copy_from_slice(&self.samples(row)[..target.len()]),
            // Fewer than two samples cannot be interpolated.
            (2, 1) if width > 2 => wider(self.samples(row), target),
            (1, 2) => {
                let (near, far) = (self.samples(row / 2), self.samples(beside(row, height)));
                // The rounding bias alternates by row, so the image does not get brighter.
                let bias = 1 + (row % 2) as u16;
                let pairs = near.iter().zip(far);
                target.iter_mut().zip(pairs).for_each(|(target, (&near, &far))| {
                    *target = ((3 * u16::from(near) + u16::from(far) + bias) >> 2) as u8;
                });
            }
            (2, 2) if width > 2 => {
                wider_and_higher(self.samples(row / 2), self.samples(beside(row, height)), target);
            }
            (across, down) => {
                let samples = self.samples(row / down);
                target.chunks_mut(across).zip(samples).for_each(|(target, &sample)| target.fill(sample));
            }
        }
    }

    /// The samples of a row that lie inside the image.
    fn samples(&self, row: usize) -> &[u8] {
        &self.plane.whole(row)[..self.component.size.0]
    }
}

/// The second-nearest of `height` sample rows to a row of an image of twice the height.
fn beside(row: usize, height: usize) -> usize {
    if row.is_multiple_of(2) { (row / 2).saturating_sub(1) } else { (row / 2 + 1).min(height - 1) }
}

/// Doubles the width of at least three samples.
fn wider(samples: &[u8], target: &mut [u8]) {
    let at = |index: usize| u16::from(samples[index]);
    let last = samples.len() - 1;
    let mut put = |place: usize, value: u16| {
        if let Some(target) = target.get_mut(place) {
            *target = value as u8;
        }
    };
    put(0, at(0));
    put(1, (3 * at(0) + at(1) + 2) >> 2);
    put(2 * last, (3 * at(last) + at(last - 1) + 1) >> 2);
    put(2 * last + 1, at(last));
    let inner = target[2..].as_chunks_mut::<2>().0;
    for (pair, window) in inner.iter_mut().zip(samples.windows(3)) {
        let [left, here, right] = [window[0], window[1], window[2]].map(u16::from);
        *pair = [(3 * here + left + 1) >> 2, (3 * here + right + 2) >> 2].map(|value| value as u8);
    }
}

/// Doubles the width of at least three samples between row `near` and, at a third of its weight, row `far`.
fn wider_and_higher(near: &[u8], far: &[u8], target: &mut [u8]) {
    let sum = |index: usize| 3 * u16::from(near[index]) + u16::from(far[index]);
    let last = near.len() - 1;
    let mut put = |place: usize, value: u16| {
        if let Some(target) = target.get_mut(place) {
            *target = value as u8;
        }
    };
    put(0, (4 * sum(0) + 8) >> 4);
    put(1, (3 * sum(0) + sum(1) + 7) >> 4);
    put(2 * last, (3 * sum(last) + sum(last - 1) + 8) >> 4);
    put(2 * last + 1, (4 * sum(last) + 7) >> 4);
    let inner = target[2..].as_chunks_mut::<2>().0;
    for (pair, (near, far)) in inner.iter_mut().zip(near.windows(3).zip(far.windows(3))) {
        let sum = |index: usize| 3 * u16::from(near[index]) + u16::from(far[index]);
        let (left, here, right) = (sum(0), sum(1), sum(2));
        *pair = [(3 * here + left + 8) >> 4, (3 * here + right + 7) >> 4].map(|value| value as u8);
    }
}
