//! The first look at every picture: which ones decode, what they are on average, and as much of them as memory may hold.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anywidth::dataset::Labelled;
use anywidth::picture::Frame;

use super::album::{Photos, decode};
use super::{PhotosError, Splits, pictures};
use crate::data::{Images, Shape};

/// How pictures are read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Sides of the square that a picture becomes, in pixels.
    pub size: usize,
    /// Bytes of decoded training pictures that may be kept.
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

/// A file that is no picture.
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
/// Deviations below this are those of pictures that are all alike.
const SMALLEST_DEVIATION: f64 = 1e-3;

/// Reads all pictures of `splits`; `done` hears after each one.
///
/// # Errors
/// [`PhotosError`] if more than 5 % of the pictures are broken, or all of a class that is trained.
///
/// # Panics
/// If the size is none that a network reads, or there is no thread.
pub fn read(splits: &Splits, reading: Reading, done: &(dyn Fn() + Sync)) -> Result<Album, PhotosError> {
    let size = reading.size;
    let frame = Frame::new(CHANNELS, size, size).expect("a size that was checked");
    let parts = [&splits.train, &splits.validation, &splits.test];
    let (paths, labels) = splits.train.iter().map(|file| (file.path.clone(), file.class as u16)).unzip();
    let train = Photos::new(paths, labels, frame, size, reading.memory);
    let files: Vec<(usize, usize)> =
        parts.iter().enumerate().flat_map(|(part, files)| (0..files.len()).map(move |index| (part, index))).collect();

    let look = |&(part, index): &(usize, usize)| {
        let path = &parts[part][index].path;
        let picture = decode(path).map_err(|reason| Broken { path: path.clone(), reason })?;
        let bytes = picture.pixels(&frame);
        if part > 0 {
            return Ok(Seen::Image(bytes));
        }
        train.keep(index, &picture);
        Ok(Seen::Sums(Sums::of(&bytes)))
    };
    let seen = on_threads(&files, reading.threads, look, done);
    gather(splits, train, &files, seen)
}

const CHANNELS: usize = 3;

/// What is left of a picture.
enum Seen {
    /// Of one that is measured with: `[C, H, W]`.
    Image(Vec<u8>),
    /// Of one that is trained on.
    Sums(Sums),
}

/// Sums over pixels, exact whatever their order.
#[derive(Default, Clone, Copy)]
struct Sums {
    count: u64,
    values: [u64; CHANNELS],
    squares: [u64; CHANNELS],
}

impl Sums {
    fn of(image: &[u8]) -> Sums {
        let area = image.len() / CHANNELS;
        let mut sums = Sums { count: area as u64, ..Sums::default() };
        for (channel, plane) in image.chunks_exact(area).enumerate() {
            sums.values[channel] = plane.iter().map(|&byte| u64::from(byte)).sum();
            sums.squares[channel] = plane.iter().map(|&byte| u64::from(byte).pow(2)).sum();
        }
        sums
    }

    fn add(&mut self, other: &Sums) {
        self.count += other.count;
        for channel in 0..CHANNELS {
            self.values[channel] += other.values[channel];
            self.squares[channel] += other.squares[channel];
        }
    }

    fn statistics(&self) -> (Vec<f64>, Vec<f64>) {
        let of = |sum: u64, scale: f64| sum as f64 / self.count as f64 / scale;
        let mean: Vec<f64> = self.values.iter().map(|&sum| of(sum, 255.0)).collect();
        let squares = self.squares.iter().map(|&sum| of(sum, 255.0 * 255.0));
        let std =
            squares.zip(&mean).map(|(square, mean)| (square - mean * mean).max(0.0).sqrt().max(SMALLEST_DEVIATION));
        (mean.iter().map(|&value| rounded(value)).collect(), std.map(rounded).collect())
    }
}

/// Four places are what others give for their data sets.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// `look` at every one of `files`, in their order, by several threads.
fn on_threads<T: Sync, U: Send>(
    files: &[T],
    threads: usize,
    look: impl Fn(&T) -> U + Sync,
    done: &(dyn Fn() + Sync),
) -> Vec<U> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut seen = Vec::new();
        while let Some((place, file)) = {
            let place = next.fetch_add(1, Ordering::Relaxed);
            files.get(place).map(|file| (place, file))
        } {
            seen.push((place, look(file)));
            done();
        }
        seen
    };
    let mut seen: Vec<(usize, U)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a thread that decodes pictures")).collect()
    });
    seen.sort_by_key(|&(place, _)| place);
    seen.into_iter().map(|(_, value)| value).collect()
}

fn gather(
    splits: &Splits,
    train: Photos,
    files: &[(usize, usize)],
    seen: Vec<Result<Seen, Broken>>,
) -> Result<Album, PhotosError> {
    let (mut sums, mut good, mut broken) = (Sums::default(), Vec::new(), Vec::new());
    let mut measured = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    let count = seen.len();
    for (&(part, index), seen) in files.iter().zip(seen) {
        match seen {
            Err(error) => broken.push(error),
            Ok(Seen::Sums(of_one)) => {
                sums.add(&of_one);
                good.push(index);
            }
            Ok(Seen::Image(bytes)) => {
                let (pixels, labels): &mut (Vec<u8>, Vec<u16>) = &mut measured[part - 1];
                pixels.extend(bytes);
                let files: &[Labelled] = if part == 1 { &splits.validation } else { &splits.test };
                labels.push(files[index].class as u16);
            }
        }
    }
    if broken.len() * 100 > MOST_BROKEN_PERCENT * count {
        let first = broken.iter().take(NAMED).map(|one| format!("{}: {}", one.path.display(), one.reason));
        let first = first.collect::<Vec<_>>().join("; ");
        return Err(PhotosError::Broken { count: broken.len(), of: count, percent: MOST_BROKEN_PERCENT, first });
    }
    for (class, name) in splits.classes.iter().enumerate() {
        if !good.iter().any(|&index| splits.train[index].class == class) {
            let (found, purpose) = ("no picture that decodes".into(), "to train on");
            return Err(PhotosError::FewPictures { class: name.clone(), found, needed: 1, purpose });
        }
    }
    for ((pixels, _), purpose) in measured.iter().zip(["to validate on", "to test with"]) {
        if pixels.is_empty() {
            let class = splits.classes.join(", ");
            return Err(PhotosError::FewPictures { class, found: pictures(0), needed: 1, purpose });
        }
    }
    let (mean, std) = sums.statistics();
    let train = train.select(&good);
    let shape = crate::data::Examples::shape(&train);
    let [validation, test] = measured.map(|(pixels, labels)| images(pixels, labels, shape));
    Ok(Album { train, validation, test, mean, std, broken })
}

fn images(pixels: Vec<u8>, labels: Vec<u16>, shape: Shape) -> Images {
    Images::new(pixels, labels, shape)
}
