//! The frame header: image size, components and sampling factors.

use super::header::{broken, unsupported};
use crate::image::ImageError;

/// The frame header.
#[derive(Clone)]
pub(super) struct FrameHeader {
    pub(super) progressive: bool,
    /// In pixels, from 1 to 65,535.
    pub(super) width: u32,
    pub(super) height: u32,
    /// One to four components.
    pub(super) components: Vec<Component>,
    /// MCUs of an interleaved scan, across and down.
    pub(super) units: (usize, usize),
}

/// A component: luma, a chroma or an ink.
#[derive(Clone)]
pub(super) struct Component {
    pub(super) name: u8,
    /// Blocks per MCU, across and down, from 1 to 4.
    pub(super) sampling: (usize, usize),
    /// Pixels per sample, across and down: 1, 2 or 4.
    pub(super) ratio: (usize, usize),
    /// Index of its quantization table.
    pub(super) steps: usize,
    /// Samples inside the image, across and down.
    pub(super) size: (usize, usize),
    /// Blocks that contain samples of the image, across and down: the blocks of a non-interleaved scan.
    pub(super) blocks: (usize, usize),
}

impl FrameHeader {
    pub(super) fn read(segment: &[u8], progressive: bool) -> Result<FrameHeader, ImageError> {
        let invalid = || broken("its frame header is invalid");
        let (&[precision, h1, h0, w1, w0, count], rest) = segment.split_first_chunk().ok_or_else(invalid)?;
        let (height, width) = (u32::from(u16::from_be_bytes([h1, h0])), u32::from(u16::from_be_bytes([w1, w0])));
        if precision != 8 {
            return Err(unsupported(format!("{precision} bits per channel")));
        }
        if height == 0 && width > 0 {
            return Err(unsupported("a height given after the image (DNL)"));
        }
        if width == 0 {
            return Err(broken("it has no pixels"));
        }
        if rest.len() != 3 * usize::from(count) || count == 0 {
            return Err(invalid());
        }
        if count > 4 {
            return Err(unsupported(format!("{count} color components")));
        }
        let sampling = |entry: &[u8]| (usize::from(entry[1] >> 4), usize::from(entry[1] & 15));
        let (across, down): (Vec<_>, Vec<_>) = rest.chunks_exact(3).map(sampling).unzip();
        if across.iter().chain(&down).any(|factor| !(1..=4).contains(factor)) {
            return Err(invalid());
        }
        let most = (across.iter().copied().max().unwrap_or(1), down.iter().copied().max().unwrap_or(1));
        let mut components = Vec::new();
        for (entry, sampling) in rest.chunks_exact(3).zip(across.into_iter().zip(down)) {
            let ratio = (ratio(most.0, sampling.0)?, ratio(most.1, sampling.1)?);
            let size = ((width as usize).div_ceil(ratio.0), (height as usize).div_ceil(ratio.1));
            components.push(Component {
                name: entry[0],
                sampling,
                ratio,
                steps: usize::from(entry[2]),
                size,
                blocks: (size.0.div_ceil(8), size.1.div_ceil(8)),
            });
        }
        let units = ((width as usize).div_ceil(8 * most.0), (height as usize).div_ceil(8 * most.1));
        Ok(FrameHeader { progressive, width, height, components, units })
    }
}

impl Component {
    pub(super) fn blocks_per_unit(&self) -> u32 {
        (self.sampling.0 * self.sampling.1) as u32
    }

    /// Blocks across and down, including those that pad the MCUs of an interleaved scan.
    pub(super) fn padded(&self, units: (usize, usize)) -> (usize, usize) {
        (units.0 * self.sampling.0, units.1 * self.sampling.1)
    }
}

/// Pixels per sample of a component with `blocks` blocks per MCU, where the finest component has `most`.
fn ratio(most: usize, blocks: usize) -> Result<usize, ImageError> {
    match (most / blocks, most % blocks) {
        (ratio @ (1 | 2 | 4), 0) => Ok(ratio),
        _ => Err(unsupported(format!("chroma subsampling by {most}:{blocks}"))),
    }
}
