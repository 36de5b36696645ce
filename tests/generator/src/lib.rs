//! Life-like changes of a service centre's seven tables, for demo, tests and benchmarks: the same for the
//! same seed, as Kafka records ([`records`]) or as SQL.
//!
//! [`life`] knows what happens, [`row`] what the tables' columns are; [`binlog`], [`debezium`] and
//! [`foreign`] how a connector tells it.

pub mod bad;
pub mod binlog;
mod civil;
pub mod clock;
pub mod debezium;
pub mod dice;
pub mod foreign;
pub mod journal;
pub mod late;
pub mod life;
pub mod live;
pub mod records;
pub mod row;
pub mod sql;
mod stranger;
