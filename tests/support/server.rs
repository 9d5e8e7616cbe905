//! A server on a port of its own, as long as the test runs, and a client for it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anywidth::engine::Width;
use anywidth::image::ImageLimits;
use anywidth::policy::{PolicyKind, QueueSettings};
use anywidth::repository::{Repository, ServedModel};
use anywidth::scheduler::{Clock, EngineWorker, Environment, Executor, NewExecutor, Scheduler, Turns, measure};
use anywidth::server::{CorsOrigin, Drain, ModelControl, RequestLimits, Service, serve};
use anywidth::telemetry::Metrics;
use prometheus::Registry;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use ureq::http::{HeaderMap, Request, Response};

use super::onnx::OnnxFile;

/// How a test's server differs from the usual one.
pub struct Options {
    /// The first one is the default.
    pub models: Vec<ServedModel>,
    pub scheduler: QueueSettings,
    pub limits: RequestLimits,
    pub max_pixels: u64,
    pub drain: Drain,
    pub cors_origins: Vec<CorsOrigin>,
    /// A folder whose models are served instead, and that may change.
    pub control: Option<ModelControl>,
    pub wrap: Box<dyn Fn(EngineWorker) -> Box<dyn Executor> + Send + Sync>,
}

/// One worker, and so much time that nothing is ever late.
pub const SETTINGS: QueueSettings =
    QueueSettings { workers: 1, decoders: 1, max_batch: 4, max_queue: 16, default_budget: Duration::from_secs(600) };

/// The end comes at once, and waits for whoever is under way.
pub const DRAIN: Drain = Drain { wait: Duration::ZERO, timeout: Duration::from_secs(60) };

