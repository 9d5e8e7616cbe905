//! Lets the binary and its tests find libtorch's shared libraries without `LD_LIBRARY_PATH`.

use std::env;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=LIBTORCH_USE_PYTORCH");
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        return; // torch-sys asks that Python where its libraries are, and so must the caller's loader path
    }
    let libtorch = env::var("LIBTORCH").expect("LIBTORCH: set by .cargo/config.toml or by you");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
}
