//! What strangers may send: always a clear error, never a crash.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use image::ImageFormat;
use proptest::prelude::*;
use serde_json::json;

use crate::support::images::{bomb, file, png};
use crate::support::server::{Options, Server};

#[test]
fn a_bad_width_names_the_value_its_place_and_what_is_allowed() {
    let server = Server::start();
    for width in ["0", "1.01", "NaN", "wide", "", "-1", "1.0000001", "inf", "1e-1"] {
        let message = server.post(&format!("/classify?width={width}"), &png(0)).error(400, "bad_value");
        assert!(message.contains(&format!("{width:?} of the query parameter \"width\"")), "{message}");
        assert!(message.ends_with("allowed: a decimal number above 0 and up to 1, or auto"), "{message}");
    }
}

#[test]
fn other_bad_parameters_are_named_as_well() {
    let server = Server::start();
    let error = |query: &str, status, code| server.post(&format!("/classify?{query}"), &png(0)).error(status, code);
    assert!(error("top_k=0", 400, "bad_value").ends_with("a whole number from 1 to 10"));
    assert!(error("top_k=11", 400, "bad_value").ends_with("a whole number from 1 to 10"));
    assert!(error("model=grey&top_k=5", 400, "bad_value").ends_with("a whole number from 1 to 4"));
    assert!(error("all_widths=maybe", 400, "bad_value").ends_with("true or false"));
    assert!(error("width=1&width=1", 400, "repeated_parameter").contains("\"width\""));
    assert!(error("widht=1", 400, "unknown_parameter").contains("did you mean \"width\"?"));
    assert!(error("colour=5", 400, "unknown_parameter").contains("known: width"));
    assert!(error("model=cat", 404, "no_such_model").ends_with("available: grey, tiny"));
    assert!(error("version=3", 404, "no_such_model").ends_with("available: 1, 2"));
}

#[test]
fn what_can_never_be_met_is_refused_with_what_could() {
    let server = Server::start();
    let error = |query: &str, status, code| server.post(&format!("/classify?{query}"), &png(0)).error(status, code);
    for budget in ["0", "-1", "NaN", "1000000000000000000", "1e999", "soon"] {
        let allowed = "a decimal number of milliseconds above 0 and up to 3600000";
        assert!(error(&format!("budget_ms={budget}"), 400, "bad_value").ends_with(allowed), "{budget}");
    }
    // No load makes it possible to read, decode, classify and answer in so little time.
    for budget in ["0.000001", "0.001", "0.1"] {
        let told = error(&format!("budget_ms={budget}"), 422, "cannot_be_met");
        assert!(told.contains(" ms cannot be met: width ") && told.contains("on an idle server"), "{told}");
    }
    assert_eq!(
        error("min_accuracy=0.9", 422, "cannot_be_met"),
        "an accuracy of 0.9 cannot be met: the model's best is 0.75, at full width"
    );
    let unknown = error("min_accuracy=0.5&model=grey", 422, "cannot_be_met");
    assert!(unknown.contains("does not say how accurate it is"), "{unknown}");
    let both = error("min_accuracy=0.7&width=0.5", 422, "cannot_be_met");
    assert_eq!(both, "width 0.5 and an accuracy of 0.7 contradict: that width has 0.6");
    error("confidence=0.9&width=0.5", 400, "contradiction");
    error("confidence=0.9&all_widths=true", 400, "contradiction");
    assert!(error("priority=urgent", 400, "bad_value").ends_with("low, normal or high"));
    let header = server.send("POST", "/classify", &[("X-Latency-Budget-Ms", "soon")], &png(0));
    assert!(header.error(400, "bad_value").contains("the header x-latency-budget-ms"));
    assert_eq!(server.metric("anywidth_queue_length"), Some(0.0));
}

