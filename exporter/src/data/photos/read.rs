//! The first look at every image: which ones decode, what they are on average, and as much of them as memory may hold.

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

/// How images are read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Sides of the square that an image becomes, in pixels.
    pub size: usize,
    /// Bytes of decoded training images that may be kept.
    pub memory: usize,
    /// Threads that decode.
    pub threads: usize,
}

/// A folder of photographs that was read.
#[derive(Debug)]
pub struct Album {
    /// To train on.
    pub train: Photos,
    /// To validate on, as a server would see them.
    pub validation: Images,
    /// To test with, as a server would see them.
    pub test: Images,
    /// Mean of the training pixels (0..1), for each image channel.
    pub mean: Vec<f64>,
    /// Their standard deviation.
    pub std: Vec<f64>,
    /// What was left out.
    pub broken: Vec<Broken>,
}

/// The images of a folder that are measured with.
#[derive(Debug)]
pub struct Measured {
    /// To validate on, as a server would see them.
    pub validation: Images,
    /// To test with, as a server would see them.
    pub test: Images,
    /// What was left out.
    pub broken: Vec<Broken>,
}

/// A file that is no image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// More broken files than these end the run.
const MOST_BROKEN_PERCENT: usize = 5;
/// Broken files that an error names.
const NAMED: usize = 3;

/// Reads all images of `splits`; `done` hears after each one.
///
/// # Errors
/// [`PhotosError`] if more than 5 % of the images are broken, or all of a class that is trained.
///
/// # Panics
/// If the size is none that a network reads, or there is no thread.
pub fn read(splits: &Splits, reading: Reading, done: &(dyn Fn() + Sync)) -> Result<Album, PhotosError> {
    let (paths, labels) = splits.train.iter().map(|file| (file.path.clone(), file.class as u16)).unzip();
    let photos = Photos::new(paths, labels, reading.input(), reading.size, reading.memory);
    let (good, sums, mut broken) = look(&photos, &splits.train, reading, done);
    let [(validation, of_validation), (test, of_test)] =
        [&splits.validation, &splits.test].map(|files| images(files, reading, done));
    broken.extend(of_validation.into_iter().chain(of_test));

    let count = splits.train.len() + splits.validation.len() + splits.test.len();
    if broken.len() * 100 > MOST_BROKEN_PERCENT * count {
        let first = broken.iter().take(NAMED).map(|one| format!("{}: {}", one.path.display(), one.reason));
        let first = first.collect::<Vec<_>>().join("; ");
        return Err(PhotosError::Broken { count: broken.len(), of: count, percent: MOST_BROKEN_PERCENT, first });
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

/// Reads the images of `splits` that are measured with, and none of those that are trained on; `done` hears after each.
///
/// # Errors
/// [`PhotosError`] if none is left of a purpose.
///
/// # Panics
/// As for [`read`].
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

/// The first look at images to train on: which ones are good, what their pixels are, and what is broken.
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

/// Images to measure with, which are decoded into their place in memory, and what is broken.
fn images(files: &[Labelled], reading: Reading, done: &(dyn Fn() + Sync)) -> (Images, Vec<Broken>) {
    let (input, shape) = (reading.input(), Shape { channels: CHANNELS, height: reading.size, width: reading.size });
    let mut pixels = vec![0; files.len() * shape.len()];
    let look = |(file, place): (&Labelled, &mut [u8])| {
        decode(&file.path).map(|photo| place.copy_from_slice(&photo.pixels(&input)))
    };
    let seen = on_threads(files.iter().zip(pixels.chunks_exact_mut(shape.len())), reading.threads, look, done);
    let (mut labels, mut broken) = (Vec::new(), Vec::new());
    for (index, (file, seen)) in files.iter().zip(seen).enumerate() {
        match seen {
            Ok(()) => {
                // What is broken leaves a gap, which the others close.
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

/// What `look` makes of each job, in their order, by several threads.
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
        while let Some((place, job)) = next() {
            seen.push((place, look(job)));
            done();
        }
        seen
    };
    let mut seen: Vec<(usize, U)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a thread that decodes images")).collect()
    });
    seen.sort_by_key(|&(place, _)| place);
    seen.into_iter().map(|(_, value)| value).collect()
}
