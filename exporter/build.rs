//! Adds libtorch's folder to the run path, so that the binary and its tests need no `LD_LIBRARY_PATH`.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LIBTORCH_USE_PYTORCH");
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        return; // torch-sys locates the libraries through Python; the caller sets the loader path
    }
    let libtorch = env::var("LIBTORCH").expect("LIBTORCH is set by .cargo/config.toml or the environment");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
    // The linker would drop this library because no symbol of it is used; libtorch needs it loaded to find GPUs.
    let cuda = format!("{libtorch}/lib/libtorch_cuda.so");
    if Path::new(&cuda).exists() {
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed,{cuda},--as-needed");
    }
}
