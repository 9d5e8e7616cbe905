//! HTTP/1.1 connections to one server: kept alive, opened when none is free, without pipelining.
//!
//! Runs on one thread. Contract: reports when a request was sent and what was received; must not know schedules.

mod answer;
mod wire;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::task::spawn_local;

pub use answer::Answer;
use wire::{Sent, Wire};

use crate::target::Target;

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    headers: HeaderMap,
    idle: RefCell<Vec<Connection>>,
}

#[derive(Debug)]
struct Connection {
    requests: SendRequest<Full<Bytes>>,
    sent: Sent,
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// No connection could be opened.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection closed before the end of the answer.
    #[error("the connection ended early")]
    Ended,
    /// The answer is not HTTP.
    #[error("the answer is not HTTP/1.1")]
    NotHttp,
    /// The answer exceeds the size limit.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

impl Client {
    /// A client without connections.
    pub fn new(target: &Target) -> Client {
        Client::with_headers(target, HeaderMap::new())
    }

    /// A client without connections that sends `headers` with every request.
    pub fn with_headers(target: &Target, mut headers: HeaderMap) -> Client {
        let host = HeaderValue::from_str(&target.authority).expect("the authority of a URL is a header value");
        headers.entry(HOST).or_insert(host);
        Client { address: target.address, headers, idle: RefCell::default() }
    }

    /// Sends a request and reads the answer, of at most `most_bytes` bytes.
    ///
    /// Sets `sent_at` to the instant of the first byte sent; if a connection had to be opened, to the instant at which
    /// opening began, because connecting counts as the server's time. Dropping the future closes the connection.
    ///
    /// # Errors
    /// [`ClientError`] without a complete answer. A request of which no byte was sent on a kept connection is retried on a
    /// new one.
    pub async fn ask(
        &self,
        method: Method,
        uri: Uri,
        body: Bytes,
        most_bytes: usize,
        sent_at: &Cell<Instant>,
    ) -> Result<Answer, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(&self.headers);
        sent_at.set(Instant::now());
        while let Some(mut connection) = self.free() {
            // The connection's task may not have processed the end of the previous answer yet.
            if connection.requests.ready().await.is_err() {
                continue;
            }
            connection.sent.arm();
            let tried = connection.requests.try_send_request(request).await;
            connection.sent.since_armed().inspect(|&time| sent_at.set(time));
            match tried {
                Ok(response) => return self.finish(connection, response, most_bytes).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(ClientError::of(error.error())),
                },
            }
        }
        let mut connection = self.open().await?;
        let response = connection.requests.send_request(request).await;
        let response = response.map_err(|error| ClientError::of(&error))?;
        self.finish(connection, response, most_bytes).await
    }

    /// The most recently used connection that is still open.
    fn free(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        std::iter::from_fn(|| idle.pop()).find(|connection| !connection.requests.is_closed())
    }

    async fn open(&self) -> Result<Connection, ClientError> {
        let cannot_connect = |error: io::Error| ClientError::Connect(error.to_string());
        let stream = TcpStream::connect(self.address).await.map_err(cannot_connect)?;
        stream.set_nodelay(true).map_err(cannot_connect)?;
        let sent = Sent::default();
        let wire = Wire::new(stream, sent.clone());
        let (requests, connection) = handshake(TokioIo::new(wire)).await.map_err(|error| ClientError::of(&error))?;
        // The waiting request receives the error.
        spawn_local(async move { connection.await.unwrap_or_default() });
        Ok(Connection { requests, sent })
    }

    async fn finish(
        &self,
        connection: Connection,
        response: hyper::Response<hyper::body::Incoming>,
        most_bytes: usize,
    ) -> Result<Answer, ClientError> {
        let answer = Answer::read(response, most_bytes).await?;
        self.idle.borrow_mut().push(connection);
        Ok(answer)
    }
}

impl ClientError {
    fn of(error: &hyper::Error) -> ClientError {
        if error.is_parse() { ClientError::NotHttp } else { ClientError::Ended }
    }
}
