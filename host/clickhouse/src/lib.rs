//! ClickHouse: where results go ([`Sink`]) and where their history is read ([`History`]).
//!
//! Exactly once comes from the rows, not from ClickHouse: absolute values under a deterministic key, with a
//! version that grows, in ReplacingMergeTree; a row's partition is a function of its key; one insert is
//! one partition. So an insert may be repeated whenever and however often, and half an insert (the
//! server died) is healed by its repetition. Deduplication by token is switched off: it can lose a batch.

mod dead;
mod error;
mod history;
mod insert;
mod rows;
mod schema;
mod sql;
mod tables;
mod take_back;
mod views;

use clickhouse::Client;
use error::Target;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use weir_types::Micros;
use weir_types::contract::{MetricInfo, Output};
use weir_types::control::{DeadQuery, History, SeriesPoint, SeriesQuery};
use weir_types::ports::{LostFuture, Sink, SinkError};
use weir_types::rows::{DeadLetterRow, Outbox};

/// A server that does not even take a connection in this time is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// ClickHouse closes idle connections after 3 s by default; closing them before is no error for anybody.
const POOL_IDLE: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(60);

/// How to reach ClickHouse, and how long what is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// HTTP interface: `http://127.0.0.1:8123` or `https://…`.
    pub url: String,
    pub user: String,
    pub password: String,
    /// Database of all tables: letters, digits, underscores.
    pub database: String,
    /// How long rows are kept, by window name; others for ever. Counted from the window's start on
    /// ClickHouse's clock.
    pub retention: BTreeMap<String, Micros>,
    /// Time for one statement. An insert of up to 100,000 rows may take four times as long, and taking back
    /// a lost future an hour for each partition.
    pub timeout: Duration,
    /// Where I/O runs; None = a thread of its own.
    pub runtime: Option<Handle>,
}

impl Options {
    /// User `default` without password, database `weir`, nothing deleted, 30 s.
    pub fn new(url: &str) -> Options {
        Options {
            url: url.into(),
            user: "default".into(),
            password: String::new(),
            database: "weir".into(),
            retention: BTreeMap::new(),
            timeout: Duration::from_secs(30),
            runtime: None,
        }
    }
}

/// What is wrong with the options.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error("ClickHouse's url `{0}` is not of the form http://host:port or https://host:port")]
    Url(String),
    #[error("ClickHouse's database `{0}` must be letters, digits and underscores, no digit first")]
    Database(String),
    #[error("cannot set up TLS for ClickHouse: {0}")]
    Tls(std::io::Error),
    #[error("cannot start a thread for ClickHouse: {0}")]
    Runtime(std::io::Error),
}

/// One ClickHouse. Calls block; never make one from an async task. Connects only when called.
pub struct ClickHouse {
    client: Client,
    target: Target,
    database: String,
    retention: BTreeMap<String, Micros>,
    timeout: Duration,
    /// Outputs of the metrics prepared so far, by metric.
    outputs: RwLock<HashMap<String, Arc<[Output]>>>,
    taken_back: Mutex<take_back::Done>,
    handle: Handle,
    /// Kept while it is ours.
    runtime: Option<Runtime>,
}

