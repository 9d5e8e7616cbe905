//! The first pass over all images: which ones decode, their statistics, and as many decoded images as memory allows.

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use anywidth::dataset::Labelled;
use anywidth::image::{InputSpec, Preprocessing};

use super::album::{Photos, decode};
use super::statistics::{CHANNELS, Sums};
use super::{PhotosError, Splits};
use crate::data::{Images, Shape};
use crate::words::counted;

/// Parameters of reading.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Image size in pixels per side.
    pub size: usize,
    /// Maximum bytes of decoded training images.
    pub memory: usize,
    /// Number of decoding threads.
    pub threads: usize,
}

/// A folder of photographs that has been read.
#[derive(Debug)]
pub struct Album {
    /// Training images.
    pub train: Photos,
    /// Validation images, preprocessed as by the server.
    pub validation: Images,
    /// Test images, preprocessed as by the server.
    pub test: Images,
    /// Mean of the training pixels (0..1), by channel.
    pub mean: Vec<f64>,
    /// Standard deviation of the training pixels, by channel.
    pub std: Vec<f64>,
    /// Files that do not decode.
    pub broken: Vec<Broken>,
}

/// The validation and test images of a folder.
#[derive(Debug)]
pub struct Measured {
    /// Validation images, preprocessed as by the server.
    pub validation: Images,
    /// Test images, preprocessed as by the server.
    pub test: Images,
    /// Files that do not decode.
    pub broken: Vec<Broken>,
}

/// A file that does not decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The file.
    pub path: PathBuf,
    /// The decoder's error.
    pub reason: String,
}

/// Maximum percentage of broken files.
const MAX_BROKEN_PERCENT: usize = 5;
/// Number of broken files that an error names.
const NAMED: usize = 3;

/// Reads all images of `splits`; calls `done` after each.
///
/// # Errors
/// [`PhotosError`] if more than 5 % of the images are broken, or all of a trained class.
///
/// # Panics
/// If the size is not supported, or `threads` is 0.
pub fn read(splits: &Splits, reading: Reading, done: &(dyn Fn() + Sync)) -> Result<Album, PhotosError> {
    let (paths, labels) = splits.train.iter().map(|file| (file.path.clone(), file.class as u16)).unzip();
    let photos = Photos::new(paths, labels, reading.input(), reading.size, reading.memory);
    let (good, sums, mut broken) = look(&photos, &splits.train, reading, done);
    let [(validation, of_validation), (test, of_test)] =
        [&splits.validation, &splits.test].map(|files| images(files, reading, done));
    broken.extend(of_validation.into_iter().chain(of_test));

    let count = splits.train.len() + splits.validation.len() + splits.test.len();
    if broken.len() * 100 > MAX_BROKEN_PERCENT * count {
        let first = broken.iter().take(NAMED).map(|one| format!("{}: {}", one.path.display(), one.reason));
        let first = first.collect::<Vec<_>>().join("; ");
        return Err(PhotosError::Broken { count: broken.len(), of: count, percent: MAX_BROKEN_PERCENT, first });
    }
    for (class, name) in splits.classes.iter().enumerate() {
        if !good.iter().any(|&index| splits.train[index].class == class) {
            return Err(few(name.clone(), "no image that decodes", "to train on"));
        }
    }
    check_not_empty(splits, [&validation, &test])?;
    let (mean, std) = sums.statistics();
    Ok(Album { train: photos.select(&good), validation, test, mean, std, broken })
}

/// Reads only the validation and test images of `splits`; calls `done` after each.
///
/// # Errors
/// [`PhotosError`] if all images of a split are broken.
///
/// # Panics
/// See [`read`].
pub fn read_measured(splits: &Splits, reading: Reading, done: &(dyn Fn() + Sync)) -> Result<Measured, PhotosError> {
    let [(validation, mut broken), (test, of_test)] =
        [&splits.validation, &splits.test].map(|files| images(files, reading, done));
    broken.extend(of_test);
    check_not_empty(splits, [&validation, &test])?;
    Ok(Measured { validation, test, broken })
}

