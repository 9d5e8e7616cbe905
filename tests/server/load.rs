//! Many callers at once, of whom some leave and some bring workers down: nobody else notices.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use anywidth::policy::QueueSettings;

use crate::support::images::png;
use crate::support::server::{Options, SETTINGS, Server};
use crate::support::workers::{FAIL, FAIL_AT_ONCE, Fragile};

const CALLERS: usize = 8;
const REQUESTS: usize = 60;

/// Sends a request, and leaves at once.
fn leave(server: &Server, image: &[u8]) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!("POST /classify HTTP/1.1\r\nHost: here\r\nContent-Length: {}\r\n\r\n", image.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(image).unwrap();
}

#[test]
fn callers_who_leave_and_workers_that_fail_cost_nobody_else_an_answer() {
    let options = Options {
        scheduler: QueueSettings { workers: 2, max_queue: 64, ..SETTINGS },
        wrap: Box::new(|worker| Box::new(Fragile(worker))),
        ..Options::default()
    };
    let server = Server::with(options);
    server.await_ready();
    let (image, paths) = (png(3), ["/classify", "/classify?width=0.5", "/classify?model=grey&priority=high"]);
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (server, image) = (&server, &image);
            scope.spawn(move || {
                for request in 0..REQUESTS {
                    let path = paths[(caller + request) % paths.len()];
                    match (caller * REQUESTS + request) % 10 {
                        0 => leave(server, image),
                        1 => drop(server.post(path, FAIL).error(500, "internal")),
                        2 => drop(server.post(path, FAIL_AT_ONCE).error(500, "internal")),
                        // In one batch with an image that fails, an image has no answer either.
                        _ => assert!([200, 500].contains(&server.post(path, image).status)),
                    }
                }
            });
        }
    });
    for gauge in ["anywidth_requests_in_flight", "anywidth_queue_length"] {
        server.until(|| server.metric(gauge) == Some(0.0));
    }
    let panics = server.metric("anywidth_worker_panics_total").unwrap();
    assert!(panics >= (CALLERS * REQUESTS / 10) as f64, "{panics}");
    assert_eq!(server.post("/classify", &image).status, 200);
}

#[test]
fn beyond_what_can_be_done_some_are_refused_at_once_and_the_others_answered() {
    let options = Options {
        scheduler: QueueSettings { default_budget: Duration::from_millis(1), ..SETTINGS },
        ..Options::default()
    };
    let server = Server::with(options);
    server.await_ready();
    let image = png(3);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    let answers = (0..REQUESTS).map(|_| server.post("/classify", &image));
                    answers
                        .map(|answer| (answer.status, answer.headers.contains_key("retry-after")))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let answers = callers.into_iter().flat_map(|caller| caller.join().unwrap());
        answers
            .map(|(status, says_when)| {
                assert_eq!(says_when, status == 503, "{status}");
                status
            })
            .collect()
    });
    let count = |wanted: u16| statuses.iter().filter(|&&status| status == wanted).count();
    assert_eq!(count(200) + count(503), CALLERS * REQUESTS, "{statuses:?}");
    assert!(count(200) > 0);
}
