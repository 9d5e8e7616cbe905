//! The page and the stream behind it, as a program sees them: `tests/browser` has what a person sees.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anywidth::server::Drain;
use serde_json::Value;

use crate::support::images::png;
use crate::support::server::{Answer, DRAIN, Options, Server};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn page(server: &Server) -> Answer {
    server.send("GET", "/", &[("accept", BROWSER)], &[])
}

/// The paths of this server that a file of the page names between these two.
fn named<'a>(text: &'a str, before: &'a str, after: char) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(move |rest| rest.split(after).next())
}

/// A subscriber of `/events` that has read its answer's head.
struct Subscriber(BufReader<TcpStream>);

impl Subscriber {
    fn of(server: &Server) -> Subscriber {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
        let mut subscriber = Subscriber(BufReader::new(stream));
        let head: Vec<String> =
            std::iter::from_fn(|| Some(subscriber.line()).filter(|line| !line.is_empty())).collect();
        assert_eq!(head[0], "HTTP/1.1 200 OK");
        for header in ["content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"] {
            assert!(head.iter().any(|line| line == header), "{header} in {head:?}");
        }
        subscriber
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next event's data.
    fn event(&mut self) -> Value {
        loop {
            if let Some(data) = self.line().strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }

    /// All that comes until the end.
    fn rest(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}

#[test]
fn browsers_get_the_page_and_programs_json() {
    let server = Server::start();
    let html = page(&server);
    assert_eq!((html.status, html.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(html.text.starts_with("<!doctype html>"));
    for program in [vec![], vec![("accept", "*/*")], vec![("accept", "application/json")]] {
        let json = server.send("GET", "/", &program, &[]);
        assert_eq!(json.json()["name"], "anywidth");
        assert_eq!(json.header("vary"), "accept");
    }
    assert_eq!(html.header("vary"), "accept");
}

#[test]
fn the_page_lets_a_browser_do_what_it_does_and_nothing_else() {
    let server = Server::start();
    let page = page(&server);
    let policy = page.header("content-security-policy");
    for directive in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.split("; ").any(|part| part == directive), "{directive} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert!(!page.text.contains("style=") && !page.text.contains("onclick="));
}

#[test]
fn every_file_that_the_page_names_is_there_and_comes_from_this_server() {
    let server = Server::start();
    let page = page(&server).text;
    let links: Vec<_> = named(&page, "src=\"", '"').chain(named(&page, "href=\"", '"')).collect();
    assert!(links.len() > 5, "{links:?}");
    for link in links.iter().filter(|link| !link.starts_with('#')) {
        assert!(!link.contains(':') && !link.starts_with("//"), "{link} is elsewhere");
        assert_eq!(server.get(&format!("/{link}")).status, 200, "{link}");
    }
    let mut modules = vec!["app.js".to_owned()];
    let mut next = 0;
    while let Some(module) = modules.get(next).cloned() {
        let file = server.get(&format!("/page/{module}"));
        assert_eq!((file.status, file.header("content-type")), (200, "text/javascript; charset=utf-8"), "{module}");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        for import in named(&file.text, "from \"./", '"') {
            if !modules.iter().any(|known| known == import) {
                modules.push(import.to_owned());
            }
        }
        next += 1;
    }
    assert!(modules.len() > 5, "{modules:?}");
    server.get("/page/nothing.js").error(404, "no_such_path");
    server.send("POST", "/page/app.js", &[], b"").error(405, "no_such_method");
}

#[test]
fn every_element_that_a_module_asks_for_is_in_the_page() {
    let server = Server::start();
    let page = page(&server).text;
    let ids: Vec<_> = named(&page, " id=\"", '"').collect();
    let main = server.get("/page/app.js").text;
    let modules = named(&main, "from \"./", '"').map(|module| server.get(&format!("/page/{module}")).text);
    let asked: Vec<_> = modules.chain([main.clone()]).flat_map(|text| asked(&text)).collect();
    assert!(asked.len() > 20, "{asked:?}");
    for id in asked {
        assert!(ids.contains(&id.as_str()), "{id}");
    }
}

/// The ids that a module names in full.
fn asked(module: &str) -> Vec<String> {
    named(module, "at(\"", '"').map(str::to_owned).collect()
}

#[test]
fn what_a_browser_has_already_is_not_sent_again() {
    let server = Server::start();
    for path in ["/", "/page/app.js", "/page/samples/ship.png"] {
        let first = server.send("GET", path, &[("accept", BROWSER)], &[]);
        let etag = first.header("etag");
        assert_eq!(first.header("cache-control"), "no-cache");
        let again = server.send("GET", path, &[("accept", BROWSER), ("if-none-match", etag)], &[]);
        assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", etag), "{path}");
        let other = server.send("GET", path, &[("accept", BROWSER), ("if-none-match", "\"other\"")], &[]);
        assert_eq!(other.status, 200, "{path}");
    }
}

#[test]
fn the_listing_says_what_a_request_may_be() {
    let server = Server::start();
    let limits = &server.get("/models").json()["limits"];
    assert_eq!((&limits["max_body_bytes"], &limits["max_files"]), (&Value::from(1 << 20), &Value::from(8)));
}

#[test]
fn events_tell_what_the_server_is_doing() {
    let server = Server::start();
    let mut subscriber = Subscriber::of(&server);
    let idle = subscriber.event();
    assert_eq!((&idle["ready"], &idle["width"], &idle["latency_ms"]), (&true.into(), &Value::Null, &Value::Null));
    assert_eq!(server.post("/classify?width=0.5", &png(1)).status, 200);
    let busy = std::iter::repeat_with(|| subscriber.event()).take(100).find(|event| !event["width"].is_null()).unwrap();
    assert_eq!(busy["width"], 0.5, "{busy}");
    for rate in ["answered_per_s", "images_per_s"] {
        assert!(busy[rate].as_f64().unwrap() > 0.0, "{busy}");
    }
    assert!(busy["latency_ms"]["p50"].as_f64().unwrap() <= busy["latency_ms"]["p99"].as_f64().unwrap(), "{busy}");
    // A second later nothing of it is left.
    let calm = std::iter::repeat_with(|| subscriber.event()).take(100).find(|event| event["width"].is_null()).unwrap();
    assert_eq!((&calm["answered_per_s"], &calm["queue_length"]), (&0.0.into(), &0.into()));
}

#[test]
fn subscribers_are_bounded_and_a_permit_is_free_again_when_one_leaves() {
    let mut options = Options::default();
    options.limits.max_connections = 12;
    let server = Server::with(options);
    server.await_ready();
    // A quarter of the connections.
    let mut subscribers: Vec<_> = (0..3).map(|_| Subscriber::of(&server)).collect();
    let refused = server.get("/events");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.error(503, "too_many_subscribers"), "too many event subscribers (limit 3)");
    subscribers.pop();
    let freed = || TcpStream::connect(server.address).is_ok_and(|mut stream| answers(&mut stream));
    server.until(freed);
    subscribers.iter_mut().for_each(|subscriber| assert_eq!(subscriber.event()["ready"], true));
}

/// Does the server let this connection listen?
fn answers(stream: &mut TcpStream) -> bool {
    let mut status = [0; 12];
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
    stream.read_exact(&mut status).is_ok() && &status == b"HTTP/1.1 200"
}

#[test]
fn no_drain_waits_for_those_who_listen() {
    let mut server =
        Server::with(Options { drain: Drain { timeout: Duration::from_secs(3600), ..DRAIN }, ..Options::default() });
    server.await_ready();
    let mut subscriber = Subscriber::of(&server);
    subscriber.event();
    server.stop();
    assert!(subscriber.rest().contains("event: stopping\n"));
    server.stopped();
}
