//! Open-loop load for anywidth: requests go out on schedule, whether or not answers come back.
//!
//! A closed loop waits for an answer before it asks again: a slow server is then asked less often, and looks better
//! than it is. Here arrivals are planned before anything is sent, and every latency counts from the planned time.
//!
//! # Map
//!
//! | module | what it does | what it must not know |
//! |---|---|---|
//! | [`arrivals`] | when requests come | all else |
//! | [`mix`] | values that requests carry, by shares | |
//! | [`workload`] | which request goes out when, from one seed | clocks, connections |
//! | [`target`], [`images`] | where the load goes, and what is sent | |
//! | [`pace`] | hands on what is due | what becomes of it |
//! | [`client`] | connections, answers | schedules |
//! | [`models`], [`metrics`], [`profile`] | what else the server says | |
//! | [`units`] | load in units of the server | connections |
//! | [`record`] | what became of every request | clocks, connections |
//! | [`busy`] | busy threads beside a run | the server |
//! | [`run`] | all of these together | what is made of the results |
//! | [`results`], [`warnings`] | what was found, as a file | how it is shown |
//! | [`report`], [`compare`] | pages, figures and tables | how it was found |
//! | [`simulate`] | the server's width rule beside others, on virtual time | connections |
//! | [`cli`] | the subcommands of the binary | |
//!
//! Of the server's crate only `simulate` uses more than what a width is: what is measured is what a stranger's client sees.

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
