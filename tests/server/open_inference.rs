//! The Open Inference Protocol over REST, byte by byte: what clients in `tests/clients` never send, and what nobody should.

use anywidth::engine::Width;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::images::png;
use crate::support::server::{Answer, Server};

const INFER: &str = "/v2/models/grey/infer";
const LENGTH: &str = "inference-header-content-length";
/// The numbers of an image of the model `grey`, `[1, 28, 28]`.
const LEN: usize = 28 * 28;

/// Values in 0..1, as whole bytes.
fn pixels() -> Vec<u8> {
    (0..LEN).map(|index| (index * 7 % 256) as u8).collect()
}

fn floats() -> Vec<f32> {
    pixels().into_iter().map(|pixel| f32::from(pixel) / 255.0).collect()
}

fn raw_floats() -> Vec<u8> {
    floats().into_iter().flat_map(f32::to_le_bytes).collect()
}

/// A request for one image with these fields of its input replaced.
fn request(changes: &Value) -> Value {
    let mut input = json!({ "name": "image", "shape": [1, 1, 28, 28], "datatype": "FP32", "data": floats() });
    for (name, value) in changes.as_object().unwrap() {
        input[name] = value.clone();
    }
    json!({ "inputs": [input] })
}

fn infer(server: &Server, request: &Value) -> Answer {
    server.post(&format!("{INFER}?width=0.5"), request.to_string().as_bytes())
}

/// An output's data.
fn output<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let outputs = answer["outputs"].as_array().unwrap();
    &outputs.iter().find(|output| output["name"] == name).unwrap_or_else(|| panic!("no {name} in {answer}"))["data"]
}

/// JSON followed by binary data, with the header that tells them apart.
fn send_binary(server: &Server, json: &Value, binary: &[u8]) -> Answer {
    let text = json.to_string();
    let length = text.len().to_string();
    server.send("POST", &format!("{INFER}?width=0.5"), &[(LENGTH, &length)], &[text.as_bytes(), binary].concat())
}

#[test]
fn every_form_of_an_image_has_the_same_answer() {
    let server = Server::start();
    let flat = infer(&server, &request(&json!({}))).json();
    assert_eq!(flat["model_name"], "grey");
    assert_eq!(flat["model_version"], "1");
    assert_eq!(flat["parameters"]["width"], 0.5);
    assert_eq!(flat["parameters"]["reason"], "requested");
    assert_eq!(flat["outputs"][0]["shape"], json!([1, 4]));
    let sum: f64 = output(&flat, "probabilities").as_array().unwrap().iter().map(|share| share.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{flat}");

    let rows: Vec<&[f32]> = Vec::from_iter(FLOATS.get_or_init(floats).chunks(28));
    let nested = infer(&server, &request(&json!({ "data": [[rows]] })));
    let bytes = infer(&server, &request(&json!({ "datatype": "UINT8", "data": pixels() })));
    let header = |size: usize| request(&json!({ "data": null, "parameters": { "binary_data_size": size } }));
    let binary = send_binary(&server, &header(4 * LEN), &raw_floats());
    let mut uint8 = header(LEN);
    uint8["inputs"][0]["datatype"] = "UINT8".into();
    let binary_bytes = send_binary(&server, &uint8, &pixels());
    for answer in [nested, bytes, binary, binary_bytes] {
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("x-width"), "0.5");
        assert_eq!(answer.json()["outputs"], flat["outputs"]);
    }
}

static FLOATS: std::sync::OnceLock<Vec<f32>> = std::sync::OnceLock::new();

