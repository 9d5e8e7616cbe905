//! The page at `/`: its files, embedded in the binary, and their headers.
//!
//! Contract: the page loads nothing from other origins, the browser denies it everything that it does not need ([`POLICY`]), and
//! an unchanged file is not sent twice. This module must not know models: the page uses the public API.

mod accept;

pub(super) use accept::prefers_html;

use std::future::ready;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::header::{REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// A file of the page.
struct File {
    /// The path below `/page/`.
    path: &'static str,
    bytes: &'static [u8],
}

/// The page's content security policy: its own scripts, styles and images, images from the user, and calls to this server. It
/// forbids inline scripts and styles, strings assigned as HTML, and framing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const INDEX: File = File { path: "index.html", bytes: include_bytes!("assets/index.html") };

/// Embeds files by their paths below a folder, which is relative to this file.
macro_rules! files {
    ($folder:literal, [$($path:literal),* $(,)?]) => {
        [$(File { path: $path, bytes: include_bytes!(concat!($folder, $path)) }),*]
    };
}

const ASSETS: &[File] = &files!(
    "assets/",
    [
        "app.js",
        "burst.js",
        "burst-view.js",
        "chart.js",
        "connection.js",
        "cost.js",
        "curve.js",
        "dom.js",
        "drawing.js",
        "favicon.svg",
        "live.js",
        "network.js",
        "numbers.js",
        "image.js",
        "result.js",
        "server.js",
        "snippets.js",
        "style.css",
        "trouble.js",
    ]
);

const SAMPLES: &[File] =
    &files!("../../../", ["samples/frog.png", "samples/seven.png", "samples/ship.png", "samples/shirt.png"]);

/// Everything below `/page/`.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().chain(SAMPLES).fold(Router::new(), |router, file| {
        router.route(&format!("/page/{}", file.path), get(move |headers: HeaderMap| ready(file.answer(&headers))))
    })
}

/// The page itself.
pub(super) fn index(headers: &HeaderMap) -> Response {
    ([(CONTENT_SECURITY_POLICY, POLICY), (VARY, "accept")], INDEX.answer(headers)).into_response()
}

impl File {
    /// The file, or 304 if the caller has it. Browsers revalidate every file, so that the page's parts are always of one version.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let etag = self.etag();
        let fresh = headers.get_all(IF_NONE_MATCH).iter().any(|known| names(known.as_bytes(), &etag));
        let headers = [
            (CACHE_CONTROL, "no-cache"),
            (CONTENT_TYPE, self.kind()),
            (ETAG, etag.as_str()),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        match fresh {
            true => (StatusCode::NOT_MODIFIED, headers).into_response(),
            false => (headers, self.bytes).into_response(),
        }
    }

    fn kind(&self) -> &'static str {
        match self.path.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "html")) => "text/html; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "png")) => "image/png",
            Some((_, "svg")) => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }

    /// A hash of the content, so that replicas produce the same tag.
    fn etag(&self) -> String {
        format!("\"{:016x}\"", fnv1a(self.bytes))
    }
}

/// Whether an If-None-Match header contains this tag.
fn names(known: &[u8], etag: &str) -> bool {
    let tags = known.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    tags.map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag)).any(|tag| tag == b"*" || tag == etag.as_bytes())
}

/// The 64-bit FNV-1a hash.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn every_file_of_the_folders_is_served_and_has_a_type_of_its_own() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let names = |folder: &str| -> Vec<String> {
            let entries = std::fs::read_dir(root.join(folder)).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        for name in names("src/server/page/assets") {
            assert!(name == INDEX.path || ASSETS.iter().any(|file| file.path == name), "{name}");
        }
        for name in names("samples").iter().filter(|name| name.ends_with(".png")) {
            assert!(SAMPLES.iter().any(|file| file.path == format!("samples/{name}")), "{name}");
        }
        for file in ASSETS.iter().chain(SAMPLES) {
            assert_ne!(file.kind(), "application/octet-stream", "{}", file.path);
        }
    }

    #[test]
    fn a_tag_is_known_in_a_list_and_where_a_proxy_weakened_it() {
        for known in ["\"a\"", "W/\"a\"", "\"b\", W/\"a\"", "*"] {
            assert!(names(known.as_bytes(), "\"a\""), "{known}");
        }
        assert!(!names(b"\"b\"", "\"a\""));
    }
}
