//! Models that come, change and go while the server runs.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anywidth::engine::{PrecisionChoice, Width};
use anywidth::repository::{Precisions, Source};
use anywidth::server::{ModelControl, ModelControlMode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::binary::{Running, anywidth};
use crate::support::images::png;
use crate::support::onnx::OnnxFile;
use crate::support::server::{Options, Server};

/// A model whose classes have this name, so that answers tell which version ran.
fn model(label: &str) -> Vec<u8> {
    let labels: Vec<String> = (0..4).map(|class| format!("{label} {class}")).collect();
    let mut file = OnnxFile::lenet([1, 28, 28], 8, 4);
    file.metadata("anywidth.labels", &serde_json::to_string(&labels).unwrap());
    file.bytes()
}

fn put(root: &TempDir, path: &str, bytes: &[u8]) {
    let path = root.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // As users should: never half a file under the name of a model.
    let new = path.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, path).unwrap();
}

fn folder() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    put(&root, "cat/1/model.onnx", &model("first"));
    put(&root, "dog/1/model.onnx", &model("dog"));
    root
}

fn serve(root: &Path, mode: ModelControlMode) -> Server {
    let control = ModelControl {
        source: Source::Folder(root.to_owned()),
        precisions: Precisions::all(PrecisionChoice::default()),
        narrowest: Width::of_channels(1, 4),
        measuring: Duration::ZERO,
        mode,
    };
    let server = Server::with(Options { control: Some(control), ..Options::default() });
    server.await_ready();
    server
}

fn label(server: &Server, query: &str) -> String {
    let answer = server.post(&format!("/classify?width=1&{query}"), &png(1));
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["predictions"][0]["label"].as_str().unwrap().split(' ').next().unwrap().to_owned()
}

fn reload(server: &Server) -> (usize, usize) {
    let changes = server.block_on(server.service.reload(None)).unwrap();
    (changes.added, changes.removed)
}

fn index(server: &Server) -> Value {
    server.post("/v2/repository/index", b"").json()
}

#[test]
fn new_versions_and_models_are_served_and_removed_ones_are_not() {
    let root = folder();
    let server = serve(root.path(), ModelControlMode::None);
    assert_eq!(reload(&server), (0, 0), "nothing has changed");
    assert_eq!(label(&server, "model=cat"), "first");
    put(&root, "cat/2/model.onnx", &model("second"));
    put(&root, "owl/1/model.onnx", &model("owl"));
    assert_eq!(reload(&server), (2, 0));
    assert_eq!(label(&server, "model=cat"), "second");
    assert_eq!(label(&server, "model=cat&version=1"), "first");
    assert_eq!(label(&server, "model=owl"), "owl");
    assert_eq!(server.metric("anywidth_model_info{model=\"owl\""), Some(1.0));
    fs::remove_dir_all(root.path().join("cat/2")).unwrap();
    fs::remove_dir_all(root.path().join("owl")).unwrap();
    assert_eq!(reload(&server), (0, 2));
    assert_eq!(label(&server, "model=cat"), "first");
    server.post("/classify?model=owl", &png(1)).error(404, "no_such_model");
    assert_eq!(server.metric("anywidth_model_info{model=\"owl\""), None);
}

#[test]
fn a_file_that_does_not_load_leaves_the_version_before() {
    let root = folder();
    let server = serve(root.path(), ModelControlMode::None);
    put(&root, "cat/1/model.onnx", b"damaged");
    put(&root, "cat/2/model.onnx", b"damaged as well");
    assert_eq!(reload(&server), (0, 0));
    assert_eq!(label(&server, "model=cat"), "first");
    let entries = index(&server);
    let unavailable = json!("UNAVAILABLE");
    let rejected: Vec<_> = entries.as_array().unwrap().iter().filter(|entry| entry["state"] == unavailable).collect();
    assert_eq!(rejected.len(), 2, "{entries}");
    assert!(rejected[0]["reason"].as_str().unwrap().contains("not a readable ONNX file"), "{entries}");
    assert_eq!(server.metric("anywidth_models_rejected"), Some(2.0));
    assert_eq!(reload(&server), (0, 0), "and again");
    put(&root, "cat/1/model.onnx", &model("mended"));
    fs::remove_dir_all(root.path().join("cat/2")).unwrap();
    assert_eq!(reload(&server), (1, 1));
    assert_eq!(label(&server, "model=cat"), "mended");
    assert_eq!(server.metric("anywidth_models_rejected"), Some(0.0));
    // Without any model, what is served stays.
    fs::remove_dir_all(root.path().join("cat")).unwrap();
    fs::remove_dir_all(root.path().join("dog")).unwrap();
    assert!(server.block_on(server.service.reload(None)).is_err());
    assert_eq!(label(&server, "model=cat"), "mended");
}

