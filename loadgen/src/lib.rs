//! Open-loop load generator for anywidth: sends requests on schedule, whether or not answers arrive.
//!
//! A closed-loop generator waits for an answer before it sends the next request, so a slow server receives fewer
//! requests and looks better than it is. Here arrivals are planned before anything is sent, and every latency counts
//! from the scheduled time.
//!
//! # Map
//!
//! | module | contents | must not know |
//! |---|---|---|
//! | [`arrivals`] | arrival times | everything else |
//! | [`mix`] | values drawn by shares | |
//! | [`workload`] | the planned requests, from one seed | clocks, connections |
//! | [`target`], [`images`] | the server's address, and the request bodies | |
//! | [`pace`] | releases requests when they are due | their outcomes |
//! | [`client`] | connections, answers | schedules |
//! | [`models`], [`metrics`], [`profile`] | the server's other endpoints | |
//! | [`units`] | load in units of the server | connections |
//! | [`record`] | the outcome of every request | clocks, connections |
//! | [`busy`] | CPU contention during a run | the server |
//! | [`run`] | a run: combines the modules above | reports |
//! | [`results`], [`warnings`] | the results as a file, and reasons to doubt them | presentation |
//! | [`report`], [`compare`] | pages, figures and tables | measurement |
//! | [`simulate`] | the server's policies on virtual time | connections |
//! | [`cli`] | the subcommands of the binary | |
//!
//! Only `simulate` uses more of the server's crate than `Width`: the load generator sees what any other client sees.

pub mod arrivals;
pub mod busy;
pub mod cli;
pub mod client;
pub mod compare;
pub mod images;
pub mod metrics;
pub mod mix;
pub mod models;
pub mod pace;
pub mod profile;
pub mod record;
pub mod report;
pub mod results;
pub mod run;
pub mod simulate;
pub mod target;
pub mod units;
pub mod warnings;
pub mod workload;
