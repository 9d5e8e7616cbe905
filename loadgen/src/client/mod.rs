//! Connections to one server: kept open between requests, opened when none is free, and never two requests on one.
//!
//! Lives on one thread. Knows nothing of schedules: it says when a request went out, and what came back.

mod answer;
mod wire;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
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
    host: HeaderValue,
    idle: RefCell<Vec<Connection>>,
}

#[derive(Debug)]
struct Connection {
    requests: SendRequest<Full<Bytes>>,
    sent: Sent,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Broken {
    /// No connection could be opened.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection ended before the answer did.
    #[error("the connection ended early")]
    Ended,
    /// What came back is not HTTP.
    #[error("the answer is not HTTP/1.1")]
    NotHttp,
    /// The answer is larger than any that is expected.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

impl Client {
    /// A client without a connection yet.
    pub fn new(target: &Target) -> Client {
        let host = HeaderValue::from_str(&target.authority).expect("the authority of a URL is a header value");
        Client { address: target.address, host, idle: RefCell::default() }
    }

    /// Asks, and reads the answer to its end, which may be `most_bytes` long.
    ///
    /// `sent_at` becomes the moment in which the first byte went out; where a connection had to be opened, that in which
    /// it was asked for, since its opening is the server's part. Dropping the future closes the connection.
    ///
    /// # Errors
    /// [`Broken`] without a whole answer. A request of which nothing went out on an old connection is tried on a new one.
    pub async fn ask(
        &self,
        method: Method,
        uri: Uri,
        body: Bytes,
        most_bytes: usize,
        sent_at: &Cell<Instant>,
    ) -> Result<Answer, Broken> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().insert(HOST, self.host.clone());
        sent_at.set(Instant::now());
        while let Some(mut connection) = self.free() {
            // Its own task may not have seen the end of the last answer yet.
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
                    None => return Err(Broken::of(error.error())),
                },
            }
        }
        let mut connection = self.open().await?;
        let response = connection.requests.send_request(request).await;
        let response = response.map_err(|error| Broken::of(&error))?;
        self.finish(connection, response, most_bytes).await
    }

    /// The connection that was used last and is still open.
    fn free(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        std::iter::from_fn(|| idle.pop()).find(|connection| !connection.requests.is_closed())
    }

    async fn open(&self) -> Result<Connection, Broken> {
        let cannot_connect = |error: io::Error| Broken::Connect(error.to_string());
        let stream = TcpStream::connect(self.address).await.map_err(cannot_connect)?;
        stream.set_nodelay(true).map_err(cannot_connect)?;
        let sent = Sent::default();
        let wire = Wire::new(stream, sent.clone());
        let (requests, connection) = handshake(TokioIo::new(wire)).await.map_err(|error| Broken::of(&error))?;
        // Its error reaches whoever waits for an answer.
        spawn_local(async move { connection.await.unwrap_or_default() });
        Ok(Connection { requests, sent })
    }

    async fn finish(
        &self,
        connection: Connection,
        response: hyper::Response<hyper::body::Incoming>,
        most_bytes: usize,
    ) -> Result<Answer, Broken> {
        let answer = Answer::read(response, most_bytes).await?;
        self.idle.borrow_mut().push(connection);
        Ok(answer)
    }
}

impl Broken {
    fn of(error: &hyper::Error) -> Broken {
        if error.is_parse() { Broken::NotHttp } else { Broken::Ended }
    }
}
