//! Serving: the HTTP API, the stream of live values, Prometheus metrics and the dashboard.
//!
//! The engine publishes durable epochs into [`Live`], which keeps the newest value of every key in
//! memory. [`Server`] answers from there; only `/api/v1/series` asks [`weir_types::control::History`]
//! (ClickHouse), and only the plugin calls ask [`weir_types::control::Control`] (the engine). So the
//! page lives on while ClickHouse is away.
//!
//! The API is described in `docs/api.md`.

mod assets;
mod cache;
mod dead;
mod display;
mod json;
mod live;
mod operator;
mod options;
mod plugins;
mod problem;
mod prometheus;
mod query;
mod routes;
mod series;
mod server;
mod sources;
mod stream;

pub use live::{Live, LiveOptions};
pub use options::{ControlCell, Options, ServeError};
pub use server::Server;
