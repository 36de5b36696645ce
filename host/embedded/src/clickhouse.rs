//! A ClickHouse engine behind the part of ClickHouse's HTTP interface that Weir, the `clickhouse`
//! crate and curl use.
//!
//! The engine is `libchdb.so`: all of ClickHouse behind a C API. It runs in a process of its own, so
//! that a crash in it never takes the host down and the host has one way to ClickHouse, HTTP. What
//! needs a real server is refused with a clear error: sessions, `compress=1`, users and roles.

mod auth;
mod blocks;
mod call;
mod engine;
mod execute;
mod http;
mod process;
mod sql;

pub use process::{Process, StartError};

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What `weir-embedded clickhouse` takes.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Path of libchdb.so
    #[arg(long)]
    pub lib: PathBuf,
    /// Directory of the data; made if missing. One process at a time
    #[arg(long)]
    pub data: PathBuf,
    /// Address to listen on, on loopback only; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8123")]
    pub listen: SocketAddr,
    /// Only this user is let in; without it anybody
    #[arg(long, requires = "password_env")]
    pub user: Option<String>,
    /// Environment variable that holds the user's password
    #[arg(long, requires = "user")]
    pub password_env: Option<String>,
    /// Stop when standard input ends, so that the engine never outlives who started it
    #[arg(long)]
    pub until_stdin_closes: bool,
}

/// Why the engine process did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{0} is not a loopback address: the embedded engine has no access control to speak of; use 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
    #[error("cannot listen on {0}: {1}; stop what listens there or choose another port with --listen")]
    Listen(SocketAddr, std::io::Error),
    #[error("{0} is in use by another engine process: stop it or choose another directory with --data")]
    Locked(PathBuf),
    #[error("cannot use the data directory {0}: {1}")]
    Data(PathBuf, std::io::Error),
    #[error(
        "cannot load the ClickHouse engine from {0}: {1}; fetch it with `npm pack @chdb/lib-linux-x64-gnu`"
    )]
    Library(PathBuf, String),
    #[error("the ClickHouse engine did not start: {0}")]
    Engine(String),
    #[error("environment variable {0} is not set: it must hold the password of --user")]
    Password(String),
    #[error("cannot start the server: {0}")]
    Runtime(std::io::Error),
}

/// Serves until SIGTERM or SIGINT. Prints its URL as the only line on standard output once it is ready.
pub fn run(args: Args) -> Result<(), Error> {
    if !args.listen.ip().is_loopback() {
        return Err(Error::NotLoopback(args.listen));
    }
    let credentials = auth::Credentials::from_args(&args)?;
    // Port and lock first: both fail at once, the engine takes a second to load.
    let listener = std::net::TcpListener::bind(args.listen).map_err(|e| Error::Listen(args.listen, e))?;
    let lock = lock_data(&args)?;
    let engine = engine::Engine::load(&args.lib, &args.data.join("engine"))?;
    let engine = Arc::new(engine);
    let served = http::serve(listener, engine.clone(), credentials, args.until_stdin_closes);
    // A request that outlived the patience of `serve` still holds the engine: then it dies with the
    // process, as in a crash, which no acknowledged insert minds.
    if let Some(engine) = Arc::into_inner(engine) {
        engine.shutdown();
    }
    drop(lock);
    served
}

fn lock_data(args: &Args) -> Result<File, Error> {
    let bad = |e| Error::Data(args.data.clone(), e);
    std::fs::create_dir_all(args.data.join("engine")).map_err(bad)?;
    let file = File::create(args.data.join("lock")).map_err(bad)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Locked(args.data.clone())),
        Err(std::fs::TryLockError::Error(e)) => Err(bad(e)),
    }
}