#[test]
fn a_tensor_may_be_the_whole_body() {
    let server = Server::start();
    let flat = infer(&server, &request(&json!({}))).json();
    for body in [raw_floats(), pixels()] {
        let answer = server.send("POST", &format!("{INFER}?width=0.5"), &[(LENGTH, "0")], &body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        let length: usize = answer.header(LENGTH).parse().unwrap();
        let head: Value = serde_json::from_str(&answer.text[..length]).unwrap();
        // What follows the JSON: two outputs of four numbers.
        assert_eq!(head["outputs"][1]["parameters"], json!({ "binary_data_size": 16 }));
        assert_eq!(head["parameters"], flat["parameters"]);
    }
    let image = png(3);
    let answer = server.send("POST", &format!("{INFER}?width=1"), &[(LENGTH, "0")], &image);
    assert_eq!(answer.status, 200, "an image file: {}", answer.text);
}

#[test]
fn image_files_are_those_of_classify() {
    let server = Server::start();
    let image = png(3);
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &image);
    let file = request(&json!({ "datatype": "BYTES", "shape": [1], "data": [base64] }));
    let answer = server.post("/v2/models/tiny/versions/2/infer?width=0.5", file.to_string().as_bytes()).json();
    let classified = server.post("/classify?width=0.5&top_k=10", &image).json();
    let probabilities = output(&answer, "probabilities");
    for prediction in classified["predictions"].as_array().unwrap() {
        let index = prediction["index"].as_u64().unwrap() as usize;
        assert_eq!(probabilities[index], prediction["probability"]);
    }
    // Each element follows its length.
    let element = [&(image.len() as u32).to_le_bytes(), &image[..]].concat();
    let two = json!({ "inputs": [{
        "name": "image", "datatype": "BYTES", "shape": [2, 1], "parameters": { "binary_data_size": 2 * element.len() },
    }] });
    let answer = send_binary(&server, &two, &[&element[..], &element].concat()).json();
    assert_eq!(answer["parameters"]["widths"], "0.5,0.5");
    assert_eq!(answer["outputs"][0]["shape"], json!([2, 4]));
}

#[test]
fn parameters_may_be_in_the_body() {
    let server = Server::start();
    let with = |parameters: Value| {
        let mut request = request(&json!({}));
        request["parameters"] = parameters;
        infer(&server, &request)
    };
    // The body overrides the query.
    for (width, expected) in [(json!(0.25), 0.25), (json!("0.75"), 0.75), (json!(1), 1.0)] {
        assert_eq!(with(json!({ "width": width })).json()["parameters"]["width"], expected);
    }
    for (parameters, code) in [
        (json!({ "width": 2 }), "bad_value"),
        (json!({ "width": true }), "bad_value"),
        (json!({ "widht": 1 }), "unknown_parameter"),
        (json!({ "budget_ms": 100, "timeout": 100_000 }), "repeated_parameter"),
        (json!({ "timeout": -1 }), "bad_infer_request"),
        (json!({ "width": [1] }), "bad_infer_request"),
        (json!({ "width": null }), "bad_infer_request"),
        (json!({ "binary_data_output": 1 }), "bad_infer_request"),
    ] {
        with(parameters).error(400, code);
    }
    let ignored = json!({ "sequence_id": 7, "sequence_start": true, "triton_final_response": true, "priority": 1,
        "timeout": 60_000_000 });
    assert_eq!(with(ignored).status, 200);
    let many: serde_json::Map<_, _> = (0..10_000).map(|index| (format!("triton_{index}"), json!(1))).collect();
    assert!(with(many.into()).error(400, "bad_infer_request").contains("more than 64 parameters"));
}

