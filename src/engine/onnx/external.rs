//! Weights that lie in a file of their own beside the model file, as exporters write them for all but small networks.
//!
//! The engine opens no file: whoever loads a model says how such a file is read, and this module decides what may be asked for.

use std::error::Error;

use super::{LoadError, MAX_FILE_BYTES, at_most, text};

/// The data files beside a model file.
pub trait DataFiles {
    /// Reads `len` bytes from `offset` on of the file at `location`: a relative path without `..`, seen from the model file's
    /// folder.
    ///
    /// # Errors
    /// Why not: the file is missing, too short, or outside the folder.
    fn read(&mut self, location: &str, offset: u64, len: usize) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>;
}

/// Where a tensor's bytes are.
pub(super) struct Reference {
    location: String,
    offset: u64,
    len: Option<u64>,
}

/// Reads tensors, and counts what it has read.
pub(super) struct External<'a> {
    /// None where a model is bytes without a folder.
    files: Option<&'a mut dyn DataFiles>,
    /// Bytes read so far, the model file included.
    total: usize,
}

impl<'a> External<'a> {
    pub(super) fn new(files: Option<&'a mut dyn DataFiles>, model_bytes: usize) -> External<'a> {
        External { files, total: model_bytes }
    }

    /// The `expected` bytes of the tensor `name`.
    pub(super) fn read(&mut self, name: &str, reference: &Reference, expected: usize) -> Result<Vec<u8>, LoadError> {
        let malformed = |what: String| LoadError::malformed(name, what);
        let location = text::name(&reference.location);
        let Some(files) = self.files.as_deref_mut() else {
            return Err(malformed(format!(
                "its data lie in another file, {location}, which is not at hand for a model without a folder; load the model by \
                 its path, or export with external_data=False"
            )));
        };
        if reference.len.is_some_and(|len| len != expected as u64) {
            let len = reference.len.unwrap_or_default();
            return Err(malformed(format!("its dimensions ask for {expected} bytes, but it has {len} in {location}")));
        }
        self.total = self.total.saturating_add(expected);
        at_most("the number of bytes of the model and its data files", self.total, MAX_FILE_BYTES)?;
        let failed = |cause: String| malformed(format!("cannot read its data file {location}: {cause}"));
        if !is_confined(&reference.location) {
            return Err(failed("only files in the model's own folder are read".into()));
        }
        let bytes = files.read(&reference.location, reference.offset, expected);
        let bytes = bytes.map_err(|cause| failed(text::clip(&cause.to_string(), text::MAX_REASON)))?;
        if bytes.len() == expected { Ok(bytes) } else { Err(failed("it is too short".into())) }
    }
}

impl Reference {
    /// From the entries of `external_data`.
    pub(super) fn new<'e>(
        name: &str,
        entries: impl Iterator<Item = (&'e str, &'e str)>,
    ) -> Result<Reference, LoadError> {
        let mut reference = Reference { location: String::new(), offset: 0, len: None };
        for (key, value) in entries {
            let number = || {
                let bad =
                    || LoadError::malformed(name, format!("{} of its external data is no number", text::name(key)));
                value.parse::<u64>().map_err(|_| bad())
            };
            match key {
                "location" => reference.location = value.to_owned(),
                "offset" => reference.offset = number()?,
                "length" => reference.len = Some(number()?),
                // A checksum, or what later versions of the format add.
                _ => (),
            }
        }
        if reference.location.is_empty() {
            return Err(LoadError::malformed(name, "its data lie in another file, which is not named"));
        }
        Ok(reference)
    }
}

/// Does the path stay below the folder that it is seen from, as far as its text tells?
fn is_confined(location: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != ".." && !part.contains(['\\', '\0', ':']);
    location.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_relative_paths_that_never_go_up_are_confined() {
        for location in ["model.onnx.data", "./weights.bin", "data/conv1"] {
            assert!(is_confined(location), "{location}");
        }
        for location in
            ["/etc/passwd", "../weights", "data/../../weights", "", "a//b", "..", "C:\\weights", "..\\weights"]
        {
            assert!(!is_confined(location), "{location}");
        }
    }
}
