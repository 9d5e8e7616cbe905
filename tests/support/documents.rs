//! Pages of `docs/` that are written by the program that they are about: `make docs` writes them again.

use std::{env, fs};

/// With this variable set, pages are written instead of compared.
const WRITE: &str = "ANYWIDTH_WRITE_DOCS";

/// Checks that the page says this, or makes it say this.
pub fn page(name: &str, text: &str) {
    let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
    if env::var_os(WRITE).is_some() {
        fs::write(&path, text).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(text.lines()).find(|(found, right)| found != right);
    assert!(found == text, "docs/{name} is not up to date, `make docs` writes it; the first difference: {differs:?}");
}
