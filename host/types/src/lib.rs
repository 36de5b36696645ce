//! What every part of the host agrees on, without doing any I/O: columns, time and windows, source
//! declarations, the plugin contract as plain Rust, the rows that go to ClickHouse, and the ports
//! through which the engine reaches the outside.
//!
//! Nothing here reads a clock, draws a random number or knows an adapter.

pub mod batch;
pub mod contract;
pub mod control;
pub mod key;
pub mod live;
mod name;
pub mod ports;
pub mod record;
pub mod rows;
pub mod schema;
pub mod span;
pub mod window;

pub use name::Name;

/// Microseconds since the Unix epoch, UTC: the only form of time inside the host and on the contract.
pub type Micros = i64;

/// Microseconds in a second.
pub const SECOND: Micros = 1_000_000;
/// Microseconds in a minute.
pub const MINUTE: Micros = 60 * SECOND;
/// Microseconds in an hour.
pub const HOUR: Micros = 60 * MINUTE;
/// Microseconds in a day of 24 hours (not a calendar day: see [`window::Calendar`]).
pub const DAY: Micros = 24 * HOUR;