#[test]
fn a_body_that_is_no_image_is_refused_by_what_it_is() {
    let server = Server::start();
    let error = |body: &[u8], status, code| server.post("/classify", body).error(status, code);
    error(b"", 400, "empty_body");
    assert!(error(b"this is no image at all", 415, "unsupported_type").contains("\"this is no image\""));
    assert!(error(b"GIF89a\x01\0\x01\0", 415, "unsupported_type").contains("it looks like GIF"));
    let jpeg = file(64, 64, 1, ImageFormat::Jpeg);
    error(&jpeg[..jpeg.len() / 2], 422, "broken_image");
    error(&jpeg[..jpeg.len() - 2], 422, "broken_image");
    let large = "the image has 60000 x 60000 pixels, at most 1000000 pixels are allowed";
    assert_eq!(error(&bomb(), 413, "too_many_pixels"), large);
    // A content type says nothing about an image.
    let answer = server.send("POST", "/classify", &[("content-type", "text/plain")], &png(0));
    assert_eq!(answer.status, 200);
}

#[test]
fn one_bad_file_among_several_is_named() {
    let server = Server::start();
    let jpeg = file(64, 64, 1, ImageFormat::Jpeg);
    let files: [(&str, &[u8]); 3] = [("good.png", &png(0)), ("bad.jpg", &jpeg[..300]), ("good.png", &png(1))];
    let answer = server.post_files("/classify", &files);
    let message = answer.error(422, "broken_image");
    assert!(message.starts_with("file \"bad.jpg\": the JPEG image is broken: "), "{message}");
    assert_eq!(answer.json()["file"], json!({ "index": 1, "name": "bad.jpg" }));
    let answer = server.post_files("/classify", &[("none.png", b"")]);
    assert_eq!(answer.error(400, "empty_image"), "file \"none.png\": the image is empty");
    assert_eq!(answer.json()["file"], json!({ "index": 0, "name": "none.png" }));
    let many_pixels = server.post_files("/classify", &[("good.png", &png(0)), ("large.png", &bomb())]);
    many_pixels.error(413, "too_many_pixels");
    assert_eq!(many_pixels.json()["file"]["index"], 1);
    let no_image = server.post_files("/classify", &[("good.png", &png(0)), ("text.png", b"text")]);
    no_image.error(415, "unsupported_type");
    assert_eq!(no_image.json()["file"]["name"], "text.png");
    // What is not in a form is no file.
    let alone = server.post("/classify", &jpeg[..300]);
    alone.error(422, "broken_image");
    assert_eq!(alone.json().get("file"), None);
}

#[test]
fn what_curl_does_to_a_file_is_told() {
    let server = Server::start();
    let stripped = |bytes: &[u8]| bytes.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect::<Vec<_>>();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let send = |headers: &[(&str, &str)], body: &[u8]| {
        let answer = server.send("POST", "/classify", headers, body);
        assert!([415, 422].contains(&answer.status), "{}", answer.text);
        answer.json()["error"].as_str().unwrap().contains("--data-binary")
    };
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        for seed in 0..5 {
            let body = stripped(&file(96, 96, seed, format));
            // A few bytes less may still be an image.
            if server.send("POST", "/classify", &form, &body).status == 200 {
                continue;
            }
            assert!(send(&form, &body));
            // Whatever type was named: it is seen from the bytes of an image that is not tiny.
            assert!(send(&[("content-type", "image/jpeg")], &body) || body.len() < 1500, "{format:?} {}", body.len());
        }
    }
    assert!(send(&[], &stripped(&png(0))));
    // The name of a file instead of the file.
    assert!(send(&form, b"photo.jpg"));
    let mime = "Application/X-WWW-Form-Urlencoded; charset=utf-8";
    assert!(send(&[("content-type", mime)], &png(0)[..60]));
    // Not where something else is wrong.
    let jpeg = file(96, 96, 1, ImageFormat::Jpeg);
    assert!(!send(&[], &jpeg[..jpeg.len() / 2]));
    assert!(!send(&[], b"text"));
    assert!(!send(&form, b"GIF89a\x01\0\x01\0"));
    let large = server.send("POST", "/classify", &form, &bomb());
    assert!(!large.error(413, "too_many_pixels").contains("--data-binary"));
    // And a whole image is one, whatever its type is called.
    assert_eq!(server.send("POST", "/classify", &form, &png(0)).status, 200);
}

