//! Compresses the models that are embedded in the binary. `src/repository/embedded.rs` reads them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "server")]
    embed::models();
}

#[cfg(feature = "server")]
mod embed {
    use std::path::Path;
    use std::{env, fs};

    use miniz_oxide::deflate::compress_to_vec;

    /// Names of the embedded models, each at `models/<name>/1/model.onnx`.
    const MODELS: &[&str] = &["cifar10", "cifar10-lenet", "cifar100", "fashion-mnist", "mnist"];
    /// The best and slowest compression level.
    const LEVEL: u8 = 10;

    /// Writes `<name>.deflate` for each model, and `embedded.rs`, an array expression that lists them.
    pub(super) fn models() {
        let folder = env::var_os("OUT_DIR").expect("cargo sets it");
        let write = |name: String, bytes: &[u8]| {
            fs::write(Path::new(&folder).join(&name), bytes)
                .unwrap_or_else(|error| panic!("cannot write {name}: {error}"));
        };
        let mut list = String::new();
        for name in MODELS {
            let path = format!("models/{name}/1/model.onnx");
            println!("cargo::rerun-if-changed={path}");
            let model = fs::read(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
            write(format!("{name}.deflate"), &compress_to_vec(&model, LEVEL));
            let deflated = format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.deflate\"))");
            list += &format!("    Embedded {{ name: {name:?}, bytes: {}, deflated: {deflated} }},\n", model.len());
        }
        write("embedded.rs".to_owned(), format!("[\n{list}]\n").as_bytes());
    }
}
