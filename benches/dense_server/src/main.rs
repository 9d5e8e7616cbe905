//! A server as one would write it without anywidth: a dense network for each width behind ONNX Runtime, and a switch that
//! takes the widest network whose measured capacity exceeds the arrival rate. A peer of `benches/load.py`.
//!
//! `POST /classify` takes an encoded image and answers with the network's width; `budget_ms` sheds what waits too long.

mod network;
mod switch;
mod worker;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{get, post};
use clap::Parser;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use network::{Network, pixels};
use switch::Switch;
use worker::{Job, Outcome};

/// Serves dense networks, switched by arrival rate.
#[derive(Debug, Parser)]
struct Arguments {
    /// ONNX Runtime's shared library
    #[arg(long)]
    library: PathBuf,

    /// Network of one width: WIDTH=ACCURACY=FILE.onnx, narrowest first
    #[arg(long, required = true)]
    network: Vec<String>,

    /// Share of a network's capacity up to which it is used
    #[arg(long, default_value_t = 0.7)]
    utilization: f64,

    /// Maximum number of waiting requests
    #[arg(long, default_value_t = 1000)]
    queue: usize,

    /// Maximum number of images of a batch
    #[arg(long, default_value_t = 8)]
    batch: usize,
}

struct Server {
    /// `(width, accuracy)` of each network.
    networks: Vec<(String, f64)>,
    switch: Mutex<Switch>,
    jobs: mpsc::Sender<Job>,
}

#[derive(Deserialize)]
struct Parameters {
    budget_ms: Option<f64>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let environment = ort::init_from(&arguments.library)?.build()?;
    let (mut networks, mut described) = (Vec::new(), Vec::new());
    for text in &arguments.network {
        let [width, accuracy, file] = text.splitn(3, '=').collect::<Vec<_>>()[..] else {
            anyhow::bail!("{text:?} is not WIDTH=ACCURACY=FILE.onnx");
        };
        networks.push(Network::load(&environment, file, arguments.batch).with_context(|| file.to_owned())?);
        described.push((width.to_owned(), accuracy.parse()?));
    }
    let capacities = networks.iter().map(|network| arguments.utilization * network.images_per_s).collect();
    let (jobs, waiting) = mpsc::channel(arguments.queue);
    let server = Server { networks: described, switch: Mutex::new(Switch::new(capacities)), jobs };
    thread::spawn(move || worker::run(networks, waiting, arguments.batch));
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(Arc::new(server)))
}

async fn serve(server: Arc<Server>) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listens on http://{}", listener.local_addr()?);
    let routes = Router::new().route("/classify", post(classify)).route("/models", get(models)).with_state(server);
    Ok(axum::serve(listener, routes).await?)
}

/// The accuracy of each width, in the form that the load generator reads.
async fn models(State(server): State<Arc<Server>>) -> axum::Json<serde_json::Value> {
    let accuracy =
        |(width, accuracy): &(String, f64)| json!({"width": width.parse::<f64>().ok(), "accuracy": accuracy});
    let accuracy: Vec<_> = server.networks.iter().map(accuracy).collect();
    axum::Json(json!({"default": "dense", "models": [{"name": "dense", "accuracy": accuracy}]}))
}

async fn classify(State(server): State<Arc<Server>>, Query(asked): Query<Parameters>, body: Bytes) -> Response {
    let arrived = Instant::now();
    let network = server.switch.lock().expect("no holder panics").arrival(arrived);
    let Ok(pixels) = pixels(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let (answer, answered) = oneshot::channel();
    let deadline = asked.budget_ms.map(|budget_ms| arrived + Duration::from_secs_f64(budget_ms.max(0.0) / 1e3));
    if server.jobs.try_send(Job { pixels, network, deadline, answer }).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match answered.await {
        Ok(Outcome::Scores(scores)) => {
            let width = &server.networks[network].0;
            let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            let body = axum::Json(json!({"width": width.parse::<f64>().ok(), "reason": "rate", "class": best}));
            (AppendHeaders([("x-width", width.clone())]), body).into_response()
        }
        Ok(Outcome::TooLate) => StatusCode::GATEWAY_TIMEOUT.into_response(),
        Ok(Outcome::Failed(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
