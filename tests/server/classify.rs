//! `POST /classify` over a real socket: what callers get for what they send.

use std::sync::Arc;

use anywidth::engine::{Pass, Width, probabilities};
use anywidth::image::{Image, ImageLimits};
use image::ImageFormat;
use serde_json::{Value, json};

use crate::support::images::{file, png};
use crate::support::server::{Options, Server, models};

/// What the engine itself says: class and probability, the most probable first.
fn expected(model: &str, image: &[u8], width: &str) -> Vec<(u64, f32)> {
    let served = models().into_iter().find(|served| served.name == model).unwrap();
    let mut pass = Pass::new(Arc::clone(&served.model), 1);
    pass.push(&Image::decode(image, &ImageLimits::default()).unwrap().input(&served.input));
    pass.widen(&[width.parse::<Width>().unwrap()]);
    let mut classes: Vec<_> = (0..).zip(probabilities(pass.logits(0), 1.0)).collect();
    classes.sort_by(|a, b| b.1.total_cmp(&a.1));
    classes
}

fn assert_predictions(got: &Value, expected: &[(u64, f32)]) {
    let got = got.as_array().unwrap();
    assert_eq!(got.len(), expected.len());
    for (got, (index, probability)) in got.iter().zip(expected) {
        assert_eq!(got["index"], *index);
        assert!((got["probability"].as_f64().unwrap() - f64::from(*probability)).abs() < 1e-4, "{got}");
    }
}

#[test]
fn an_image_is_answered_at_the_width_asked_for() {
    let server = Server::start();
    for (format, size) in [(ImageFormat::Png, 32), (ImageFormat::Jpeg, 200), (ImageFormat::WebP, 57)] {
        let image = file(size, size + 9, 3, format);
        for width in ["0.5", "0.3", "1", "0.000001"] {
            let answer = server.post(&format!("/classify?width={width}"), &image);
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(answer.header("x-width"), width);
            let body = answer.json();
            assert_eq!(body["width"].as_f64(), width.parse().ok());
            assert_eq!(
                (&body["model"], &body["version"], &body["reason"]),
                (&json!("tiny"), &json!("2"), &json!("requested"))
            );
            assert_predictions(&body["predictions"], &expected("tiny", &image, width)[..5]);
            let first = &body["predictions"][0];
            assert_eq!(first["label"], format!("class {}", first["index"]));
        }
    }
}

#[test]
fn the_parts_of_the_time_stand_in_the_answer_and_its_header() {
    let server = Server::start();
    let answer = server.post("/classify", &png(1));
    let timing = &answer.json()["timing_ms"];
    let parts = ["queue", "decode", "inference", "total"];
    let header: Vec<String> =
        parts.iter().map(|part| format!("{part};dur={}", timing[part].as_f64().unwrap())).collect();
    assert_eq!(answer.header("server-timing"), header.join(", "));
    assert!(timing["total"].as_f64() >= timing["inference"].as_f64());
}

#[test]
fn without_a_width_the_full_network_answers() {
    let server = Server::start();
    for path in ["/classify", "/classify?width=auto"] {
        let body = server.post(path, &png(2)).json();
        assert_eq!((body["width"].as_f64(), &body["reason"]), (Some(1.0), &json!("full")));
    }
}

#[test]
fn the_width_may_stand_in_a_header_and_the_query_beats_it() {
    let server = Server::start();
    let width = |path: &str| server.send("POST", path, &[("X-Width", "0.25")], &png(2)).header("x-width").to_owned();
    assert_eq!(width("/classify"), "0.25");
    assert_eq!(width("/classify?width=0.75"), "0.75");
    let bad = server.send("POST", "/classify", &[("X-Width", "wide")], &png(2));
    assert!(bad.error(400, "bad_value").contains("the header x-width"));
}

#[test]
fn model_version_and_number_of_classes_can_be_chosen() {
    let server = Server::start();
    let body = server.post("/classify?model=tiny&version=1&top_k=10", &png(2)).json();
    assert_eq!((&body["version"], body["predictions"].as_array().unwrap().len()), (&json!("1"), 10));
    let body = server.post("/classify?model=grey&width=0.5", &png(2)).json();
    // Of four classes all are named, where nothing else is asked for; and their labels are their indices.
    assert_predictions(&body["predictions"], &expected("grey", &png(2), "0.5"));
    assert_eq!(body["predictions"][0]["label"], body["predictions"][0]["index"].to_string());
}

#[test]
fn a_profile_names_the_classes_at_every_step_up_to_the_width() {
    let server = Server::start();
    let image = png(4);
    let body = server.post("/classify?all_widths=true&top_k=1&width=0.5", &image).json();
    let widths = body["all_widths"].as_array().unwrap();
    assert!(!widths.is_empty());
    for step in widths {
        let width = step["width"].to_string();
        assert!(step["width"].as_f64() <= Some(0.5));
        assert_predictions(&step["predictions"], &expected("tiny", &image, &width)[..1]);
    }
    assert_eq!(server.post("/classify?all_widths=false", &image).json().get("all_widths"), None);
}

#[test]
fn a_least_accuracy_and_a_priority_are_taken_and_full_width_answers_while_there_is_time() {
    let server = Server::start();
    for query in ["min_accuracy=0.7", "priority=low", "priority=high&budget_ms=60000", "budget_ms=60000"] {
        let body = server.post(&format!("/classify?{query}"), &png(2)).json();
        assert_eq!((body["width"].as_f64(), &body["reason"]), (Some(1.0), &json!("full")), "{query}");
    }
    let headers = [("X-Latency-Budget-Ms", "60000")];
    assert_eq!(server.send("POST", "/classify", &headers, &png(2)).status, 200);
}

