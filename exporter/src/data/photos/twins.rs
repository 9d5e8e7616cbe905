//! Pictures that are there twice, once to train on and once to measure with: what is measured then is memory.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anywidth::picture::Limits;
use md5::{Digest, Md5};

use super::Splits;

/// Pairs of files with the same bytes in different splits, the one of the earlier split (training, validation, test)
/// first. Only files of equal length are read; those that cannot be read are nobody's twins.
pub fn twins(splits: &Splits) -> Vec<(PathBuf, PathBuf)> {
    let most = Limits::default().max_bytes as u64;
    let mut by_length: HashMap<u64, Vec<(usize, &Path)>> = HashMap::new();
    for (part, files) in [&splits.train, &splits.validation, &splits.test].into_iter().enumerate() {
        for file in files {
            let length = fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
            if (1..=most).contains(&length) {
                by_length.entry(length).or_default().push((part, &file.path));
            }
        }
    }
    let across = |files: &Vec<(usize, &Path)>| files.iter().map(|&(part, _)| part).collect::<HashSet<_>>().len() > 1;
    let mut pairs: Vec<_> = by_length.into_values().filter(across).flat_map(|files| alike(&files)).collect();
    pairs.sort();
    pairs
}

/// Among files of one length, in the order of their splits.
fn alike(files: &[(usize, &Path)]) -> Vec<(PathBuf, PathBuf)> {
    let mut first = HashMap::new();
    let mut pairs = Vec::new();
    for &(part, path) in files {
        let Ok(bytes) = fs::read(path) else { continue };
        let (other, of) = *first.entry(Md5::digest(&bytes)).or_insert((part, path));
        if other != part {
            pairs.push((of.to_owned(), path.to_owned()));
        }
    }
    pairs
}
