//! External data: weights in files beside the model file, as exporters write them for large networks.
//!
//! The engine opens no files. The caller provides [`DataFiles`], and this module decides which reads are allowed.

use std::error::Error;

use super::{LoadError, MAX_FILE_BYTES, at_most, text};

/// Reads the data files beside a model file.
pub trait DataFiles {
    /// Reads `len` bytes at `offset` of the file at `location`, a path relative to the model file's folder without
    /// `..`.
    ///
    /// # Errors
    /// If the file is missing, too short, or outside the folder.
    fn read(&mut self, location: &str, offset: u64, len: usize) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>>;
}

/// The location of a tensor's data.
pub(super) struct Reference {
    location: String,
    offset: u64,
    len: Option<u64>,
}

/// Reads tensors and counts the bytes.
pub(super) struct External<'a> {
    /// `None` for a model without a folder.
    files: Option<&'a mut dyn DataFiles>,
    /// Bytes read so far, including the model file.
    total: usize,
}

impl<'a> External<'a> {
    pub(super) fn new(files: Option<&'a mut dyn DataFiles>, model_bytes: usize) -> External<'a> {
        External { files, total: model_bytes }
    }

    /// Reads the tensor `name`, which must have `expected` bytes.
    pub(super) fn read(&mut self, name: &str, reference: &Reference, expected: usize) -> Result<Vec<u8>, LoadError> {
        let malformed = |what: String| LoadError::malformed(name, what);
        let location = text::name(&reference.location);
        let Some(files) = self.files.as_deref_mut() else {
            return Err(malformed(format!(
                "its data are in another file, {location}, which is not at hand for a model without a folder; load the model by \
                 its path, or export with external_data=False"
            )));
        };
        if reference.len.is_some_and(|len| len != expected as u64) {
            let len = reference.len.unwrap_or_default();
            return Err(malformed(format!("its dimensions require {expected} bytes, but it has {len} in {location}")));
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
    /// Parses the entries of `external_data`.
    pub(super) fn new<'e>(
        name: &str,
        entries: impl Iterator<Item = (&'e str, &'e str)>,
    ) -> Result<Reference, LoadError> {
        let mut reference = Reference { location: String::new(), offset: 0, len: None };
        for (key, value) in entries {
            let number = || {
                let bad =
                    || LoadError::malformed(name, format!("{} of its external data is not a number", text::name(key)));
                value.parse::<u64>().map_err(|_| bad())
            };
            match key {
                "location" => reference.location = value.to_owned(),
                "offset" => reference.offset = number()?,
                "length" => reference.len = Some(number()?),
                // A checksum, or keys of later versions of the format.
                _ => (),
            }
        }
        if reference.location.is_empty() {
            return Err(LoadError::malformed(name, "its data are in another file, which is not named"));
        }
        Ok(reference)
    }
}

/// Whether a relative path stays inside its base folder, judged by its text.
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
