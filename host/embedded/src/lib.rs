//! Stand-ins for the servers that Weir needs, each in a process of its own: for demo, development
//! and tests, never for production.

pub mod broker;
pub mod clickhouse;
pub mod journal;
