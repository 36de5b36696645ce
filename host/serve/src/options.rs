//! How the server works, and what it is wired to.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use weir_types::control::Control;

/// How the server works. Every limit has a default that fits one machine with a few hundred viewers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Secret that plugin changes must carry as `Authorization: Bearer …`.
    pub operator_token: Option<String>,
    /// Development: without a token, plugin changes are allowed from this machine.
    pub dev: bool,
    /// Connections served at once; more of them wait to be accepted.
    pub connections_max: usize,
    /// Streams served at once; more are answered 503.
    pub subscribers_max: usize,
    /// Silence on a stream after which a comment is sent, so that proxies keep it open.
    pub keep_alive: Duration,
    /// Requests to the history at once: each holds a thread.
    pub series_concurrency: usize,
    /// How long a request to the history may take, waiting for its turn included.
    pub series_timeout: Duration,
    /// Points of a series when the caller does not say, and at most.
    pub series_points: u32,
    pub series_points_max: u32,
    /// Size of an uploaded component in bytes.
    pub plugin_bytes_max: usize,
    /// How long an upload may take.
    pub upload_timeout: Duration,
    /// How long requests in flight may go on after a stop was asked for.
    pub stop_patience: Duration,
}

impl Options {
    /// The defaults for an address.
    pub fn new(listen: SocketAddr) -> Self {
        Options {
            listen,
            operator_token: None,
            dev: false,
            connections_max: 1024,
            subscribers_max: 256,
            keep_alive: Duration::from_secs(15),
            series_concurrency: 8,
            series_timeout: Duration::from_secs(10),
            series_points: 1_000,
            series_points_max: 10_000,
            plugin_bytes_max: 64 << 20,
            upload_timeout: Duration::from_secs(120),
            stop_patience: Duration::from_secs(3),
        }
    }
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "port {port} on {host} is taken by another program: stop it, or set another address in [host] listen"
    )]
    PortTaken { host: String, port: u16 },
    #[error("cannot listen on {address}: {source}: set another address in [host] listen")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// The engine's controls, which may come later than the server: until then plugin calls answer 503.
#[derive(Clone, Default)]
pub struct ControlCell {
    control: Arc<OnceLock<Arc<dyn Control>>>,
}

impl ControlCell {
    /// An empty cell.
    pub fn new() -> Self {
        Self::default()
    }
    /// Fills the cell. The first call counts; later ones change nothing.
    pub fn set(&self, control: Arc<dyn Control>) {
        if self.control.set(control).is_err() {
            tracing::debug!("the engine's controls were set twice; the first stay");
        }
    }
    pub(crate) fn get(&self) -> Option<Arc<dyn Control>> {
        self.control.get().cloned()
    }
}
