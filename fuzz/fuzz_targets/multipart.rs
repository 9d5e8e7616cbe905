//! Forms: their files lie in the body and within the limits, or the form is refused with a sentence. The first line is what
//! follows `multipart/form-data;` in the Content-Type, the rest the body.
#![no_main]

use anywidth::server::fuzzing::files;
use anywidth_fuzz::check_message;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;

const MAX_FILES: usize = 4;
const LONGEST_NAME: usize = 100;
/// A field's name has at most 100 characters, each escaped by at most ten.
const LONGEST_MESSAGE: usize = 1200;

fuzz_target!(|bytes: &[u8]| {
    let line = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (parameters, body) = bytes.split_at(line);
    let Ok(content_type) = HeaderValue::from_bytes(&[b"multipart/form-data;", parameters].concat()) else { return };
    let body = body.get(1..).unwrap_or_default();
    match files(content_type.as_bytes(), body.to_vec(), MAX_FILES) {
        Err(message) => check_message(&message, LONGEST_MESSAGE),
        Ok(files) => {
            assert!((1..=MAX_FILES).contains(&files.len()));
            assert!(files.iter().all(|(name, _)| name.chars().count() <= LONGEST_NAME));
            assert!(files.iter().map(|(_, content)| content.len()).sum::<usize>() <= body.len());
        }
    }
});