#[test]
fn who_asks_for_a_confidence_gets_the_narrowest_width_that_has_it() {
    let server = Server::start();
    let image = png(5);
    let at_once = server.post("/classify?confidence=0.01", &image).json();
    assert_eq!((at_once["width"].as_f64(), &at_once["reason"]), (Some(0.5), &json!("confident")));
    assert_predictions(&at_once["predictions"], &expected("tiny", &image, "0.5")[..5]);
    let never = server.post("/classify?confidence=1", &image).json();
    assert_eq!((never["width"].as_f64(), &never["reason"]), (Some(1.0), &json!("full")));
    assert_predictions(&never["predictions"], &expected("tiny", &image, "1")[..5]);
    // Not below what the accuracy allows.
    let accurate = server.post("/classify?confidence=0.01&min_accuracy=0.7", &image).json();
    assert!(accurate["width"].as_f64() > Some(0.5), "{accurate}");
}

#[test]
fn the_profile_says_what_each_width_takes() {
    let server = Server::start();
    server.post("/classify", &png(1));
    let body = server.get("/profile").json();
    assert_eq!((&body["workers"], body["models"].as_array().unwrap().len()), (&json!(1), 3));
    let tiny = &body["models"][2];
    assert_eq!((&tiny["name"], &tiny["version"]), (&json!("tiny"), &json!("2")));
    assert!(tiny["capacity_at_full_width"].as_f64() > Some(0.0) && tiny["decode_us"].as_f64() > Some(0.0));
    let steps = tiny["steps"].as_array().unwrap();
    assert_eq!((&steps[0]["width"], &steps.last().unwrap()["width"]), (&json!(0.5), &json!(1)));
    for step in steps {
        assert_eq!((&step["latency_us"][0][0], &step["latency_us"][1][0]), (&json!(1), &json!(4)));
        assert!(step["latency_us"][0][1].as_f64() > Some(0.0));
    }
}

#[test]
fn several_files_are_answered_in_their_order() {
    let server = Server::start();
    let (one, two) = (png(1), file(64, 40, 9, ImageFormat::Jpeg));
    let answer =
        server.post_files("/classify?width=0.5&top_k=2", &[("one.png", &one), ("two.jpg", &two), ("one.png", &one)]);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body.get("predictions"), None);
    let results = body["results"].as_array().unwrap();
    let names: Vec<_> = results.iter().map(|result| result["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one.png", "two.jpg", "one.png"]);
    for (result, image) in results.iter().zip([&one, &two, &one]) {
        assert_eq!((result["width"].as_f64(), &result["reason"]), (Some(0.5), &json!("requested")));
        assert_predictions(&result["predictions"], &expected("tiny", image, "0.5")[..2]);
    }
    assert!(body["timing_ms"]["inference"].is_number());
}

#[test]
fn a_form_with_one_file_is_answered_as_all_forms_are() {
    let server = Server::start();
    let body = server.post_files("/classify", &[("one.png", &png(1))]).json();
    let results = body["results"].as_array().unwrap();
    assert_eq!((results.len(), &results[0]["name"], body.get("predictions")), (1, &json!("one.png"), None));
    assert_eq!(results[0]["predictions"], server.post("/classify", &png(1)).json()["predictions"]);
}

#[test]
fn files_are_files_however_their_names_are_written() {
    let server = Server::start();
    let kind = [("content-type", "multipart/form-data; boundary=\"edge\"")];
    for (disposition, name) in [
        (&b"form-data; name=a; filename*=UTF-8''gr%C3%BCn.png"[..], "grün.png"),
        (b"form-data; name=a; filename=\"gr\xfcn.png\"", "gr\u{fffd}n.png"),
        (b"form-data; filename=\"a.png\"; filename*=utf-8'de'b.png", "b.png"),
        ("form-data; name=\"a\"; filename=\"grün und klein.png\"".as_bytes(), "grün und klein.png"),
        (b"form-data; name=a; filename=\"\"", ""),
    ] {
        let head = [b"--edge\r\nContent-Disposition: ", disposition, b"\r\nContent-Type: image/png\r\n\r\n"].concat();
        let body = [&head, &png(1)[..], b"\r\n--edge--\r\n"].concat();
        let answer = server.send("POST", "/classify", &kind, &body);
        assert_eq!((answer.status, &answer.json()["results"][0]["name"]), (200, &json!(name)), "{}", answer.text);
    }
}

#[test]
fn large_files_are_taken_up_to_the_limit() {
    let mut options = Options::default();
    options.limits.max_body_bytes = 16 << 20;
    let server = Server::with(options);
    // What follows a JPEG's end is ignored, but it has to be carried.
    let mut large = file(64, 64, 1, ImageFormat::Jpeg);
    large.resize(5 << 20, 0);
    assert_eq!(server.post("/classify", &large).status, 200);
    assert_eq!(server.post_files("/classify", &[("one.jpg", &large), ("two.jpg", &large)]).status, 200);
}

#[test]
fn requests_of_many_widths_at_once_are_each_answered_at_their_own() {
    let server = Server::start();
    let image = png(7);
    std::thread::scope(|scope| {
        for width in ["0.1", "0.2", "0.35", "0.5", "0.65", "0.8", "0.9", "1"] {
            let (server, image) = (&server, &image);
            scope.spawn(move || {
                let body = server.post(&format!("/classify?width={width}"), image).json();
                assert_eq!(body["width"].as_f64(), width.parse().ok());
                assert_predictions(&body["predictions"], &expected("tiny", image, width)[..5]);
            });
        }
    });
}