#[test]
fn no_request_fails_while_models_are_replaced_and_their_memory_is_freed() {
    const RELOADS: usize = 20;
    let root = folder();
    let server = serve(root.path(), ModelControlMode::None);
    let (done, requests) = (AtomicBool::new(false), AtomicUsize::new(0));
    let old: Vec<_> = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let name = label(&server, "model=cat");
                    assert!(name == "first" || name.starts_with("version"), "{name}");
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let replace = |number| {
            let before = Arc::downgrade(server.service.repository().find(Some("cat"), None).unwrap());
            put(&root, "cat/1/model.onnx", &model(&format!("version{number}")));
            assert_eq!(reload(&server), (1, 1));
            // Whoever asks from now on gets the new one.
            assert_eq!(label(&server, "model=cat"), format!("version{number}"));
            before
        };
        let old = (0..RELOADS).map(replace).collect();
        done.store(true, Ordering::Relaxed);
        old
    });
    assert!(requests.into_inner() > RELOADS);
    server.until(|| old.iter().all(|model| model.upgrade().is_none()));
    assert_eq!(server.metric("anywidth_worker_panics_total"), Some(0.0));
}

#[test]
fn callers_load_and_unload_if_they_may() {
    let root = folder();
    let server = serve(root.path(), ModelControlMode::Explicit);
    let post = |path: &str| server.post(&format!("/v2/repository/models/{path}"), b"");
    assert_eq!(post("dog/unload").status, 200);
    server.post("/classify?model=dog", &png(1)).error(404, "no_such_model");
    post("dog/unload").error(404, "no_such_model");
    assert_eq!(reload(&server), (0, 0), "it stays unloaded");
    // Nor is it read.
    put(&root, "dog/1/model.onnx", b"damaged");
    assert_eq!(reload(&server), (0, 0));
    assert_eq!(server.metric("anywidth_models_rejected"), Some(0.0));
    put(&root, "dog/1/model.onnx", &model("dog"));
    assert_eq!(post("cat/unload").error(422, "not_loaded"), "the model is not loaded: it is the only model");
    assert_eq!(post("dog/load").status, 200);
    assert_eq!(label(&server, "model=dog"), "dog");
    put(&root, "dog/1/model.onnx", &model("hound"));
    put(&root, "cat/1/model.onnx", &model("tiger"));
    assert_eq!(post("dog/load").status, 200);
    assert_eq!((label(&server, "model=dog"), label(&server, "model=cat")), ("hound".into(), "first".into()));
    put(&root, "dog/1/model.onnx", b"damaged");
    assert!(post("dog/load").error(422, "not_loaded").contains("dog/1"));
    assert_eq!(label(&server, "model=dog"), "hound");
    post("owl/load").error(404, "no_such_model");
}

#[test]
fn callers_may_not_by_default() {
    let root = folder();
    for path in ["cat/load", "cat/unload"] {
        let server = serve(root.path(), ModelControlMode::None);
        server.post(&format!("/v2/repository/models/{path}"), b"").error(403, "control_forbidden");
        // Of models that are part of the program, nobody may.
        let server = Server::start();
        server.post(&format!("/v2/repository/models/{path}"), b"").error(403, "control_forbidden");
    }
}

#[test]
fn the_program_looks_at_its_folder_at_a_signal_or_by_itself() {
    for (watch, signal) in [("0", Some("-HUP")), ("1", None)] {
        let root = folder();
        let path = root.path().to_str().unwrap();
        let arguments = ["serve", "--port=0", "--threads=1", "--models", path, "--watch-models-ms", watch];
        let server = Running::start(anywidth(&arguments));
        put(&root, "owl/1/model.onnx", &model("owl"));
        if let Some(signal) = signal {
            server.signal(signal);
        }
        let url = format!("{}/v2/models/owl", server.url);
        // Each look waits longer than the server takes to answer, and all of them together longer than it takes to read a model.
        let is_served = (0..100_000).any(|_| ureq::get(&url).call().is_ok());
        assert!(is_served, "the model is not served");
    }
}