impl Reading {
    fn input(self) -> InputSpec {
        let input = InputSpec::new(CHANNELS, self.size, self.size).expect("a size that was checked");
        input.with_preprocessing(Preprocessing::for_training())
    }
}

/// The first pass over training images: readable images, pixel statistics, and broken files.
fn look(
    photos: &Photos,
    files: &[Labelled],
    reading: Reading,
    done: &(dyn Fn() + Sync),
) -> (Vec<usize>, Sums, Vec<Broken>) {
    let input = reading.input();
    let look = |(index, file): (usize, &Labelled)| {
        let photo = decode(&file.path)?;
        photos.keep(index, &photo);
        Ok(Sums::of(&photo.pixels(&input)))
    };
    let (mut good, mut sums, mut broken) = (Vec::new(), Sums::default(), Vec::new());
    let seen = on_threads(files.iter().enumerate(), reading.threads, look, done);
    for (index, (file, seen)) in files.iter().zip(seen).enumerate() {
        match seen {
            Ok(of_one) => {
                sums.add(&of_one);
                good.push(index);
            }
            Err(reason) => broken.push(Broken { path: file.path.clone(), reason }),
        }
    }
    (good, sums, broken)
}

/// Validation or test images, decoded directly into their position in memory, and broken files.
fn images(files: &[Labelled], reading: Reading, done: &(dyn Fn() + Sync)) -> (Images, Vec<Broken>) {
    let (input, shape) = (reading.input(), Shape { channels: CHANNELS, height: reading.size, width: reading.size });
    let mut pixels = vec![0; files.len() * shape.len()];
    let look = |(file, index): (&Labelled, &mut [u8])| {
        decode(&file.path).map(|photo| index.copy_from_slice(&photo.pixels(&input)))
    };
    let seen = on_threads(files.iter().zip(pixels.chunks_exact_mut(shape.len())), reading.threads, look, done);
    let (mut labels, mut broken) = (Vec::new(), Vec::new());
    for (index, (file, seen)) in files.iter().zip(seen).enumerate() {
        match seen {
            Ok(()) => {
                // A broken image leaves a gap, which is closed here.
                pixels.copy_within(index * shape.len()..(index + 1) * shape.len(), labels.len() * shape.len());
                labels.push(file.class as u16);
            }
            Err(reason) => broken.push(Broken { path: file.path.clone(), reason }),
        }
    }
    pixels.truncate(labels.len() * shape.len());
    (Images::new(pixels, labels, shape), broken)
}

fn check_not_empty(splits: &Splits, measured: [&Images; 2]) -> Result<(), PhotosError> {
    for (images, purpose) in measured.into_iter().zip(["to validate on", "to test with"]) {
        if images.is_empty() {
            return Err(few(splits.classes.join(", "), &counted(0, "image"), purpose));
        }
    }
    Ok(())
}

fn few(class: String, found: &str, purpose: &'static str) -> PhotosError {
    PhotosError::FewImages { class, found: found.into(), needed: 1, purpose, hint: String::new() }
}

/// Applies `look` to each job on several threads; keeps the order.
fn on_threads<T, U: Send>(
    jobs: impl Iterator<Item = T> + Send,
    threads: usize,
    look: impl Fn(T) -> U + Sync,
    done: &(dyn Fn() + Sync),
) -> Vec<U> {
    let jobs = Mutex::new(jobs.enumerate());
    let next = || jobs.lock().expect("no thread panics with the lock").next();
    let work = || {
        let mut seen = Vec::new();
        while let Some((index, job)) = next() {
            seen.push((index, look(job)));
            done();
        }
        seen
    };
    let mut seen: Vec<(usize, U)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a thread that decodes images")).collect()
    });
    seen.sort_by_key(|&(index, _)| index);
    seen.into_iter().map(|(_, value)| value).collect()
}
