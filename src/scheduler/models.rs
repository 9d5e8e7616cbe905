//! The models of a scheduler, by the index that the queue knows. They come and go while it runs.
//!
//! A retired model still accepts jobs of requests that found it before, and leaves once nobody refers to it: no request, no job
//! and no worker. Its index then serves another model.

use std::sync::Arc;

use crate::policy::Agreement;
use crate::repository::ServedModel;

/// All models.
#[derive(Debug, Default)]
pub(super) struct Models(Vec<Option<Entry>>);

/// A model.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) model: Arc<ServedModel>,
    /// What audits say of its gain table, if it has one.
    pub(super) agreement: Option<Agreement>,
    retired: bool,
}

impl Models {
    /// Adds a model at the index that the queue gave it.
    pub(super) fn add(&mut self, index: usize, model: Arc<ServedModel>) {
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        let agreement = model.model.metadata().gain.clone().map(Agreement::new);
        self.0[index] = Some(Entry { model, agreement, retired: false });
    }

    /// The model of a job.
    ///
    /// # Panics
    /// If no job has this index.
    pub(super) fn of_job(&self, index: usize) -> &Arc<ServedModel> {
        &self.0[index].as_ref().expect("a model stays while it has jobs").model
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Entry> {
        self.0.get_mut(index)?.as_mut()
    }

    pub(super) fn index_of(&self, model: &Arc<ServedModel>) -> Option<usize> {
        self.entries().find(|(_, entry)| Arc::ptr_eq(&entry.model, model)).map(|(index, _)| index)
    }

    /// Every model that is not retired, with its index.
    pub(super) fn served(&self) -> impl Iterator<Item = (usize, &Arc<ServedModel>)> {
        self.entries().filter(|(_, entry)| !entry.retired).map(|(index, entry)| (index, &entry.model))
    }

    /// Retires a model: it leaves once nobody refers to it.
    pub(super) fn retire(&mut self, model: &Arc<ServedModel>) {
        let index = self.index_of(model);
        if let Some(entry) = index.and_then(|index| self.get_mut(index)) {
            entry.retired = true;
        }
    }

    /// Lets retired models go that nobody refers to and that `remove` lets go. Returns those that left, and the number of those that stay.
    pub(super) fn release(&mut self, mut remove: impl FnMut(usize) -> bool) -> (Vec<Arc<ServedModel>>, usize) {
        let (mut released, mut stay) = (Vec::new(), 0);
        for (index, slot) in self.0.iter_mut().enumerate() {
            let Some(entry) = slot.as_ref().filter(|entry| entry.retired) else { continue };
            if Arc::strong_count(&entry.model) == 1 && remove(index) {
                released.extend(slot.take().map(|entry| entry.model));
            } else {
                stay += 1;
            }
        }
        (released, stay)
    }

    fn entries(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.0.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }
}
