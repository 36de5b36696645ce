//! The processes that a demo or a test over everything needs: started on free loopback ports, waited
//! for, killed and restarted, with their output in files; and the host seen from outside.
//!
//! Used by `cargo xtask demo` and by the tests in `tests/`, which get the paths of tools and binaries
//! through the environment ([`paths`]).

#![allow(clippy::disallowed_methods, reason = "real processes are waited for on the real clock")]

pub mod broker;
pub mod clickhouse;
pub mod connect;
pub mod host;
pub mod interrupt;
pub mod kafka;
pub mod mariadb;
pub mod minio;
pub mod net;
pub mod oracle;
pub mod paths;
pub mod process;
pub mod tables;
pub mod tally;
pub mod wait;
