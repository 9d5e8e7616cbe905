//! Lets the binary and its tests find libtorch's shared libraries without `LD_LIBRARY_PATH`.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LIBTORCH_USE_PYTORCH");
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        return; // torch-sys asks that Python where its libraries are, and so must the caller's loader path
    }
    let libtorch = env::var("LIBTORCH").expect("LIBTORCH: set by .cargo/config.toml or by you");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
    // No symbol of it is used, so a linker would leave it away; libtorch finds GPUs only if it is loaded.
    let cuda = format!("{libtorch}/lib/libtorch_cuda.so");
    if Path::new(&cuda).exists() {
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed,{cuda},--as-needed");
    }
}
