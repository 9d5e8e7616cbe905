//! The models embedded in the binary, so that the server runs without model files.
//!
//! They are compressed, because half of a triangular layer's weights are zero. `build.rs` lists them.

use miniz_oxide::inflate::decompress_to_vec_with_limit;

use super::{ModelError, Precisions, RepositoryError, ServedModel};

/// A compressed model file. All are version 1.
struct Embedded {
    name: &'static str,
    /// The uncompressed size.
    bytes: usize,
    deflated: &'static [u8],
}

const MODELS: &[Embedded] = &include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

pub(super) fn load(precisions: &Precisions) -> Result<Vec<ServedModel>, RepositoryError> {
    let load = |embedded: &Embedded| {
        embedded.load(precisions).map_err(|reason| RepositoryError::Embedded { name: embedded.name, reason })
    };
    MODELS.iter().map(load).collect()
}

impl Embedded {
    fn load(&self, precisions: &Precisions) -> Result<ServedModel, ModelError> {
        ServedModel::from_bytes(self.name, 1, &self.inflated(), precisions)
    }

    /// The uncompressed model file.
    fn inflated(&self) -> Vec<u8> {
        decompress_to_vec_with_limit(self.deflated, self.bytes).expect("the build compressed a file of this size")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_models_are_the_files_of_the_folder_and_small_together() {
        for embedded in MODELS {
            let path = format!("{}/models/{}/1/model.onnx", env!("CARGO_MANIFEST_DIR"), embedded.name);
            assert!(embedded.inflated() == std::fs::read(path).unwrap(), "{}", embedded.name);
        }
        let total: usize = MODELS.iter().map(|embedded| embedded.deflated.len()).sum();
        assert!(total < 6_000_000, "{total} bytes");
    }
}