#[test]
fn outputs_are_those_that_are_asked_for() {
    let server = Server::start();
    let metadata = server.get("/v2/models/grey").json();
    let logits = metadata["outputs"][0]["name"].as_str().unwrap();
    let with = |outputs: Value| {
        let mut request = request(&json!({}));
        request["outputs"] = outputs;
        infer(&server, &request)
    };
    let names = |answer: Value| {
        let outputs = answer["outputs"].as_array().unwrap().clone();
        outputs.into_iter().map(|output| output["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(with(json!([{ "name": logits }])).json()), [logits]);
    assert_eq!(names(with(json!([])).json()), [logits, "probabilities"]);
    let classes = with(json!([{ "name": logits, "parameters": { "classification": 9 } }])).json();
    assert_eq!(classes["outputs"][0]["datatype"], "BYTES");
    assert_eq!(classes["outputs"][0]["shape"], json!([1, 4]));
    for (outputs, status, code) in [
        (json!([{ "name": "scores" }]), 404, "no_such_tensor"),
        (json!([{ "name": logits }, { "name": logits }]), 400, "bad_infer_request"),
        (json!([{ "name": logits, "parameters": { "classification": -1 } }]), 400, "bad_infer_request"),
        (json!([{ "name": logits, "parameters": { "binary_data": "yes" } }]), 400, "bad_infer_request"),
    ] {
        with(outputs).error(status, code);
    }
}

#[test]
fn what_is_wrong_with_a_tensor_is_said() {
    let server = Server::start();
    let nested: Vec<Vec<f32>> = vec![vec![0.0; 27]; 28];
    for (changes, status, code, message) in [
        (json!({ "name": "input" }), 404, "no_such_tensor", "no input \"input\"; available: image"),
        (json!({ "datatype": "FP16" }), 400, "bad_tensor", "the datatype is \"FP16\"; allowed: FP32"),
        (json!({ "shape": [1, 28, 28, 1] }), 400, "bad_tensor", "the channels are last; allowed: [N, 1, 28, 28]"),
        (json!({ "shape": [1, 784] }), 400, "bad_tensor", "the shape is [1, 784]; allowed: [N, 1, 28, 28]"),
        (json!({ "shape": [] }), 400, "bad_tensor", "allowed: [N, 1, 28, 28]"),
        (json!({ "shape": [-1, 1, 28, 28] }), 400, "bad_tensor", "N from 1"),
        (json!({ "shape": [0, 1, 28, 28], "data": [] }), 400, "bad_tensor", "N from 1"),
        (
            json!({ "shape": [2, 1, 28, 28] }),
            400,
            "bad_tensor",
            "there are 784 numbers; the shape [2, 1, 28, 28] needs 1568",
        ),
        (json!({ "shape": [i64::MAX, 1, 28, 28] }), 413, "too_many_images", "the limit of 8 images"),
        (json!({ "data": nested }), 400, "bad_tensor", "nested as [28, 27]"),
        (json!({ "data": [[0.0], [0.0, 1.0]] }), 400, "bad_infer_request", "differ in length"),
        (json!({ "data": [0.0, [1.0]] }), 400, "bad_infer_request", "nested unevenly"),
        (json!({ "data": ["a"] }), 400, "bad_tensor", "not strings"),
        (json!({ "data": [1.0, "a"] }), 400, "bad_tensor", "mix numbers and strings"),
        (json!({ "data": [null] }), 400, "bad_infer_request", "invalid type: null"),
        (json!({ "data": 5 }), 400, "bad_infer_request", "expected a list"),
        (json!({ "data": null }), 400, "bad_tensor", "neither data nor binary_data_size"),
        (json!({ "data": vec![1e39; LEN] }), 400, "bad_tensor", "element 0 is infinite or not a number"),
        (json!({ "datatype": "UINT8", "data": vec![0.5; LEN] }), 400, "bad_tensor", "whole numbers from 0 to 255"),
        (json!({ "datatype": "UINT8", "data": vec![256; LEN] }), 400, "bad_tensor", "whole numbers from 0 to 255"),
        (json!({ "datatype": "BYTES", "shape": [1], "data": ["%"] }), 400, "bad_tensor", "BYTES in JSON are base64"),
        (json!({ "datatype": "BYTES", "shape": [1], "data": [] }), 400, "bad_tensor", "there are 0 elements"),
        (json!({ "datatype": "BYTES", "shape": [1], "data": ["AAAA"] }), 415, "unsupported_type", ""),
    ] {
        let found = infer(&server, &request(&changes)).error(status, code);
        assert!(found.contains(message), "{changes}: {found}");
    }
    let two = json!({ "inputs": [request(&json!({}))["inputs"][0], request(&json!({}))["inputs"][0]] });
    assert!(infer(&server, &two).error(400, "bad_infer_request").contains("there are 2 inputs"));
    assert!(infer(&server, &json!({ "inputs": [] })).error(400, "bad_infer_request").contains("there are 0 inputs"));
}

#[test]
fn what_is_wrong_with_a_body_is_said() {
    let server = Server::start();
    let deep = format!("{{\"inputs\":{}", "[".repeat(100_000));
    let deep_data = request(&json!({ "data": [[[[[[[[[1.0]]]]]]]]] })).to_string();
    for (body, message) in [
        (&b"{"[..], "EOF"),
        (b"[]", "expected an inference request"),
        (b"{}", "missing field `inputs`"),
        (b"\xff\xfe", "expected value"),
        (br#"{"id":7,"inputs":[]}"#, "expected a string"),
        (deep.as_bytes(), "invalid type"),
        (deep_data.as_bytes(), "nested deeper than 8 lists"),
    ] {
        let found = server.post(INFER, body).error(400, "bad_infer_request");
        assert!(found.contains(message), "{found}");
    }
    let sized = |size: Value| request(&json!({ "data": null, "parameters": { "binary_data_size": size } }));
    for (json, binary, message) in [
        (sized(json!(8)), 4, "has binary_data_size 8; 4 bytes are left"),
        (sized(json!(4)), 8, "4 bytes follow the last binary tensor"),
        (request(&json!({})), 8, "8 bytes follow the last binary tensor"),
    ] {
        let found = send_binary(&server, &json, &vec![0; binary]).error(400, "bad_infer_request");
        assert!(found.contains(message), "{found}");
    }
    send_binary(&server, &sized(json!(-1)), b"").error(400, "bad_tensor");
    send_binary(&server, &sized(json!(12)), &[0; 12]).error(400, "bad_tensor");
    for length in ["100000", "-1", "many", "99999999999999999999999"] {
        server.send("POST", INFER, &[(LENGTH, length)], b"{}").error(400, "bad_infer_request");
    }
    server.post(INFER, b"").error(400, "empty_body");
    server.post(INFER, &vec![b' '; (1 << 20) + 1]).error(413, "body_too_large");
    // Nothing of this has any other effect.
    assert_eq!(infer(&server, &request(&json!({}))).status, 200);
    assert_eq!(server.metric("anywidth_worker_panics_total"), Some(0.0));
}

#[test]
fn what_does_not_exist_is_said() {
    let server = Server::start();
    server.post("/v2/models/cat/infer", b"{}").error(404, "no_such_model");
    server.post("/v2/models/grey/versions/9/infer", b"{}").error(404, "no_such_model");
    server.post("/v2/models/grey/versions/last/infer", b"{}").error(400, "bad_infer_request");
    server.get("/v2/models/cat").error(404, "no_such_model");
    server.get("/v2/models/%ff/ready").error(400, "bad_infer_request");
    server.get("/v2/nothing").error(404, "no_such_path");
    server.get(INFER).error(405, "no_such_method");
    let index = server.post("/v2/repository/index", b"").json();
    assert_eq!(index.as_array().unwrap().len(), 3, "{index}");
    server.post("/v2/repository/index", b"{").error(400, "bad_infer_request");
}

#[test]
fn requests_count_in_the_metrics() {
    let server = Server::start();
    infer(&server, &request(&json!({})));
    infer(&server, &request(&json!({ "shape": [1] })));
    assert_eq!(server.metric("anywidth_requests_total{code=\"200\",model=\"grey\""), Some(1.0));
    assert_eq!(server.metric("anywidth_requests_total{code=\"400\",model=\"none\""), Some(1.0));
    let statistics = server.get("/v2/models/grey/stats").json();
    assert_eq!(statistics["model_stats"][0]["inference_count"], 1);
    assert_eq!(statistics["model_stats"][0]["inference_stats"]["success"]["count"], 1);
}

#[test]
fn names_are_those_of_the_file() {
    let server = Server::start();
    let metadata = server.get("/v2/models/tiny").json();
    assert_eq!(metadata["inputs"], json!([{ "name": "image", "datatype": "FP32", "shape": [-1, 3, 32, 32] }]));
    assert_eq!(metadata["versions"], json!(["1", "2"]));
    assert_eq!(metadata["properties"]["accuracy"], "0.5:0.6,1:0.75");
    assert_eq!(metadata["properties"]["widths"].as_str().unwrap().split(',').next_back(), Some("1"));
    assert!(metadata["properties"]["widths"].as_str().unwrap().split(',').all(|text| text.parse::<Width>().is_ok()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_body_does_worse_than_an_error(
        cut in 0.0f64..1.0, flips in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..4), length in 0usize..300,
    ) {
        static SERVER: std::sync::OnceLock<Server> = std::sync::OnceLock::new();
        let server = SERVER.get_or_init(Server::start);
        let json = json!({ "id": "a", "parameters": { "width": 0.5 }, "outputs": [{ "name": "probabilities" }], "inputs": [{
            "name": "image", "shape": [1], "datatype": "BYTES", "parameters": { "binary_data_size": 12 },
        }] });
        let mut body = [json.to_string().as_bytes(), &[8, 0, 0, 0], b"no image"].concat();
        body.truncate(1 + (cut * body.len() as f64) as usize);
        for (place, byte) in flips {
            let index = (place * body.len() as f64) as usize;
            body[index] = byte;
        }
        let answer = server.send("POST", INFER, &[(LENGTH, &length.to_string())], &body);
        prop_assert!((400..500).contains(&answer.status), "{}", answer.text);
        prop_assert!(answer.json()["error"].as_str().unwrap().len() < 800);
    }
}
