//! The binary formats of CIFAR-10 and CIFAR-100: records of one or two label bytes and 3072 pixels (`[3, 32, 32]`).

use std::fs;
use std::path::Path;

use super::{DataError, Dataset, Images};

/// The training set's files, in order.
pub const TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
/// The test set's file.
pub const TEST: [&str; 1] = ["test_batch.bin"];

/// CIFAR-100's training file.
pub const TRAIN_100: [&str; 1] = ["train.bin"];
/// CIFAR-100's test file.
pub const TEST_100: [&str; 1] = ["test.bin"];

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The label, below 10.
    Cifar10,
    /// A coarse label below 20, which is ignored, and the label, below 100.
    Cifar100,
}

impl Layout {
    fn label_bytes(self) -> usize {
        match self {
            Layout::Cifar10 => 1,
            Layout::Cifar100 => 2,
        }
    }

    fn classes(self) -> u8 {
        match self {
            Layout::Cifar10 => 10,
            Layout::Cifar100 => 100,
        }
    }
}

/// Reads `files` of `folder`, each with `count` images.
///
/// # Errors
/// [`DataError`] if a file is missing, has another size, or contains an invalid label.
pub fn read(folder: &Path, files: &[&str], count: usize, layout: Layout) -> Result<Images, DataError> {
    let shape = Dataset::Cifar10.shape();
    let (head, classes) = (layout.label_bytes(), layout.classes());
    let record = head + shape.len();
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        let path = folder.join(file);
        let bytes = fs::read(&path).map_err(|source| DataError::Io { path: path.clone(), source })?;
        if bytes.len() != count * record {
            let reason = format!("{} bytes, expected {} ({count} records of {record})", bytes.len(), count * record);
            return Err(DataError::Content { path, reason });
        }
        for (index, record) in bytes.chunks_exact(record).enumerate() {
            let label = record[head - 1];
            if label >= classes {
                let reason = format!("label {label} of image {index} is not below {classes}");
                return Err(DataError::Content { path, reason });
            }
            labels.push(u16::from(label));
            pixels.extend_from_slice(&record[head..]);
        }
    }
    Ok(Images::new(pixels, labels, shape))
}
