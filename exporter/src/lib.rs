//! Trains Any-Width Networks and exports them as ONNX files for the anywidth server.
//!
//! [`data`] reads and splits the data sets, [`model`] represents networks as graphs of layers and runs them at any
//! width, [`train`] trains all widths by one of several methods, [`evaluate`] measures every width, [`onnx`], [`card`]
//! and [`plot`] write the exported files, [`table`] compares methods, [`setting`] has the errors of settings, [`words`] formats numbers in sentences. The
//! engine ([`anywidth::engine`]) defines which channels are active at a width.

pub mod card;
pub mod data;
pub mod evaluate;
pub mod file;
pub mod model;
pub mod onnx;
pub mod plot;
pub mod setting;
pub mod table;
pub mod train;
pub mod words;
