//! Photographs to train on: decoded once, kept as far as memory may be used, decoded again beyond that.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use anywidth::dataset;
use anywidth::image::{Image, ImageLimits, InputSpec};
use rand::rngs::ChaCha8Rng;

use crate::data::{Augmentation, Batch, DataError, Examples, Shape};

/// Photographs to train on, each with its label.
#[derive(Debug)]
pub struct Photos {
    paths: Vec<PathBuf>,
    labels: Vec<u16>,
    input: InputSpec,
    size: usize,
    kept: Vec<OnceLock<Image>>,
    /// Bytes that may still be kept.
    room: AtomicUsize,
}

impl Photos {
    /// The photographs at `paths`, which become squares of `size` pixels; decoded ones take up to `room` bytes.
    pub(super) fn new(paths: Vec<PathBuf>, labels: Vec<u16>, input: InputSpec, size: usize, room: usize) -> Photos {
        let kept = paths.iter().map(|_| OnceLock::new()).collect();
        Photos { paths, labels, input, size, kept, room: AtomicUsize::new(room) }
    }

    /// The photographs of these `indices` alone; what was kept of them is kept.
    pub(super) fn select(mut self, indices: &[usize]) -> Photos {
        let pick = |index: &usize| (std::mem::take(&mut self.paths[*index]), std::mem::take(&mut self.kept[*index]));
        let (paths, kept) = indices.iter().map(pick).unzip();
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Photos { paths, labels, kept, ..self }
    }

    /// Takes in a decoded photograph, if there is room for it, and gives back what training needs of it.
    pub(super) fn keep(&self, index: usize, photo: &Image) {
        let small = self.reduced(photo);
        let taken =
            self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(small.bytes()));
        if taken.is_ok() {
            // Another thread may have been first; either has the same pixels.
            let _ = self.kept[index].set(small);
        }
    }

    /// How many decoded photographs there was room for.
    pub fn kept(&self) -> usize {
        self.kept.iter().filter(|photo| photo.get().is_some()).count()
    }

    /// What is kept of an image: half as many pixels a side again as the network reads, so that a cut has some to
    /// choose from.
    fn reduced(&self, photo: &Image) -> Image {
        photo.reduced((self.size + self.size / 2) as u32, self.input.preprocessing().filter())
    }

    /// Calls `then` with a photograph as it is kept.
    fn with<T>(&self, index: usize, then: impl FnOnce(&Image) -> T) -> Result<T, DataError> {
        if let Some(photo) = self.kept[index].get() {
            return Ok(then(photo));
        }
        let path = &self.paths[index];
        let gone = |reason| format!("{reason}; put it back, and --resume goes on");
        let photo = decode(path).map_err(|reason| DataError::Content { path: path.clone(), reason: gone(reason) })?;
        Ok(then(&self.reduced(&photo)))
    }

    fn batch(&self, indices: &[usize], mut image: impl FnMut(&Image) -> Vec<u8>) -> Result<Batch, DataError> {
        let images = indices.iter().map(|&index| Ok((self.with(index, &mut image)?, self.labels[index])));
        Ok(Batch::new(images.collect::<Result<Vec<_>, DataError>>()?.into_iter(), self.shape()))
    }
}

impl Examples for Photos {
    fn labels(&self) -> &[u16] {
        &self.labels
    }

    fn shape(&self) -> Shape {
        Shape { channels: 3, height: self.size, width: self.size }
    }

    fn plain(&self, indices: &[usize]) -> Result<Batch, DataError> {
        self.batch(indices, |photo| photo.pixels(&self.input))
    }

    fn augmented(
        &self,
        indices: &[usize],
        augmentation: &Augmentation,
        random: &mut ChaCha8Rng,
    ) -> Result<Batch, DataError> {
        self.batch(indices, |photo| {
            let mut image = match augmentation.cut(photo.size(), random) {
                Some(region) => photo.cut(region, &self.input),
                None => photo.pixels(&self.input),
            };
            augmentation.apply(&mut image, self.shape(), random);
            image
        })
    }
}

/// The image in a file, or why there is none.
pub(super) fn decode(path: &Path) -> Result<Image, String> {
    let limits = ImageLimits::default();
    let bytes = dataset::read(path, limits.max_bytes).map_err(|error| error.to_string())?;
    Image::decode(&bytes, &limits).map_err(|error| error.to_string())
}
