//! A server that answers when, and how, a test says.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

/// A request to classify, which waits for its answer.
pub struct Asked {
    pub path: String,
    pub body: Bytes,
    pub headers: HeaderMap,
    answer: oneshot::Sender<Reply>,
}

/// What the server has seen so far.
#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    metrics_requests: AtomicUsize,
    is_unmeasured: AtomicBool,
}

/// What comes back.
#[derive(Debug, Clone)]
pub enum Reply {
    Http {
        status: u16,
        width: Option<&'static str>,
        body: &'static str,
        close: bool,
    },
    /// The connection ends without a word.
    Hang,
}

pub struct Server {
    pub address: SocketAddr,
    pub asked: mpsc::UnboundedReceiver<Asked>,
    counts: Arc<Counts>,
    runtime: Runtime,
}

pub const MODELS: &str = r#"{"default":"tiny","models":[{"name":"tiny","accuracy":[
    {"width":0.5,"accuracy":0.6},{"width":1,"accuracy":0.8}]}],"rejected":[]}"#;
/// One image takes 2 ms at full width, of which it is decoded for half a millisecond.
pub const PROFILE: &str = r#"{"workers":2,"models":[
    {"name":"other","version":"1","correction":1,"decode_us":null,"capacity_at_full_width":1,"steps":[]},
    {"name":"tiny","version":"3","correction":1,"decode_us":500,"capacity_at_full_width":1000,"steps":[
        {"width":0.5,"accuracy":0.6,"latency_us":[[1,500],[16,8000]]},
        {"width":1,"accuracy":0.8,"latency_us":[[1,1500],[16,24000]]}]}]}"#;
pub const METRICS: &str = "# TYPE anywidth_queue_length gauge\nanywidth_queue_length 3\n";

impl Reply {
    pub fn answer(width: &'static str) -> Reply {
        let body = r#"{"model":"tiny","width":0.5,"reason":"load","predictions":[]}"#;
        Reply::Http { status: 200, width: Some(width), body, close: false }
    }

    pub fn error(status: u16, body: &'static str) -> Reply {
        Reply::Http { status, width: None, body, close: false }
    }

    /// The same, and then the connection ends.
    pub fn and_close(self) -> Reply {
        match self {
            Reply::Http { status, width, body, .. } => Reply::Http { status, width, body, close: true },
            Reply::Hang => Reply::Hang,
        }
    }
}

impl Asked {
    pub fn reply(self, reply: Reply) {
        // Its caller may be gone.
        let _ = self.answer.send(reply);
    }
}

impl Server {
    pub fn start() -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (ask, asked) = mpsc::unbounded_channel();
        let (address, counts) = (listener.local_addr().unwrap(), Arc::new(Counts::default()));
        let seen = counts.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.connections.fetch_add(1, Ordering::Relaxed);
                let (ask, seen) = (ask.clone(), seen.clone());
                let service = service_fn(move |request| handle(request, ask.clone(), seen.clone()));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Server { address, asked, counts, runtime }
    }

    /// A server that gives every request the same reply at once.
    pub fn always(reply: Reply) -> Server {
        let mut server = Server::start();
        let (_, nobody) = mpsc::unbounded_channel();
        let mut asked = std::mem::replace(&mut server.asked, nobody);
        server.runtime.spawn(async move {
            while let Some(request) = asked.recv().await {
                request.reply(reply.clone());
            }
        });
        server
    }

    /// As older servers, it says nothing of how fast it is.
    pub fn unmeasured(self) -> Server {
        self.counts.is_unmeasured.store(true, Ordering::Relaxed);
        self
    }

    /// Connections that were opened so far.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Requests for its metrics.
    pub fn metrics_requests(&self) -> usize {
        self.counts.metrics_requests.load(Ordering::Relaxed)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn handle(
    request: Request<Incoming>,
    ask: mpsc::UnboundedSender<Asked>,
    seen: Arc<Counts>,
) -> Result<Response<Full<Bytes>>, &'static str> {
    let page = |text: &'static str| Ok(Response::new(Full::new(Bytes::from_static(text.as_bytes()))));
    let (parts, body) = request.into_parts();
    match parts.uri.path() {
        "/models" => return page(MODELS),
        "/readyz" => return page("{}"),
        "/profile" if seen.is_unmeasured.load(Ordering::Relaxed) => {
            return Ok(Response::builder().status(404).body(Full::default()).unwrap());
        }
        "/profile" => return page(PROFILE),
        "/metrics" => {
            seen.metrics_requests.fetch_add(1, Ordering::Relaxed);
            return page(METRICS);
        }
        _ => assert_eq!(parts.method, Method::POST),
    }
    let body = body.collect().await.map_err(|_| "the body is not whole")?.to_bytes();
    let (answer, answered) = oneshot::channel();
    let asked = Asked { path: parts.uri.to_string(), body, headers: parts.headers, answer };
    ask.send(asked).map_err(|_| "the test is over")?;
    match answered.await.map_err(|_| "the test is over")? {
        Reply::Hang => Err("hang up"),
        Reply::Http { status, width, body, close } => {
            let mut response = Response::builder().status(status);
            if let Some(width) = width {
                response = response.header("x-width", width);
            }
            if close {
                response = response.header(CONNECTION, "close");
            }
            Ok(response.body(Full::new(body.into())).unwrap())
        }
    }
}
