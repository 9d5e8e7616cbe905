//! The generated gRPC code and descriptors are those of `proto/`. `make proto` writes them.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::path::Path;

use prost::Message;

#[test]
fn the_generated_code_is_that_of_the_protocol() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let grpc = root.join("src/server/oip/grpc");
    let mut descriptors = protox::compile(["open_inference.proto"], [root.join("proto")]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .bytes(".")
        .out_dir(folder.path())
        .compile_fds(descriptors.clone())
        .unwrap();
    // Reflection needs no comments.
    descriptors.file.iter_mut().for_each(|file| file.source_code_info = None);
    let code = std::fs::read(folder.path().join("inference.rs")).unwrap();
    for (name, expected) in [("generated.rs", code), ("descriptors.binpb", descriptors.encode_to_vec())] {
        let path = grpc.join(name);
        if std::env::var_os("ANYWIDTH_WRITE_PROTO").is_some() {
            std::fs::write(&path, &expected).unwrap();
        }
        let committed = std::fs::read(&path).unwrap_or_default();
        assert!(committed == expected, "{name} is out of date: `make proto` writes it");
    }
}
