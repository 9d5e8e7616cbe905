//! Files that PyTorch wrote (`tests/pytorch/`) give PyTorch's own answers at four widths, what cannot be served is refused
//! with words that help its author, and the file of `docs/model-files.md`, "Bring your own PyTorch network", is served.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anywidth::engine::{Pass, Width, probabilities};
use anywidth::repository::{Repository, RepositoryError, ServedModel, Source};
use serde::Deserialize;

use crate::support::server::{Options, Server};

/// One file of the manifest.
#[derive(Deserialize)]
struct Case {
    image: [usize; 3],
    /// What PyTorch answers, by width.
    #[serde(default)]
    answers: BTreeMap<String, Vec<f32>>,
    /// What the file's output is of the scores.
    output: Option<Output>,
    /// Words of the message, where the file is refused.
    refused: Option<Vec<String>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Output {
    Scores,
    Probabilities,
    LogProbabilities,
}

/// A folder of the committed files, or of those that `make test-pytorch` has just written.
fn folder(name: &str) -> PathBuf {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch");
    std::env::var_os("ANYWIDTH_PYTORCH").map_or(committed, PathBuf::from).join(name)
}

fn cases() -> BTreeMap<String, Case> {
    serde_json::from_slice(&fs::read(folder("models").join("manifest.json")).unwrap()).unwrap()
}

fn load(name: &str) -> Result<ServedModel, String> {
    let path = folder("models").join(format!("{name}.onnx"));
    match Repository::load(&Source::File(path), None) {
        Ok(repository) => Ok(repository.find(None, None).unwrap().as_ref().clone()),
        Err(RepositoryError::File { reason, .. }) => Err(reason.to_string()),
        Err(error) => panic!("{name}: {error}"),
    }
}

/// The image that the script showed to PyTorch.
fn image([channels, height, width]: [usize; 3]) -> Vec<f32> {
    (0..channels * height * width).map(|n| ((n * 7919 + 13) % 251) as f32 / 250.0).collect()
}

impl Output {
    /// What the file would answer, of the scores that the engine gives.
    fn of(self, scores: &[f32]) -> Vec<f32> {
        match self {
            Output::Scores => scores.to_vec(),
            Output::Probabilities => probabilities(scores, 1.0),
            Output::LogProbabilities => probabilities(scores, 1.0).iter().map(|p| p.ln()).collect(),
        }
    }
}

/// The largest difference, as a share of the largest value.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}

#[test]
fn pytorchs_networks_give_its_own_answers_at_every_width() {
    let mut wrong = vec![];
    let served = cases().into_iter().filter_map(|(name, case)| Some((name, case.output?, case)));
    for (name, output, case) in served {
        let served = match load(&name) {
            Ok(served) => served,
            Err(reason) => {
                wrong.push(format!("{name}: {reason}"));
                continue;
            }
        };
        assert_eq!(case.answers.len(), 4, "{name}");
        let mut pass = Pass::new(served.model.clone(), 1);
        for (width, expected) in &case.answers {
            pass.clear();
            pass.push(&image(case.image));
            pass.widen(&[width.parse::<Width>().unwrap()]);
            let difference = difference(&output.of(pass.logits(0)), expected);
            if difference.is_nan() || difference > 1e-4 {
                wrong.push(format!("{name} at {width}: off by {difference}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_cannot_be_served_is_refused_with_words_that_help() {
    let mut wrong = vec![];
    for (name, words) in cases().into_iter().filter_map(|(name, case)| Some((name, case.refused?))) {
        match load(&name) {
            Ok(_) => wrong.push(format!("{name} is served")),
            Err(reason) if reason.len() > 300 => wrong.push(format!("{name}: too long: {reason}")),
            Err(reason) if words.iter().all(|word| reason.contains(word.as_str())) => {}
            Err(reason) => wrong.push(format!("{name}: {words:?} are not in: {reason}")),
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_example_of_the_documents_is_served_at_every_width() {
    let source = Source::Folder(folder("example/models"));
    let models = Repository::load(&source, None).unwrap().all().map(|model| model.as_ref().clone()).collect();
    let server = Server::with(Options { models, ..Options::default() });
    server.await_ready();

    let sorted = |folder: &Path| {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let classes = sorted(&folder("example/images"));
    assert_eq!(classes.len(), 10);
    for width in [0.25, 0.5, 1.0] {
        let right = classes.iter().filter(|class| {
            let image = fs::read(&sorted(class)[0]).unwrap();
            let answer = server.post(&format!("/classify?width={width}&top_k=1"), &image).json();
            assert_eq!((answer["model"].as_str(), answer["width"].as_f64()), (Some("digits"), Some(width)));
            class.file_name().unwrap().to_str() == answer["predictions"][0]["label"].as_str()
        });
        assert!(right.count() >= 7, "at width {width}");
    }
    // What `anywidth label --evaluate` measured is what callers can ask for.
    let model = &server.get("/models").json()["models"][0];
    assert_eq!((&model["evaluation"]["split"], &model["preprocessing"]["filter"]), (&"test".into(), &"lanczos".into()));
    let image = fs::read(&sorted(&classes[0])[0]).unwrap();
    assert_eq!(server.post("/classify?min_accuracy=0.9", &image).json()["width"].as_f64(), Some(1.0));
    assert_eq!(server.post("/classify?min_accuracy=0.999", &image).status, 422);
}
