//! Connections of the client: reuse, reopening, and answers.
#![allow(clippy::unwrap_used)]

mod support;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use anywidth_load::client::{Answer, Client, ClientError};
use anywidth_load::target::Target;
use bytes::Bytes;
use hyper::{Method, Uri};
use support::{Reply, Server};
use tokio::runtime::LocalRuntime;

const MAX_BYTES: usize = 1000;

async fn ask(client: &Client) -> Result<Answer, ClientError> {
    let (before, sent_at) = (Instant::now(), Cell::new(Instant::now()));
    let body = Bytes::from_static(b"an image");
    let answer = client.ask(Method::POST, Uri::from_static("/classify"), body, MAX_BYTES, &sent_at).await;
    assert!((before..=Instant::now()).contains(&sent_at.get()));
    answer
}

/// Sends `count` sequential requests and returns the outcomes with the number of connections.
fn asked(count: usize, server: &Server) -> (Vec<Result<Answer, ClientError>>, usize) {
    let client = Client::new(&Target::find(&server.url(), false).unwrap());
    // `Target::find` opened a connection of its own.
    let before = server.connections();
    let answers = LocalRuntime::new().unwrap().block_on(async {
        let mut answers = Vec::new();
        for _ in 0..count {
            answers.push(ask(&client).await);
        }
        answers
    });
    (answers, server.connections().saturating_sub(before.max(1)))
}

#[test]
fn a_connection_is_used_again() {
    let (answers, connections) = asked(20, &Server::always(Reply::answer("0.5")));
    assert!(answers.iter().flatten().count() == 20 && connections == 1, "{connections}: {answers:?}");
    let first = answers[0].clone().unwrap();
    assert_eq!(
        (first.status.as_u16(), first.width, first.reason().as_deref()),
        (200, "0.5".parse().ok(), Some("load"))
    );
}

#[test]
fn a_connection_that_the_server_closed_is_opened_again() {
    let (answers, connections) = asked(20, &Server::always(Reply::answer("1").and_close()));
    assert!(answers.iter().flatten().count() == 20 && connections == 20, "{connections}: {answers:?}");
}

#[test]
fn a_server_that_says_too_much_is_not_listened_to() {
    let body = "x".repeat(MAX_BYTES + 1).leak();
    let (answers, _) = asked(1, &Server::always(Reply::error(200, body)));
    assert_eq!(answers, [Err(ClientError::TooLarge(MAX_BYTES))]);
}

#[test]
fn what_is_not_http_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The connection of `Target::find` closes immediately.
            if stream.read(&mut [0; 10]).unwrap() > 0 {
                stream.write_all(b"SSH-2.0-hello\r\n\r\n").unwrap();
            }
        }
    });
    let client = Client::new(&Target::find(&url, false).unwrap());
    assert_eq!(LocalRuntime::new().unwrap().block_on(ask(&client)), Err(ClientError::NotHttp));
}

#[test]
fn a_server_that_is_gone_is_named() {
    let server = Server::start();
    let client = Client::new(&Target::find(&server.url(), false).unwrap());
    drop(server);
    let answer = LocalRuntime::new().unwrap().block_on(ask(&client));
    assert!(matches!(&answer, Err(ClientError::Connect(reason)) if reason.contains("refused")), "{answer:?}");
}
