//! The origins whose pages may send requests from a browser.

use std::fmt;
use std::str::FromStr;

use axum::http::Uri;
use serde::{Serialize, Serializer};
use thiserror::Error;

/// An allowed origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum CorsOrigin {
    /// Any origin.
    Any,
    /// One origin, as browsers write it: in lower case, without the scheme's default port.
    One(String),
}

/// The text is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "not an origin: it must be *, or a scheme and a host with an optional port, as in https://example.com:8443, without a path or wildcard"
)]
pub struct NotAnOrigin;

impl FromStr for CorsOrigin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<CorsOrigin, NotAnOrigin> {
        let text = text.trim();
        if text == "*" {
            return Ok(CorsOrigin::Any);
        }
        let (scheme, rest) = text.split_once("://").ok_or(NotAnOrigin)?;
        let uri: Uri = text.parse().map_err(|_| NotAnOrigin)?;
        let authority = uri.authority().ok_or(NotAnOrigin)?;
        // A URI may have parts that an origin lacks: a user, a path, a query.
        if authority.as_str() != rest || rest.contains(['@', '*']) || !text.is_ascii() {
            return Err(NotAnOrigin);
        }
        let (scheme, host) = (scheme.to_ascii_lowercase(), authority.host().to_ascii_lowercase());
        let usual = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let port = authority.port_u16();
        if host.is_empty() || rest.len() > authority.host().len() && port.is_none() {
            return Err(NotAnOrigin);
        }
        let port = port.filter(|port| Some(*port) != usual).map(|port| format!(":{port}")).unwrap_or_default();
        Ok(CorsOrigin::One(format!("{scheme}://{host}{port}")))
    }
}

impl fmt::Display for CorsOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            CorsOrigin::Any => formatter.write_str("*"),
            CorsOrigin::One(origin) => formatter.write_str(origin),
        }
    }
}

impl Serialize for CorsOrigin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_browsers_write_it() {
        for (text, origin) in [
            ("*", "*"),
            ("https://example.com", "https://example.com"),
            (" https://example.com ", "https://example.com"),
            ("HTTPS://Example.COM:443", "https://example.com"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:443", "http://localhost:443"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            assert_eq!(text.parse::<CorsOrigin>().map(|origin| origin.to_string()).as_deref(), Ok(origin));
        }
        for text in [
            "",
            "null",
            "example.com",
            "example.com:8080",
            "https://",
            "https://*.example.com",
            "https://example.com/",
            "https://example.com/page",
            "https://example.com?a",
            "https://me@example.com",
            "https://example.com:",
            "https://example.com:99999",
            "https://bücher.example",
            "https://a b",
        ] {
            assert_eq!(text.parse::<CorsOrigin>(), Err(NotAnOrigin), "{text}");
        }
    }
}
