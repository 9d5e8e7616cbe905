//! Pages of other origins: whose may ask, as browsers ask for them.

use crate::support::images::png;
use crate::support::server::{Answer, Options, Server};

fn server(origins: &[&str]) -> Server {
    let cors_origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
    let server = Server::with(Options { cors_origins, ..Options::default() });
    server.await_ready();
    server
}

/// A browser's question before a request with a header of its own.
fn preflight(server: &Server, path: &str, origin: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,x-width"),
    ];
    server.send("OPTIONS", path, &headers, b"")
}

fn ask(server: &Server, path: &str, origin: &str, body: &[u8]) -> Answer {
    server.send("POST", path, &[("origin", origin), ("content-type", "image/png")], body)
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.headers.get("access-control-allow-origin").map(|origin| origin.to_str().unwrap())
}

#[test]
fn without_an_origin_nobody_elses_page_may_ask() {
    let server = server(&[]);
    preflight(&server, "/classify", "https://a.example").error(405, "no_such_method");
    let answer = ask(&server, "/classify", "https://a.example", &png(1));
    assert_eq!((answer.status, allowed(&answer)), (200, None));
    assert_eq!(answer.headers.get("access-control-expose-headers"), None);
}

#[test]
fn the_origins_that_are_named_may_ask_and_no_others() {
    let server = server(&["https://a.example", "HTTP://LocalHost:3000"]);
    for origin in ["https://a.example", "http://localhost:3000"] {
        let answer = preflight(&server, "/classify", origin);
        assert_eq!((answer.status, allowed(&answer)), (200, Some(origin)));
        assert!(answer.header("access-control-allow-methods").contains("POST"));
        assert_eq!(answer.header("access-control-allow-headers"), "content-type,x-width");
        assert!(!answer.header("x-request-id").is_empty());
        let answer = ask(&server, "/classify", origin, &png(1));
        assert_eq!((answer.status, allowed(&answer)), (200, Some(origin)));
        let exposed = answer.header("access-control-expose-headers");
        for name in ["x-width", "server-timing", "x-request-id", "retry-after"] {
            assert!(exposed.contains(name), "{exposed}");
        }
        let vary: Vec<_> = answer.headers.get_all("vary").iter().map(|vary| vary.to_str().unwrap()).collect();
        assert!(vary.join(",").contains("origin"), "{vary:?}");
    }
    for origin in ["https://b.example", "https://a.example.b.example", "http://a.example", "null"] {
        assert_eq!(allowed(&preflight(&server, "/classify", origin)), None, "{origin}");
        assert_eq!(allowed(&ask(&server, "/classify", origin, &png(1))), None, "{origin}");
    }
}

#[test]
fn errors_can_be_read_as_answers_can() {
    let server = server(&["*"]);
    let origin = "https://a.example";
    assert_eq!(allowed(&preflight(&server, "/classify", origin)), Some("*"));
    for (answer, status) in [
        (ask(&server, "/classify?width=2", origin, &png(1)), 400),
        (ask(&server, "/nowhere", origin, b""), 404),
        (ask(&server, "/models", origin, b""), 405),
        (ask(&server, "/classify", origin, b"text"), 415),
        (ask(&server, "/classify", origin, &png(1)[..60]), 422),
    ] {
        assert_eq!((answer.status, allowed(&answer)), (status, Some("*")), "{}", answer.text);
        assert!(answer.header("access-control-expose-headers").contains("retry-after"));
    }
}
