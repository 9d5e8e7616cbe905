//! Gzipped IDX files, the format of MNIST and Fashion-MNIST: a big-endian magic number, the sizes, then bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::{DataError, Images, Shape};

/// Unsigned bytes in three dimensions.
const IMAGES_MAGIC: u32 = 0x0803;
/// Unsigned bytes in one dimension.
const LABELS_MAGIC: u32 = 0x0801;
/// Number of classes of both data sets.
const CLASSES: u8 = 10;

/// Reads `<part>-images-idx3-ubyte.gz` and `<part>-labels-idx1-ubyte.gz`: `count` grey images of `shape`.
///
/// # Errors
/// [`DataError`] if a file is missing, not gzip or IDX, truncated, too long, or of other sizes.
pub fn read_pair(folder: &Path, part: &str, shape: Shape, count: usize) -> Result<Images, DataError> {
    let sizes = [count, shape.height, shape.width];
    let pixels = read(&folder.join(format!("{part}-images-idx3-ubyte.gz")), IMAGES_MAGIC, &sizes)?;
    let path = folder.join(format!("{part}-labels-idx1-ubyte.gz"));
    let labels = read(&path, LABELS_MAGIC, &[count])?;
    if let Some(index) = labels.iter().position(|&label| label >= CLASSES) {
        let reason = format!("label {} of image {index} is not below {CLASSES}", labels[index]);
        return Err(DataError::Content { path, reason });
    }
    Ok(Images::new(pixels, labels.into_iter().map(u16::from).collect(), shape))
}

fn read(path: &Path, magic: u32, sizes: &[usize]) -> Result<Vec<u8>, DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let content = |reason| DataError::Content { path: path.into(), reason };
    let header = 4 * (1 + sizes.len());
    let body: usize = sizes.iter().product();

    let mut bytes = Vec::new();
    // One extra byte detects a file that is too long, whatever its length.
    let mut limited = GzDecoder::new(File::open(path).map_err(io)?).take((header + body) as u64 + 1);
    limited.read_to_end(&mut bytes).map_err(|error| content(format!("not a whole gzip file: {error}")))?;
    let words = bytes.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    let found: Vec<u32> = words.take(1 + sizes.len()).collect();
    match found.split_first() {
        Some((&first, _)) if first != magic => Err(content(format!("magic number {first}, expected {magic}"))),
        Some((_, rest))
            if rest.len() == sizes.len() && !rest.iter().map(|&size| size as usize).eq(sizes.iter().copied()) =>
        {
            Err(content(format!("sizes {rest:?}, expected {sizes:?}")))
        }
        _ if bytes.len() < header + body => {
            Err(content(format!("{} bytes, expected {}: the file is truncated", bytes.len(), header + body)))
        }
        _ if bytes.len() > header + body => Err(content(format!("more than the expected {} bytes", header + body))),
        _ => Ok(bytes.split_off(header)),
    }
}
