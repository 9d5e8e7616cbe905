//! Downloads the data sets from their public sources and verifies their checksums.
//!
//! Without internet access, the error says which files to put in which folder.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use indicatif::ProgressBar;
use thiserror::Error;

use super::{Dataset, cifar};
use crate::file::{md5_of, write_whole};

/// One file of a data set's source.
#[derive(Debug, Clone)]
pub struct Download {
    /// Its URL.
    pub url: String,
    /// MD5 in hexadecimal: of the decompressed file, or of the archive itself.
    pub md5: &'static str,
    /// What is kept of it.
    pub keep: Keep,
}

/// What is kept of a downloaded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// The gzip file itself, under this name.
    Gzip(&'static str),
    /// These files of a gzipped tar archive.
    FromArchive(Vec<&'static str>),
}

/// Why a data set could not be fetched.
#[derive(Debug, Error)]
#[error("{url}: {reason}; without internet, put {} into {}", files.join(", "), folder.display())]
pub struct FetchError {
    url: String,
    reason: String,
    files: Vec<&'static str>,
    folder: PathBuf,
}

/// Maximum size of a file.
const LARGEST: u64 = 256 << 20;

impl Keep {
    fn files(&self) -> Vec<&'static str> {
        match self {
            Keep::Gzip(name) => vec![name],
            Keep::FromArchive(names) => names.clone(),
        }
    }
}

/// The files of `dataset` at its authors' site (for MNIST, a mirror).
pub fn downloads(dataset: Dataset) -> Vec<Download> {
    let gzip = |home: &str, files: [(&'static str, &'static str); 4]| {
        let download = |(name, md5)| Download { url: format!("{home}/{name}"), md5, keep: Keep::Gzip(name) };
        files.map(download).into()
    };
    match dataset {
        Dataset::Mnist => gzip(
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            [
                ("train-images-idx3-ubyte.gz", "6bbc9ace898e44ae57da46a324031adb"),
                ("train-labels-idx1-ubyte.gz", "a25bea736e30d166cdddb491f175f624"),
                ("t10k-images-idx3-ubyte.gz", "2646ac647ad5339dbf082846283269ea"),
                ("t10k-labels-idx1-ubyte.gz", "27ae3e4e09519cfbb04c329615203637"),
            ],
        ),
        Dataset::FashionMnist => gzip(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
            [
                ("train-images-idx3-ubyte.gz", "f4a8712d7a061bf5bd6d2ca38dc4d50a"),
                ("train-labels-idx1-ubyte.gz", "9018921c3c673c538a1fc5bad174d6f9"),
                ("t10k-images-idx3-ubyte.gz", "8181f5470baa50b63fa0f6fddb340f0a"),
                ("t10k-labels-idx1-ubyte.gz", "15d484375f8d13e6eb1aabb0c3f46965"),
            ],
        ),
        Dataset::Cifar10 => vec![Download {
            url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz".into(),
            md5: "c32a1d4ab5d03f1284b67883e8d87530",
            keep: Keep::FromArchive(cifar::TRAIN.into_iter().chain(cifar::TEST).collect()),
        }],
        Dataset::Cifar100 => vec![Download {
            url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz".into(),
            md5: "03b5dce01913d631647c71ecec9e9cb8",
            keep: Keep::FromArchive(cifar::TRAIN_100.into_iter().chain(cifar::TEST_100).collect()),
        }],
    }
}

/// Downloads the missing files of `downloads` into `folder`; reports progress on `bar`.
///
/// # Errors
/// [`FetchError`] if a file cannot be fetched or written or has another checksum; nothing of it is kept then.
pub fn fetch(downloads: &[Download], folder: &Path, bar: &ProgressBar) -> Result<(), FetchError> {
    for download in downloads {
        let files = download.keep.files();
        if files.iter().all(|file| folder.join(file).exists()) {
            bar.suspend(|| eprintln!("{}: exists", files.join(", ")));
            continue;
        }
        let result = body(&download.url, bar).and_then(|bytes| keep(download, &bytes, folder));
        result.map_err(|reason| FetchError { url: download.url.clone(), reason, files, folder: folder.into() })?;
    }
    bar.finish_and_clear();
    Ok(())
}

fn body(url: &str, bar: &ProgressBar) -> Result<Vec<u8>, String> {
    let mut response = ureq::get(url).call().map_err(|error| error.to_string())?;
    bar.set_length(response.body().content_length().unwrap_or(0));
    bar.set_position(0);
    bar.set_message(url.to_owned());
    let mut bytes = Vec::new();
    let reader = response.body_mut().with_config().limit(LARGEST).reader();
    bar.wrap_read(reader).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn keep(download: &Download, bytes: &[u8], folder: &Path) -> Result<(), String> {
    let content = |error: io::Error| format!("not a whole gzip file: {error}");
    match &download.keep {
        Keep::Gzip(name) => {
            let mut plain = Vec::new();
            GzDecoder::new(bytes).take(LARGEST).read_to_end(&mut plain).map_err(content)?;
            check(&plain, download.md5)?;
            write_whole(&folder.join(name), bytes).map_err(|error| format!("{name}: {error}"))
        }
        Keep::FromArchive(names) => {
            check(bytes, download.md5)?;
            let mut archive = tar::Archive::new(GzDecoder::new(bytes));
            for entry in archive.entries().map_err(content)? {
                let mut entry = entry.map_err(content)?;
                let path = entry.path().map_err(content)?.into_owned();
                let Some(name) = names.iter().find(|name| path.file_name() == Some(name.as_ref())) else { continue };
                let mut file = Vec::new();
                entry.by_ref().take(LARGEST).read_to_end(&mut file).map_err(content)?;
                write_whole(&folder.join(name), &file).map_err(|error| format!("{name}: {error}"))?;
            }
            let missing = names.iter().find(|name| fs::metadata(folder.join(name)).is_err());
            missing.map_or(Ok(()), |name| Err(format!("{name} is not in the archive")))
        }
    }
}

fn check(bytes: &[u8], expected: &str) -> Result<(), String> {
    let found = md5_of(bytes);
    if found == expected { Ok(()) } else { Err(format!("MD5 {found}, expected {expected}")) }
}
