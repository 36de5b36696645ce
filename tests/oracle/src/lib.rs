//! The oracle: recomputes every number from the raw records and compares it with what stands in
//! ClickHouse.
//!
//! It shares nothing with the rest of the workspace: its own reading of JSON, its own windows, its own
//! quantiles, written from the specification. What two independent readings agree on is probably
//! right. A test refuses every workspace crate among its dependencies.

pub mod check;
pub mod compare;
pub mod debezium;
pub mod epochs;
pub mod fields;
pub mod foreign;
pub mod injected;
pub mod journal;
pub mod lateness;
pub mod mariadb;
pub mod metrics;
pub mod number;
pub mod reading;
pub mod recompute;
pub mod repeats;
pub mod report;
pub mod results;
pub mod samples;
pub mod settings;
pub mod standing;
pub mod time;
