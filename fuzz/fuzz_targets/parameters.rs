//! The query and the headers of `/classify`: read or refused with a sentence. The first line is the query, every other one a
//! header as `name: value`.
#![no_main]

use anywidth::server::fuzzing::parameters;
use anywidth_fuzz::check_message;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

/// A value that is quoted has at most 40 characters, each escaped by at most ten.
const LONGEST_MESSAGE: usize = 700;

fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let target = [b"/classify?", lines.next().unwrap_or_default()].concat();
    let Ok(target) = PathAndQuery::try_from(&target[..]) else { return };
    let headers: HeaderMap = lines.filter_map(header).collect();
    if let Err(message) = parameters(target.query().unwrap_or_default(), &headers) {
        check_message(&message, LONGEST_MESSAGE);
    }
});

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_at_checked(line.iter().position(|&byte| byte == b':')?)?;
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value[1..].trim_ascii()).ok()?))
}
