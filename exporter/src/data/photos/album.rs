//! Training photographs: decoded once, kept within the memory limit, otherwise decoded again.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use anywidth::dataset;
use anywidth::image::{Image, ImageLimits, InputSpec};
use rand::rngs::ChaCha8Rng;

use crate::data::{Augmentation, Batch, DataError, Examples, Shape};

/// Training photographs with their labels.
#[derive(Debug)]
pub struct Photos {
    paths: Vec<PathBuf>,
    labels: Vec<u16>,
    input: InputSpec,
    size: usize,
    kept: Vec<OnceLock<Image>>,
    /// Remaining bytes for decoded photographs.
    room: AtomicUsize,
}

impl Photos {
    /// The photographs at `paths`, for squares of `size` pixels; decoded ones use at most `room` bytes.
    pub(super) fn new(paths: Vec<PathBuf>, labels: Vec<u16>, input: InputSpec, size: usize, room: usize) -> Photos {
        let kept = paths.iter().map(|_| OnceLock::new()).collect();
        Photos { paths, labels, input, size, kept, room: AtomicUsize::new(room) }
    }

    /// Only the photographs with these `indices`; keeps what is decoded of them.
    pub(super) fn select(mut self, indices: &[usize]) -> Photos {
        let pick = |index: &usize| (std::mem::take(&mut self.paths[*index]), std::mem::take(&mut self.kept[*index]));
        let (paths, kept) = indices.iter().map(pick).unzip();
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Photos { paths, labels, kept, ..self }
    }

    /// Stores a decoded photograph if there is room, and returns what training needs of it.
    pub(super) fn keep(&self, index: usize, photo: &Image) {
        let small = self.reduced(photo);
        let taken =
            self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(small.bytes()));
        if taken.is_ok() {
            // Another thread may have stored the same pixels first.
            let _ = self.kept[index].set(small);
        }
    }

    /// Number of decoded photographs in memory.
    pub fn kept(&self) -> usize {
        self.kept.iter().filter(|photo| photo.get().is_some()).count()
    }

    /// The stored size: 1.5 times the network's input per side, so that random crops have a choice.
    fn reduced(&self, photo: &Image) -> Image {
        photo.reduced((self.size + self.size / 2) as u32, self.input.preprocessing().filter())
    }

    /// Calls `then` with the stored form of a photograph.
    fn with<T>(&self, index: usize, then: impl FnOnce(&Image) -> T) -> Result<T, DataError> {
        if let Some(photo) = self.kept[index].get() {
            return Ok(then(photo));
        }
        let path = &self.paths[index];
        let gone = |reason| format!("{reason}; restore it, and continue with --resume");
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

/// Decodes an image file; the error is the reason.
pub(super) fn decode(path: &Path) -> Result<Image, String> {
    let limits = ImageLimits::default();
    let bytes = dataset::read(path, limits.max_bytes).map_err(|error| error.to_string())?;
    Image::decode(&bytes, &limits).map_err(|error| error.to_string())
}
