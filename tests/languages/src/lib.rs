//! Metrics that exist in several languages, on one stream.
//!
//! - [`stream`] is the stream: what a small service desk does in a night, as Debezium writes it.
//! - [`run`] sends it through the engine's shard with a component, and gives the rows.
//! - [`cost`] measures one metric's calls.

pub mod cost;
pub mod run;
pub mod sources;
pub mod stream;
