//! CIFAR-10's binary version: records of one label byte and 3072 pixels (`[3, 32, 32]`), 10,000 in a file.

use std::fs;
use std::path::Path;

use super::{DataError, Dataset, Images};

/// The training set's files, in order.
pub const TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
/// The test set's file.
pub const TEST: [&str; 1] = ["test_batch.bin"];

const CLASSES: u8 = 10;

/// Reads `files` of `folder`, each of `count` images.
///
/// # Errors
/// [`DataError`] if a file is missing, has another size, or holds a label above 9.
pub fn read(folder: &Path, files: &[&str], count: usize) -> Result<Images, DataError> {
    let shape = Dataset::Cifar10.shape();
    let record = 1 + shape.len();
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        let path = folder.join(file);
        let bytes = fs::read(&path).map_err(|source| DataError::Io { path: path.clone(), source })?;
        if bytes.len() != count * record {
            let reason = format!("{} bytes, expected {} ({count} records of {record})", bytes.len(), count * record);
            return Err(DataError::Content { path, reason });
        }
        for (place, record) in bytes.chunks_exact(record).enumerate() {
            if record[0] >= CLASSES {
                let reason = format!("label {} of image {place} is not below {CLASSES}", record[0]);
                return Err(DataError::Content { path, reason });
            }
            labels.push(record[0]);
            pixels.extend_from_slice(&record[1..]);
        }
    }
    Ok(Images::new(pixels, labels, shape))
}
