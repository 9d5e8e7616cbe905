//! The exporter as its users see it: networks, methods, files and commands. One program, for linking libtorch takes longer
//! than compiling a module.
//!
//! All tests run in one process, as threads side by side: none may change its environment or working directory. Training
//! runs on one thread everywhere, because the number of libtorch's threads is one setting for the process.

mod runtimes;
mod shapes;

mod cli;
mod data;
mod dense;
mod fetch;
mod from_model;
mod graph;
mod methods;
mod models;
mod one_pass;
mod onnx;
mod photos;
mod start;
mod table;
mod train;
mod your_own_images;
