//! Images that are there twice where they should not be: in two splits, or in two classes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anywidth::image::ImageLimits;
use md5::{Digest, Md5};

use super::Splits;

/// Two files with the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Twins {
    /// The one of the earlier split (training, validation, test) first.
    pub paths: [PathBuf; 2],
    /// What is wrong with it.
    pub trouble: Trouble,
}

/// What is wrong with an image that is there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// It is trained on and measured with: what is measured is memory.
    Memory,
    /// It is validated on and tested with: the test images decide something.
    Chosen,
    /// It is of two classes, of which one is wrong, wherever it lies.
    Contradiction,
}

/// A split (0 is training) and a class.
type Place = (usize, usize);

/// Pairs of files with the same bytes in different splits or classes. Only files of equal length are read; those that
/// cannot be read are nobody's twins.
pub fn twins(splits: &Splits) -> Vec<Twins> {
    let most = ImageLimits::default().max_bytes as u64;
    let mut by_length: HashMap<u64, Vec<(Place, &Path)>> = HashMap::new();
    for (part, files) in [&splits.train, &splits.validation, &splits.test].into_iter().enumerate() {
        for file in files {
            let length = fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
            if (1..=most).contains(&length) {
                by_length.entry(length).or_default().push(((part, file.class), &file.path));
            }
        }
    }
    let apart = |files: &Vec<(Place, &Path)>| files.iter().map(|&(place, _)| place).collect::<HashSet<_>>().len() > 1;
    let mut pairs: Vec<_> = by_length.into_values().filter(apart).flat_map(|files| alike(&files)).collect();
    pairs.sort();
    pairs
}

/// Among files of one length, in the order of their splits: each with the first that is like it and elsewhere.
fn alike(files: &[(Place, &Path)]) -> Vec<Twins> {
    let mut seen: HashMap<_, Vec<(Place, &Path)>> = HashMap::new();
    let mut pairs = Vec::new();
    for &(place, path) in files {
        let Ok(bytes) = fs::read(path) else { continue };
        let like = seen.entry(Md5::digest(&bytes)).or_default();
        if let Some(&(other, of)) = like.iter().find(|&&(other, _)| other != place) {
            pairs.push(Twins { paths: [of.into(), path.into()], trouble: trouble(other, place) });
        }
        if like.iter().all(|&(other, _)| other != place) {
            like.push((place, path));
        }
    }
    pairs
}

fn trouble((part, class): Place, (_, other_class): Place) -> Trouble {
    match part {
        _ if class != other_class => Trouble::Contradiction,
        0 => Trouble::Memory,
        _ => Trouble::Chosen,
    }
}
