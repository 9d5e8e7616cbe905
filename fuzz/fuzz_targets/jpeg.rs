//! JPEG: no file makes the decoder panic, a reduced decode fails exactly where the full one does, and what
//! `djpeg` decodes too has its pixels, as in `tests/jpeg.rs`, where `ANYWIDTH_DJPEG` names one.
#![no_main]

#[path = "../../tests/support/djpeg.rs"]
#[allow(clippy::unwrap_used)]
mod djpeg;

use std::sync::LazyLock;

use anywidth::image::{Image, ImageLimits, InputSpec};
use anywidth_fuzz::check_message;
use djpeg::djpeg;
use libfuzzer_sys::fuzz_target;

/// Small, so that one file takes little time and memory.
const LIMITS: ImageLimits = ImageLimits { max_bytes: 1 << 20, max_pixels: 100_000 };
const LONGEST_MESSAGE: usize = 300;

static DJPEG: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("ANYWIDTH_DJPEG").ok());

fuzz_target!(|bytes: &[u8]| {
    // The decoders of other types belong to dependencies.
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return;
    }
    let full = Image::decode(bytes, &LIMITS);
    for spec in [1, 8].iter().filter_map(|&side| InputSpec::new(3, side, side).ok()) {
        let reduced = Image::decode_for(bytes, &LIMITS, &spec);
        assert_eq!(full.as_ref().err(), reduced.as_ref().err());
        if let (Ok(full), Ok(reduced)) = (&full, &reduced) {
            assert!(reduced.size() != full.size() || reduced == full, "other pixels at the same size");
        }
    }
    match full {
        Err(error) => check_message(&error.to_string(), LONGEST_MESSAGE),
        Ok(image) => compare(bytes, &image),
    }
});

fn compare(bytes: &[u8], ours: &Image) {
    let Some(program) = &*DJPEG else { return };
    // `djpeg` ignores the orientation.
    if bytes.windows(4).any(|word| word == b"Exif") {
        return;
    }
    let (width, height) = ours.size();
    let channels = ours.bytes() / (width * height) as usize;
    // A side may be longer than a model's input may be.
    let Ok(spec) = InputSpec::new(channels, height as usize, width as usize) else { return };
    // It refuses some tables that no scan uses.
    let Ok(theirs) = djpeg(program, &[], bytes) else { return };
    // Coefficients that no image has overflow in its vector code: what is right is then undefined.
    if djpeg("env", &["JSIMD_FORCENONE=1", program], bytes).is_ok_and(|plain| plain == theirs) {
        assert_eq!(ours.size(), theirs.0);
        assert!(ours.pixels(&spec) == theirs.1, "other pixels than those of djpeg");
    }
}
