//! Life-like changes of tickets and calls, for demo, tests and benchmarks: the same for the same seed,
//! as Kafka records ([`records`]) or as SQL.
//!
//! [`life`] knows what happens; [`binlog`], [`debezium`] and [`foreign`] how a connector tells it.

pub mod bad;
pub mod binlog;
pub mod clock;
pub mod debezium;
pub mod dice;
pub mod foreign;
pub mod journal;
pub mod late;
pub mod life;
pub mod live;
pub mod records;
pub mod sql;
