//! Tells browsers from programs by the Accept header.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Whether the Accept header names HTML explicitly and does not prefer JSON. A caller that only accepts `*/*`, such as curl, is a
/// program.
pub(in crate::server) fn prefers_html(headers: &HeaderMap) -> bool {
    let ranges =
        || headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    let weight = |kind| ranges().filter_map(|range| weight_of(range, kind)).fold(0.0, f32::max);
    let html = weight("text/html");
    html > 0.0 && html >= weight("application/json")
}

/// The weight of a media range if it names exactly this type.
fn weight_of(range: &str, kind: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(kind) {
        return None;
    }
    let weight = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    Some(weight.map_or(1.0, |(_, text)| text.trim().parse().unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn prefers(accept: &'static str) -> bool {
        prefers_html(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
    }

    #[test]
    fn browsers_get_html_and_programs_json() {
        assert!(prefers("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"));
        assert!(prefers("text/html"));
        assert!(prefers("TEXT/HTML;charset=utf-8;q=0.5, application/json;q=0.4"));
        for program in ["", "*/*", "application/json", "application/json, text/html;q=0.5", "text/html;q=0", "text/*"] {
            assert!(!prefers(program), "{program}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }
}