#[test]
fn a_form_that_cannot_be_read_is_refused() {
    let server = Server::start();
    let send = |kind: &str, body: &[u8]| server.send("POST", "/classify", &[("content-type", kind)], body);
    let form = "multipart/form-data; boundary=edge";
    send(form, b"no form at all").error(400, "bad_multipart");
    send("multipart/form-data; border=edge", b"--edge--").error(400, "bad_multipart");
    for kind in ["multipart/form-data", "Multipart/Form-Data;", "multipart/form-data ; border=edge"] {
        send(kind, &png(0)).error(400, "bad_multipart");
    }
    send(form, b"--edge\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\"\r\n\r\nhalf")
        .error(400, "bad_multipart");
    send(form, b"--edge--\r\n").error(400, "empty_body");
    let field = b"--edge\r\nContent-Disposition: form-data; name=\"width\"\r\n\r\n0.5\r\n--edge--\r\n";
    assert!(send(form, field).error(400, "field_without_file").contains("\"width\""));
    let files = vec![("a.png", &b"x"[..]); 9];
    assert!(
        server.post_files("/classify", &files).error(413, "too_many_files").contains("exceeds the limit of 8 files")
    );
}

#[test]
fn a_body_above_the_limit_is_refused_whether_its_length_is_told_or_not() {
    let server = Server::start();
    let large = vec![0; (1 << 20) + 1];
    server.post("/classify", &large).error(413, "body_too_large");

    let mut chunked = TcpStream::connect(server.address).unwrap();
    chunked
        .write_all(b"POST /classify HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        .unwrap();
    chunked.write_all(format!("{:x}\r\n", large.len()).as_bytes()).unwrap();
    chunked.write_all(&large).unwrap();
    chunked.write_all(b"\r\n0\r\n\r\n").unwrap();
    let mut answer = String::new();
    chunked.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
}

#[test]
fn a_body_that_does_not_arrive_is_not_waited_for_forever() {
    let mut options = Options::default();
    options.limits.read_timeout = Duration::from_millis(20);
    let server = Server::with(options);
    let mut slow = TcpStream::connect(server.address).unwrap();
    slow.write_all(b"POST /classify HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf")
        .unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("slow_body"), "{answer}");
}

#[test]
fn a_head_that_does_not_arrive_is_not_waited_for_forever() {
    let mut options = Options::default();
    options.limits.read_timeout = Duration::from_millis(20);
    let server = Server::with(options);
    let mut slow = TcpStream::connect(server.address).unwrap();
    slow.write_all(b"POST /classify HTTP/1.1\r\nHost: he").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("slow_head"), "{answer}");
}

#[test]
fn unknown_paths_and_methods_are_errors_like_all_others() {
    let server = Server::start();
    assert!(server.get("/clasify").error(404, "no_such_path").contains("/classify"));
    let answer = server.get("/classify?width=0.5");
    answer.error(405, "no_such_method");
    assert_eq!(answer.header("allow"), "POST");
    let answer = server.post("/models", b"");
    answer.error(405, "no_such_method");
    assert_eq!(answer.header("allow"), "GET,HEAD");
    server.send("DELETE", "/", &[], b"").error(405, "no_such_method");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_that_is_sent_is_the_servers_fault(
        query in "[ -~]{0,40}", body in proptest::collection::vec(any::<u8>(), 0..400), format in 0..4usize,
    ) {
        let formats = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP];
        // A real file, damaged in its middle; or nothing but noise.
        let mut bytes = formats.get(format).map(|&format| file(24, 24, 5, format)).unwrap_or_default();
        let middle = bytes.len() / 2;
        bytes.splice(middle..middle, body);
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        thread_local!(static SERVER: Server = Server::start());
        let status = SERVER.with(|server| server.post(&format!("/classify?width=0.5&top_k={query}"), &bytes).status);
        prop_assert!(status < 500, "{}", status);
        let status = SERVER.with(|server| server.post("/classify", &bytes).status);
        prop_assert!(status < 500, "{}", status);
    }
}
