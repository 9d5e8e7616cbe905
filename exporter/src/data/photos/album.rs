//! Photographs to train on: decoded once, kept as far as memory may be used, decoded again beyond that.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use anywidth::dataset;
use anywidth::picture::{Frame, Limits, Picture};
use rand::rngs::ChaCha8Rng;

use crate::data::{Augmentation, Batch, DataError, Examples, Shape};

/// Photographs to train on, each with its label.
#[derive(Debug)]
pub struct Photos {
    paths: Vec<PathBuf>,
    labels: Vec<u16>,
    frame: Frame,
    size: usize,
    kept: Vec<OnceLock<Picture>>,
    /// Bytes that may still be kept.
    room: AtomicUsize,
}

impl Photos {
    /// The photographs at `paths`, which become squares of `size` pixels; decoded ones take up to `room` bytes.
    pub(super) fn new(paths: Vec<PathBuf>, labels: Vec<u16>, frame: Frame, size: usize, room: usize) -> Photos {
        let kept = paths.iter().map(|_| OnceLock::new()).collect();
        Photos { paths, labels, frame, size, kept, room: AtomicUsize::new(room) }
    }

    /// The photographs of these `indices` alone; what was kept of them is kept.
    pub(super) fn select(mut self, indices: &[usize]) -> Photos {
        let pick = |index: &usize| (std::mem::take(&mut self.paths[*index]), std::mem::take(&mut self.kept[*index]));
        let (paths, kept) = indices.iter().map(pick).unzip();
        let labels = indices.iter().map(|&index| self.labels[index]).collect();
        Photos { paths, labels, kept, ..self }
    }

    /// Takes in a decoded photograph, if there is room for it, and gives back what training needs of it.
    pub(super) fn keep(&self, index: usize, picture: &Picture) {
        let small = self.reduced(picture);
        let taken =
            self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(small.bytes()));
        if taken.is_ok() {
            // Another thread may have been first; either has the same pixels.
            let _ = self.kept[index].set(small);
        }
    }

    /// How many decoded photographs there was room for.
    pub fn kept(&self) -> usize {
        self.kept.iter().filter(|picture| picture.get().is_some()).count()
    }

    /// What is kept of a picture: half as many pixels a side again as the network reads, so that a cut has some to
    /// choose from.
    fn reduced(&self, picture: &Picture) -> Picture {
        picture.reduced((self.size + self.size / 2) as u32, self.frame.preparation().filter())
    }

    /// Calls `then` with a photograph as it is kept.
    fn with<T>(&self, index: usize, then: impl FnOnce(&Picture) -> T) -> Result<T, DataError> {
        if let Some(picture) = self.kept[index].get() {
            return Ok(then(picture));
        }
        let path = &self.paths[index];
        let gone = |reason| format!("{reason}; put it back, and --resume goes on");
        let picture = decode(path).map_err(|reason| DataError::Content { path: path.clone(), reason: gone(reason) })?;
        Ok(then(&self.reduced(&picture)))
    }

    fn batch(&self, indices: &[usize], mut image: impl FnMut(&Picture) -> Vec<u8>) -> Result<Batch, DataError> {
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
        self.batch(indices, |picture| picture.pixels(&self.frame))
    }

    fn augmented(
        &self,
        indices: &[usize],
        augmentation: &Augmentation,
        random: &mut ChaCha8Rng,
    ) -> Result<Batch, DataError> {
        self.batch(indices, |picture| {
            let mut image = match augmentation.cut(picture.size(), random) {
                Some(region) => picture.cut(region, &self.frame),
                None => picture.pixels(&self.frame),
            };
            augmentation.apply(&mut image, self.shape(), random);
            image
        })
    }
}

/// The picture in a file, or why there is none.
pub(super) fn decode(path: &Path) -> Result<Picture, String> {
    let limits = Limits::default();
    let bytes = dataset::read(path, limits.max_bytes).map_err(|error| error.to_string())?;
    Picture::decode(&bytes, &limits).map_err(|error| error.to_string())
}