impl ClickHouse {
    pub fn new(options: Options) -> Result<ClickHouse, OptionsError> {
        let uri: hyper::Uri = options.url.parse().map_err(|_| OptionsError::Url(options.url.clone()))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(OptionsError::Url(options.url));
        }
        let name = options.database.as_bytes();
        let is_word = name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
        if !is_word || name.first().is_none_or(u8::is_ascii_digit) {
            return Err(OptionsError::Database(options.database));
        }
        let (handle, runtime) = match options.runtime {
            Some(handle) => (handle, None),
            None => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .thread_name("clickhouse")
                    .enable_all()
                    .build()
                    .map_err(OptionsError::Runtime)?;
                (runtime.handle().clone(), Some(runtime))
            }
        };
        let client = http_client()?
            .with_url(&options.url)
            .with_user(&options.user)
            .with_password(&options.password)
            .with_product_info("weir", env!("CARGO_PKG_VERSION"));
        Ok(ClickHouse {
            client,
            target: Target::new(&options.url, &options.user),
            database: options.database,
            retention: options.retention,
            timeout: options.timeout,
            outputs: RwLock::default(),
            taken_back: Mutex::default(),
            handle,
            runtime,
        })
    }

    /// Looks without changing anything: connects, logs in, and compares the tables that are there.
    /// Says what it found.
    pub fn check(&self) -> Result<String, SinkError> {
        self.block(self.check_tables())
    }

    fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle.block_on(future)
    }

    /// Runs one call with the time-out; errors say what was being done.
    async fn within<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, clickhouse::error::Error>>,
    ) -> Result<T, SinkError> {
        self.within_time(self.timeout, what, call).await
    }

    /// The same with a time-out of its own.
    async fn within_time<T>(
        &self,
        limit: Duration,
        what: &str,
        call: impl Future<Output = Result<T, clickhouse::error::Error>>,
    ) -> Result<T, SinkError> {
        match tokio::time::timeout(limit, call).await {
            Ok(result) => result.map_err(|e| self.target.classify(what, &e)),
            Err(_) => Err(self.target.timed_out(what)),
        }
    }

    fn outputs(&self, metric: &str) -> Option<Arc<[Output]>> {
        self.outputs.read().unwrap_or_else(PoisonError::into_inner).get(metric).cloned()
    }

    async fn query_series(&self, query: &SeriesQuery) -> Result<Vec<SeriesPoint>, SinkError> {
        let statement = self
            .client
            .query(&history::statement(&self.database))
            .bind(&query.metric)
            .bind(&query.metric)
            .bind(&query.window)
            .bind(&query.dimension_set)
            .bind(&query.dims)
            .bind(query.from)
            .bind(query.to)
            .bind(query.limit)
            // The server gives up when nobody waits any more.
            .with_setting("max_execution_time", self.timeout.as_secs().max(1).to_string());
        let points = self.within("reading a series", statement.fetch_all::<history::Point>()).await?;
        let outputs = self.outputs(&query.metric);
        Ok(points.into_iter().rev().map(|p| p.into_series(outputs.as_deref())).collect())
    }
}

impl ClickHouse {
    async fn query_dead(&self, query: &DeadQuery) -> Result<Vec<DeadLetterRow>, SinkError> {
        let statement = dead::bind(self.client.query(&dead::statement(&self.database, query)), query)
            .with_setting("max_execution_time", self.timeout.as_secs().max(1).to_string());
        let letters = self.within("reading dead letters", statement.fetch_all::<dead::Letter>()).await?;
        Ok(letters.into_iter().map(DeadLetterRow::from).collect())
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        // Dropping a runtime waits, which an async task must not; nothing runs in it any more.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Sink for ClickHouse {
    fn prepare(&self) -> Result<(), SinkError> {
        self.block(self.prepare_tables())
    }

    fn max_generation(&self) -> Result<u64, SinkError> {
        self.block(self.greatest_version()).map(|version| version >> 40)
    }

    fn prepare_metric(&self, info: &MetricInfo) -> Result<(), SinkError> {
        self.block(self.prepare_views(info))?;
        let outputs: Arc<[Output]> = info.outputs.as_slice().into();
        self.outputs.write().unwrap_or_else(PoisonError::into_inner).insert(info.name.clone(), outputs);
        Ok(())
    }

    fn insert(&self, generation: u64, rows: &Outbox) -> Result<(), SinkError> {
        self.block(self.insert_all(generation, rows))
    }

    fn take_back(&self, lost: LostFuture, generation: u64) -> Result<(), SinkError> {
        self.block(self.take_back_all(lost, generation))
    }
}

impl History for ClickHouse {
    fn series(&self, query: &SeriesQuery) -> Result<Vec<SeriesPoint>, String> {
        self.block(self.query_series(query)).map_err(|error| error.to_string())
    }

    fn dead_letters(&self, query: &DeadQuery) -> Result<Vec<DeadLetterRow>, String> {
        self.block(self.query_dead(query)).map_err(|error| error.to_string())
    }
}

/// As the crate's own, but with TCP_NODELAY, without which an insert waits 40 ms for an
/// acknowledgement, and with a time-out for connecting.
fn http_client() -> Result<Client, OptionsError> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.enforce_http(false);
    // Named, because other crates may bring a second provider, and then there is no default.
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
        .map_err(|e| OptionsError::Tls(std::io::Error::other(e)))?
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(connector);
    Ok(Client::with_http_client(client))
}
