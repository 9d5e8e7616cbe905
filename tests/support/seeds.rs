//! Seeds of the fuzz targets that are made from what tests build.

use std::path::Path;

/// Checks that the file `name` in `fuzz/seeds` holds these bytes; where `ANYWIDTH_WRITE_SEEDS` is set, writes it.
///
/// # Panics
/// If it does not, or cannot be read or written.
pub fn check_seed(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    if std::env::var_os("ANYWIDTH_WRITE_SEEDS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    let seed = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(seed == bytes, "{name} is another file; ANYWIDTH_WRITE_SEEDS=1 writes it");
}
