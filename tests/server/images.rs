//! Images as other programs write them, which once were decoded wrong or refused for another reason than theirs.

use std::path::Path;

use anywidth::image::{Image, ImageLimits, InputSpec};

use crate::support::server::Server;

/// The colors of the four quarters, from the upper left one.
const COLORS: [[u8; 3]; 4] = [[220, 40, 30], [40, 200, 60], [30, 60, 220], [230, 220, 50]];

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images").join(name)).unwrap()
}

#[test]
fn what_can_be_decoded_shows_its_four_colors() {
    let server = Server::start();
    for name in [
        "one-scan-per-component-420.jpg",
        "jfif-and-adobe-transform-0.jpg",
        "zero-bytes-between-segments.jpg",
        "webcam-frame-without-huffman-tables.jpg",
        "no-iend.png",
    ] {
        let input = InputSpec::new(3, 16, 16).unwrap();
        let pixels = Image::decode_for(&file(name), &ImageLimits::default(), &input).unwrap().pixels(&input);
        for ((x, y), color) in [(3, 3), (12, 3), (3, 12), (12, 12)].into_iter().zip(COLORS) {
            let found = [0, 1, 2].map(|channel| pixels[256 * channel + 16 * y + x]);
            let near = found.iter().zip(color).all(|(found, color)| found.abs_diff(color) <= 4);
            assert!(near, "{name} at {x}, {y}: {found:?} instead of {color:?}");
        }
        assert_eq!(server.post("/classify", &file(name)).status, 200, "{name}");
    }
}

#[test]
fn what_cannot_be_decoded_is_refused_as_what_it_is() {
    let server = Server::start();
    let refusal = |name: &str, code: &str| server.post("/classify", &file(name)).error(415, code);
    let message = refusal("begins-like-heic.heic", "unsupported_type");
    assert!(
        message.contains("not a JPEG, PNG or WebP file") && message.contains("HEIC, which is not supported"),
        "{message}"
    );
    assert!(message.contains("save it as JPEG"), "{message}");
    let message = refusal("iphone-cgbi.png", "unsupported_feature");
    assert!(message.contains("unsupported feature: Apple's CgBI variant"), "{message}");
}
