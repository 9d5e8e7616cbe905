//! Duplicate images in different splits or classes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anywidth::image::ImageLimits;
use md5::{Digest, Md5};

use super::Splits;

/// Two files with the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Twins {
    /// The file of the earlier split (training, validation, test) comes first.
    pub paths: [PathBuf; 2],
    /// The consequence.
    pub trouble: Trouble,
}

/// The consequence of a duplicate image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// In training and in validation or test: measures memorization.
    Memory,
    /// In validation and test: the test set influences choices.
    Chosen,
    /// In two classes, one of which is wrong.
    Contradiction,
}

/// A split (0 is training) and a class.
type Membership = (usize, usize);

/// Pairs of files with the same bytes in different splits or classes. Reads only files of equal length; ignores
/// unreadable ones.
pub fn twins(splits: &Splits) -> Vec<Twins> {
    let most = ImageLimits::default().max_bytes as u64;
    let mut by_length: HashMap<u64, Vec<(Membership, &Path)>> = HashMap::new();
    for (part, files) in [&splits.train, &splits.validation, &splits.test].into_iter().enumerate() {
        for file in files {
            let length = fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
            if (1..=most).contains(&length) {
                by_length.entry(length).or_default().push(((part, file.class), &file.path));
            }
        }
    }
    let apart = |files: &Vec<(Membership, &Path)>| {
        files.iter().map(|&(membership, _)| membership).collect::<HashSet<_>>().len() > 1
    };
    let mut pairs: Vec<_> = by_length.into_values().filter(apart).flat_map(|files| alike(&files)).collect();
    pairs.sort();
    pairs
}

/// Among files of one length, in order of split: each with the first equal file elsewhere.
fn alike(files: &[(Membership, &Path)]) -> Vec<Twins> {
    let mut seen: HashMap<_, Vec<(Membership, &Path)>> = HashMap::new();
    let mut pairs = Vec::new();
    for &(membership, path) in files {
        let Ok(bytes) = fs::read(path) else { continue };
        let like = seen.entry(Md5::digest(&bytes)).or_default();
        if let Some(&(other, of)) = like.iter().find(|&&(other, _)| other != membership) {
            pairs.push(Twins { paths: [of.into(), path.into()], trouble: trouble(other, membership) });
        }
        if like.iter().all(|&(other, _)| other != membership) {
            like.push((membership, path));
        }
    }
    pairs
}

fn trouble((part, class): Membership, (_, other_class): Membership) -> Trouble {
    match part {
        _ if class != other_class => Trouble::Contradiction,
        0 => Trouble::Memory,
        _ => Trouble::Chosen,
    }
}
