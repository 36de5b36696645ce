//! The epoch protocol under a seed: the engine's own steps ([`weir_engine::protocol`]), driven by one thread
//! in an order that chance decides, over a reader, a state store, a sink and a clock that fail by chance.
//!
//! - [`world`] holds what outlives a host: topics, disk, ClickHouse's tables, time, and the faults.
//! - [`ports`] is how one host reaches the world; every call may be refused, be carried out and reported as
//!   failed, be carried out in part, or be the last thing that the host ever does.
//! - [`schedule`] plays one seed: records come, steps are taken, hosts die, are replaced, or meet a second one.
//! - [`operator`] pushes, mends and retires metrics and has row tables rebuilt, in the middle of everything.
//! - [`audit`] compares what ClickHouse holds at the end with a recomputation from the raw records.
//!
//! A failing seed is played again with `WEIR_SIM_SEED=… cargo test --release -p weir-sim`; any number of seeds with
//! `WEIR_SIM_SCHEDULES=…`.

pub mod audit;
pub mod disk;
pub mod host;
pub mod metrics;
pub mod operator;
pub mod ports;
pub mod schedule;
pub mod tables;
pub mod topic;
pub mod world;

#[cfg(test)]
mod tests;
