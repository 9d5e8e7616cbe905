//! Bodies that come compressed: what is read, what is refused, and within which limits.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use image::{Rgb, RgbImage};
use proptest::prelude::*;

use crate::support::images::png;
use crate::support::server::{Answer, Options, Server, form};
use crate::support::workers::{GateStep, Gated};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn send(server: &Server, encoding: &str, body: &[u8]) -> Answer {
    server.send("POST", "/classify", &[("content-encoding", encoding)], body)
}

#[test]
fn compressed_bodies_are_answered_as_the_plain_ones() {
    let server = Server::start();
    let image = png(3);
    let plain = server.post("/classify", &image).json()["predictions"].clone();
    for (encoding, body) in [
        ("gzip", gzip(&image)),
        ("x-gzip", gzip(&image)),
        ("GZip", gzip(&image)),
        ("gzip", [gzip(&image[..100]), gzip(&image[100..])].concat()),
        ("gzip", [gzip(&image), vec![0; 512]].concat()),
        ("deflate", zlib(&image)),
        ("deflate", raw_deflate(&image)),
        ("identity", image.clone()),
        ("", image.clone()),
        ("identity, gzip", gzip(&image)),
        ("gzip, deflate", zlib(&gzip(&image))),
        ("deflate , gzip", gzip(&raw_deflate(&image))),
        ("gzip,gzip,gzip", gzip(&gzip(&gzip(&image)))),
    ] {
        let answer = send(&server, encoding, &body);
        assert_eq!(answer.status, 200, "{encoding}: {}", answer.text);
        assert_eq!(answer.json()["predictions"], plain, "{encoding}");
    }
    let headers = [("content-encoding", "deflate"), ("content-encoding", "gzip")];
    assert_eq!(server.send("POST", "/classify", &headers, &gzip(&zlib(&image))).json()["predictions"], plain);
    let headers = [("content-encoding", "gzip"), ("content-type", "multipart/form-data; boundary=edge")];
    let several = server.send("POST", "/classify", &headers, &gzip(&form(&[("a", &image), ("b", &image)])));
    assert_eq!(several.json()["results"][1]["predictions"], plain);
}

#[test]
fn what_is_not_as_it_says_is_told() {
    let server = Server::start();
    let image = png(3);
    for (encoding, body) in [
        ("gzip", gzip(&image)),
        ("deflate", zlib(&image)),
        ("deflate", raw_deflate(&image)),
        ("gzip", [gzip(&image), gzip(&image)].concat()),
    ] {
        for length in [1, 2, 5, 9, 11, 30, body.len() / 3, body.len() - 9, body.len() - 5, body.len() - 1] {
            let message = send(&server, encoding, &body[..length]).error(400, "bad_encoding");
            assert!(message.contains(encoding), "{length}: {message}");
        }
        let message = send(&server, encoding, &[&body[..], b"more"].concat()).error(400, "bad_encoding");
        assert!(message.contains(encoding), "{message}");
    }
    let mut wrong_sum = gzip(&image);
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    send(&server, "gzip", &wrong_sum).error(400, "bad_encoding");
    for encoding in ["gzip", "deflate"] {
        let message = send(&server, encoding, &image).error(400, "bad_encoding");
        assert!(message.contains(&format!("the {encoding} data is damaged or in another format")), "{message}");
    }
    send(&server, "gzip", b"").error(400, "empty_body");
    send(&server, "gzip", &gzip(b"")).error(400, "empty_body");
    assert!(send(&server, "gzip", &gzip(b"this is no image")).error(415, "unsupported_type").contains("this is"));
}

#[test]
fn encodings_that_are_not_known_are_named_with_those_that_are() {
    let server = Server::start();
    for (encoding, named) in [
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip, br", "br"),
        ("gzip;q=1", "gzip;q=1"),
        ("gzip,gzip,gzip,gzip", "gzip,gzip,gzip,gzip"),
    ] {
        let answer = send(&server, encoding, &png(3));
        let message = answer.error(415, "unsupported_encoding");
        assert!(message.contains(&format!("{named:?}")) && message.contains("gzip, deflate or identity"), "{message}");
        assert_eq!(answer.header("accept-encoding"), "gzip, deflate");
    }
}

#[test]
fn a_bomb_is_within_the_limit_of_a_body() {
    let server = Server::start();
    let limit = Options::default().limits.max_body_bytes;
    let zeros = vec![0; limit + 1];
    let huge = gzip(&vec![0; 64 << 20]);
    assert!(huge.len() < limit / 10);
    for (encoding, body) in [
        ("gzip", gzip(&zeros)),
        ("deflate", zlib(&zeros)),
        ("deflate", raw_deflate(&zeros)),
        ("gzip", huge.clone()),
        ("gzip, gzip", gzip(&huge)),
        // Nothing comes out of this, but for what is in between.
        ("gzip, gzip", gzip(&gzip(b"").repeat(limit / 20 + 1))),
    ] {
        let message = send(&server, encoding, &body).error(413, "body_too_large");
        assert!(message.contains("the decompressed body exceeds"), "{message}");
    }
    // What is exactly as large is no image, but read.
    send(&server, "gzip", &gzip(&zeros[1..])).error(415, "unsupported_type");
}

#[test]
fn what_is_inflated_counts_as_memory() {
    // An image that is large before it is compressed once more.
    let mut image = std::io::Cursor::new(Vec::new());
    let encoder = image::codecs::png::PngEncoder::new_with_quality(
        &mut image,
        image::codecs::png::CompressionType::Uncompressed,
        image::codecs::png::FilterType::NoFilter,
    );
    RgbImage::from_pixel(64, 64, Rgb([9, 99, 199])).write_with_encoder(encoder).unwrap();
    let image = image.into_inner();
    let body = gzip(&image);
    assert!(body.len() * 2 < image.len());

    let (gate, wrap) = Gated::behind_gate();
    let mut options = Options { wrap: Box::new(wrap), ..Options::default() };
    options.limits.max_body_bytes = image.len();
    // What is compressed and what came out of it fit in once, and what came out of another one does not beside it.
    options.limits.max_bytes_in_flight = (body.len() + image.len()).next_multiple_of(1024);
    let server = Server::with(options);
    assert_eq!(gate.arrived.recv(), Ok(GateStep::WarmUp));
    gate.open.send(()).unwrap();
    server.await_ready();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| send(&server, "gzip", &body).status);
        assert_eq!(gate.arrived.recv(), Ok(GateStep::Batch(1)));
        let waiting = scope.spawn(|| send(&server, "gzip", &body).status);
        server.until(|| server.metric("anywidth_queue_length") == Some(1.0));
        send(&server, "gzip", &body).error(503, "memory_full");
        gate.open.send(()).unwrap();
        gate.open.send(()).unwrap();
        assert_eq!((running.join().unwrap(), waiting.join().unwrap()), (200, 200));
    });
    gate.open.send(()).unwrap();
    assert_eq!(send(&server, "gzip", &body).status, 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_compressed_bytes_are_the_servers_fault(
        middle in proptest::collection::vec(any::<u8>(), 0..40), at in 0..400usize, which in 0..3usize,
    ) {
        let (encoding, mut body) =
            [("gzip", gzip(&png(1))), ("deflate", zlib(&png(1))), ("deflate", raw_deflate(&png(1)))][which].clone();
        let at = at.min(body.len());
        let end = (at + middle.len()).min(body.len());
        body.splice(at..end, middle);
        thread_local!(static SERVER: Server = Server::start());
        let status = SERVER.with(|server| send(server, encoding, &body).status);
        prop_assert!(status < 500, "{}", status);
    }
}
