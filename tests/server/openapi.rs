//! The description of the API: committed, and true of what the server answers.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::documents::page;
use crate::support::images::png;
use crate::support::schema::Document;
use crate::support::server::{Answer, Server};

/// Checks an answer against what is described of its path, method and status.
fn check(document: &Document, method: &str, path: &str, answer: &Answer) {
    let described = document.answer(method, path, answer.status);
    let kind = answer.header("content-type").split(';').next().unwrap();
    let schema = &described["content"][kind]["schema"];
    let value = if kind == "application/json" { answer.json() } else { Value::from(answer.text.as_str()) };
    if let Err(error) = document.validate(schema, &value) {
        panic!("{method} {path} {}: {error}\n{}", answer.status, answer.text);
    }
    for header in described["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
        answer.header(header);
    }
}

#[test]
fn the_committed_description_is_the_one_that_is_served() {
    let served = Server::start().get("/openapi.json");
    assert_eq!(served.header("content-type"), "application/json");
    page("openapi.json", &format!("{}\n", served.text));
}

#[test]
fn every_answer_is_as_described() {
    let server = Server::start();
    let document = Document::new(server.get("/openapi.json").json());
    for path in ["/models", "/profile", "/metrics", "/livez", "/readyz", "/openapi.json"] {
        check(&document, "get", path, &server.get(path));
    }
    let image = png(1);
    for query in [
        "",
        "?width=0.5&top_k=1",
        "?width=auto&budget_ms=60000",
        "?all_widths=true&top_k=2",
        "?min_accuracy=0.7&priority=high",
        "?confidence=0.2",
        "?model=grey&version=1",
    ] {
        let answer = server.post(&format!("/classify{query}"), &image);
        assert_eq!(answer.status, 200, "{query}");
        check(&document, "post", "/classify", &answer);
    }
    let several = server.post_files("/classify?all_widths=true", &[("a", &image), ("b", &image)]);
    assert_eq!(several.json()["results"].as_array().unwrap().len(), 2);
    check(&document, "post", "/classify", &several);

    let (large, many) = (vec![0; (1 << 20) + 1], vec![("a", &image[..]); 9]);
    let one = server.post_files("/classify", &[("a", &image)]);
    assert_eq!(one.json()["results"].as_array().unwrap().len(), 1);
    check(&document, "post", "/classify", &one);

    for (status, answer) in [
        (400, server.post("/classify?width=2", &image)),
        (422, server.post_files("/classify", &[("a", &image), ("b", &image[..50])])),
        (404, server.post("/classify?model=cat", &image)),
        (413, server.post("/classify", &large)),
        (413, server.post_files("/classify", &many)),
        (415, server.post("/classify", b"text")),
        (422, server.post("/classify", &image[..image.len() / 2])),
        (422, server.post("/classify?min_accuracy=1", &image)),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text);
        check(&document, "post", "/classify", &answer);
    }
}

#[test]
fn what_is_not_as_described_is_found_out() {
    let server = Server::start();
    let document = Document::new(server.get("/openapi.json").json());
    let schema = &document.answer("post", "/classify", 200)["content"]["application/json"]["schema"];
    let answer = server.post("/classify?all_widths=true", &png(1)).json();
    assert_eq!(document.validate(schema, &answer), Ok(()));
    for (pointer, wrong) in [
        ("/width", Value::from(0)),
        ("/width", Value::from("0.5")),
        ("/reason", Value::Null),
        ("/predictions/0/probability", Value::from(1.5)),
        ("/predictions/0/index", Value::from(0.5)),
        ("/all_widths/0/predictions", Value::from(1)),
        ("/timing_ms", Value::from(1)),
    ] {
        let mut answer = answer.clone();
        *answer.pointer_mut(pointer).unwrap() = wrong;
        assert!(document.validate(schema, &answer).is_err(), "{pointer}");
    }
    for missing in ["model", "version", "predictions"] {
        let mut answer = answer.clone();
        answer.as_object_mut().unwrap().remove(missing).unwrap();
        assert!(document.validate(schema, &answer).is_err(), "{missing}");
    }
}

/// Of each line of the source that has a kind and a code word, the kind's status and the code word.
fn codes() -> BTreeSet<(u16, String)> {
    let source = |name| fs::read_to_string(format!("{}/src/server/error/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let kinds = source("kind.rs");
    let status_of = |kind: &str| {
        let mut arms = kinds.lines().filter_map(|line| line.split_once(" => StatusCode::"));
        let is_kind = |name: &str| name.trim().strip_prefix("Kind::") == Some(kind);
        let (_, name) = arms.find(|(kinds, _)| kinds.split('|').any(is_kind)).unwrap();
        status(name.trim_end_matches(','))
    };
    let errors = source("mod.rs");
    let pairs = errors.split("(Kind::").skip(1).filter_map(|rest| {
        let (kind, rest) = rest.split_once(", \"")?;
        let code = rest.split_once("\")")?.0;
        Some((status_of(kind), code.to_owned()))
    });
    pairs.collect()
}

fn status(name: &str) -> u16 {
    use ureq::http::StatusCode;
    let spelled = |status: &StatusCode| {
        let reason = status.canonical_reason().unwrap_or_default();
        reason.to_uppercase().replace([' ', '-'], "_") == name
    };
    (100..1000).filter_map(|code| StatusCode::from_u16(code).ok()).find(spelled).unwrap().as_u16()
}

#[test]
fn every_error_is_on_the_page_of_the_api_and_in_the_description() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md")).unwrap();
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        Some((cells.next()?.parse().ok()?, cells.next()?.trim_matches('`').to_owned()))
    };
    let on_page: BTreeSet<(u16, String)> = page.lines().filter_map(row).collect();
    let codes = codes();
    assert!(codes.len() > 20, "{codes:?}");
    assert_eq!(on_page, codes);
    let served = Server::start().get("/openapi.json").json();
    let described = served["components"]["schemas"]["Error"]["properties"]["code"]["enum"].as_array().unwrap();
    let described: BTreeSet<_> = described.iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(described, codes.iter().map(|(_, code)| code.as_str()).collect());
    let document = Document::new(served);
    for (status, _) in codes
        .iter()
        .filter(|(_, code)| !["no_such_path", "no_such_method", "control_forbidden"].contains(&code.as_str()))
    {
        document.answer("post", "/classify", *status);
    }
}
