//! Trains Any-Width Networks and writes them as ONNX files that the anywidth server reads.
//!
//! [`data`] reads and splits the data sets, [`model`] holds networks as graphs of layers and runs them at any width,
//! [`train`] fits all widths by one of several methods, [`evaluate`] measures every width, [`onnx`], [`card`] and [`plot`] write
//! what is shipped, [`table`] compares methods, [`words`] puts numbers into sentences. Which channels exist at a width is `anywidth::engine::width`'s business, not decided here.

pub mod card;
pub mod data;
pub mod evaluate;
pub mod file;
pub mod model;
pub mod onnx;
pub mod plot;
pub mod table;
pub mod train;
pub mod words;