impl Default for Options {
    fn default() -> Options {
        Options {
            models: models(),
            scheduler: SETTINGS,
            limits: RequestLimits {
                max_body_bytes: 1 << 20,
                max_files: 8,
                read_timeout: Duration::from_secs(60),
                keep_alive_timeout: Duration::from_secs(60),
                max_bytes_in_flight: 64 << 20,
                max_connections: 64,
            },
            max_pixels: 1_000_000,
            drain: DRAIN,
            cors_origins: Vec::new(),
            control: None,
            wrap: Box::new(|worker| Box::new(worker)),
        }
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub service: Arc<Service>,
    agent: ureq::Agent,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
    runtime: Runtime,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

/// The models that every test's server has: `tiny` (the default, two versions, colour) and `grey`.
pub fn models() -> Vec<ServedModel> {
    // Reading a model takes longer than all else that a test does.
    static MODELS: OnceLock<Vec<ServedModel>> = OnceLock::new();
    let load = || {
        let labels: Vec<String> = (0..10).map(|class| format!("class {class}")).collect();
        let mut tiny = OnnxFile::lenet([3, 32, 32], 8, 10);
        tiny.metadata("anywidth.labels", &serde_json::to_string(&labels).unwrap());
        tiny.metadata("anywidth.accuracy", "[[0.5, 0.6], [1.0, 0.75]]");
        tiny.metadata("anywidth.evaluation", r#"{"split":"validation","images":2000}"#);
        let tiny = ServedModel::from_onnx("tiny", 1, &tiny.bytes()).unwrap();
        let grey = ServedModel::from_onnx("grey", 1, &OnnxFile::lenet([1, 28, 28], 8, 4).bytes()).unwrap();
        vec![ServedModel { version: 2, ..tiny.clone() }, tiny, grey]
    };
    MODELS.get_or_init(load).clone()
}

impl Server {
    /// A server with the usual options, warmed up.
    pub fn start() -> Server {
        let server = Server::with(Options::default());
        server.await_ready();
        server
    }

    /// A server with these options, listening; its workers may still warm up.
    pub fn with(options: Options) -> Server {
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::new(&registry).unwrap());
        let first = options.models[0].name.clone();
        let repository = match &options.control {
            Some(control) => Repository::load(&control.source, None).unwrap(),
            None => Repository::new(options.models, vec![], Some(&first)).unwrap(),
        };
        let limits = ImageLimits { max_bytes: options.limits.max_body_bytes, max_pixels: options.max_pixels };
        let turns = Arc::new(Turns::new(1, 1));
        let (parked, unparked) = (turns.clone(), turns.clone());
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1).on_thread_park(move || parked.parked()).on_thread_unpark(move || unparked.unparked());
        let runtime = runtime.enable_all().build().unwrap();
        let (max_batch, counts, wrap) = (options.scheduler.max_batch, metrics.clone(), options.wrap);
        let callers = runtime.handle().clone();
        let new_executor: NewExecutor =
            Arc::new(move || wrap(EngineWorker::new(max_batch, limits, counts.clone(), callers.clone())));
        let all: Vec<_> = repository.all().cloned().collect();
        let profiles = measure(&all, Width::of_channels(1, 4), max_batch, Duration::ZERO).unwrap();
        let models = all.into_iter().zip(profiles).collect();
        let environment = Environment { metrics: metrics.clone(), turns, clock: Clock::system() };
        let scheduler =
            Scheduler::start(options.scheduler, PolicyKind::WidestFit, models, new_executor, environment).unwrap();
        let service = Service::new(repository, scheduler, metrics, registry, options.limits);
        let service = service.with_cors_origins(options.cors_origins);
        let service = Arc::new(match options.control {
            Some(control) => service.with_model_control(control),
            None => service,
        });

        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { stopped.await.unwrap_or(()) };
        let task = runtime.spawn(serve(listener, service.clone(), shutdown, options.drain));
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Server { address, service, agent, stop: Some(stop), task: Some(task), runtime }
    }

    /// Asks until the server says that it is ready.
    pub fn await_ready(&self) {
        self.until(|| self.get("/readyz").status == 200);
    }

    /// Tries again until it holds, so often that it never will if it does not then.
    pub fn until(&self, holds: impl Fn() -> bool) {
        const TRIES: usize = 100_000;
        let held = (0..TRIES).any(|_| {
            std::thread::yield_now();
            holds()
        });
        assert!(held, "it still does not hold");
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], &[])
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[], body)
    }

    /// Several files as a form.
    pub fn post_files(&self, path: &str, files: &[(&str, &[u8])]) -> Answer {
        self.send("POST", path, &[("content-type", "multipart/form-data; boundary=edge")], &form(files))
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let bodiless = matches!(method, "GET" | "HEAD");
        let response = match bodiless {
            true => self.agent.run(request.body(()).unwrap()),
            false => self.agent.run(request.body(body).unwrap()),
        };
        Answer::read(response.unwrap_or_else(|error| panic!("{method} {path}: {error}")))
    }

    /// The value of the first metric whose line begins so.
    pub fn metric(&self, begins: &str) -> Option<f64> {
        let text = self.get("/metrics").text;
        let line = text.lines().find(|line| line.starts_with(begins))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Runs this in the server's runtime.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Asks the server to stop, without waiting for it.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits until the server has stopped.
    pub fn stopped(&mut self) {
        self.runtime.block_on(self.task.take().unwrap()).unwrap();
    }
}

impl Answer {
    fn read(response: Response<ureq::Body>) -> Answer {
        let (parts, mut body) = response.into_parts();
        // An image is no text, and is not looked at as one.
        let text = String::from_utf8_lossy(&body.read_to_vec().unwrap()).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
    }

    /// Checks that this is an error as every error should be, and gives its message.
    pub fn error(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/json");
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        let known = ["error", "code", "file", "retry_after_ms"];
        assert!(body.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{body}");
        // Who may come back is told when, in both places.
        let retry_after = self.headers.get("retry-after").map(|seconds| seconds.to_str().unwrap().parse().unwrap());
        assert_eq!(body["retry_after_ms"].as_u64().map(|ms: u64| ms.div_ceil(1000)), retry_after, "{body}");
        assert_eq!(retry_after.is_some(), status == 503, "{body}");
        body["error"].as_str().unwrap().to_owned()
    }
}

/// A form's body, with the boundary `edge`.
pub fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, bytes) in files {
        let head = format!("--edge\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{name}\"\r\n\r\n");
        body.extend(head.as_bytes());
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    body
}
