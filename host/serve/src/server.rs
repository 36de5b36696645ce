//! Listening, connections and a graceful stop.

use crate::live::Live;
use crate::options::{ControlCell, Options, ServeError};
use crate::routes;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use weir_types::control::History;

/// An answer.
pub(crate) type Reply = Response<BoxBody<Bytes, Infallible>>;

/// A body that is known whole.
pub(crate) fn full(body: impl Into<Bytes>) -> BoxBody<Bytes, Infallible> {
    Full::new(body.into()).boxed()
}

/// A client that does not send its request's head within this time is dropped.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// What every request may need.
pub(crate) struct App {
    pub options: Options,
    pub live: Arc<Live>,
    pub control: ControlCell,
    pub history: Arc<dyn History>,
    /// Held by requests to the history until their thread is done.
    pub series_permits: Arc<Semaphore>,
    /// One upload at a time: a body is held in memory.
    pub upload_permit: Semaphore,
    pub stop: watch::Receiver<bool>,
}

/// The server, bound to its address.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    stopping: watch::Sender<bool>,
}

impl Server {
    /// Takes the port. `control` may be empty until the engine runs: plugin calls answer 503 so long.
    pub async fn bind(
        options: Options,
        live: Arc<Live>,
        control: ControlCell,
        history: Arc<dyn History>,
    ) -> Result<Server, ServeError> {
        let address = options.listen;
        let refused = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AddrInUse => {
                ServeError::PortTaken { host: address.ip().to_string(), port: address.port() }
            }
            _ => ServeError::Listen { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let (stopping, stop) = watch::channel(false);
        let app = App {
            series_permits: Arc::new(Semaphore::new(options.series_concurrency.max(1))),
            upload_permit: Semaphore::new(1),
            options,
            live,
            control,
            history,
            stop,
        };
        Ok(Server { listener, address, app: Arc::new(app), stopping })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is done, then ends streams, lets requests in flight finish for a
    /// while, and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let connections = Arc::new(Semaphore::new(self.app.options.connections_max.max(1)));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.listener, &connections) => accepted,
                () = &mut shutdown => break,
            };
            let Some((stream, peer, permit)) = accepted else { continue };
            let app = self.app.clone();
            let service = service_fn(move |request| {
                let app = app.clone();
                async move { Ok::<_, Infallible>(routes::answer(app, peer, request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%peer, %error, "connection ended");
                }
                drop(permit);
            });
        }
        // Whoever still reads a stream is told to go; nobody listening is no error.
        let _ = self.stopping.send(true);
        drop(self.listener);
        if tokio::time::timeout(self.app.options.stop_patience, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests in flight were cut off at the stop");
        }
    }
}

/// The next connection, once there is room for one more. None after a failure that may pass.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Events are small and must not wait for more to come.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, permit))
        }
        Err(error) => {
            // Most often too many open files: those that are served will end.
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
