//! The engine: from decoded changes to durable epochs.
//!
//! It knows sources, metrics, time, windows and state, and reaches everything else through the ports
//! of `weir-types`. See ARCHITECTURE.md for the way of an event.

mod buckets;
mod catchup;
mod chunks;
mod control;
mod deadset;
mod declared;
mod derived;
mod emit;
mod findings;
mod hold;
pub mod inspect;
mod keys;
mod keytable;
mod metric;
mod outbox;
mod patient;
mod plan;
pub mod protocol;
pub mod recover;
mod rowtable;
mod run;
mod shapes;
pub mod shard;
mod shared;
mod sources;
mod stored;
mod versions;
mod view;
mod watermark;

use control::EngineControl;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use weir_types::Micros;
use weir_types::contract::MetricInfo;
use weir_types::control::Control;
use weir_types::live::Publisher;
use weir_types::ports::{Broker, Clock, Loader, Monotonic, Sink, StateError, StateStore};
use weir_types::schema::SourceDecl;
use weir_types::window::Window;

/// Requests of operators that may wait.
const COMMANDS: usize = 16;

/// Whether a derived metric's bases are among `loaded` and give what it reads. The error is a sentence.
pub fn check_bases(info: &MetricInfo, loaded: &[MetricInfo], options: &Options) -> Result<(), String> {
    let find = |name: &str| loaded.iter().find(|i| i.name == name).cloned().map(Arc::new);
    derived::Plan::new(info, options, find).map(drop)
}

/// How the engine works. All of it comes from the configuration file.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the shard; the first part of every stored key.
    pub shard: String,
    pub sources: Vec<Arc<SourceDecl>>,
    /// Time zone of calendar days.
    pub time_zone: jiff::tz::TimeZone,
    /// Real time after which an epoch ends.
    pub epoch_length: Duration,
    /// Bytes of columns after which an epoch ends.
    pub epoch_bytes: usize,
    /// Clock time between two provisional rows of a key, by window name (`1m`, `day`, …). Kinds
    /// without an entry emit when they close.
    pub emit_every: BTreeMap<String, Micros>,
    /// How long after its end a window is still corrected, by window name.
    pub correct_for: BTreeMap<String, Micros>,
    /// Correction times of one kind when nothing else is said.
    pub correct_for_default: Micros,
    /// The same for single metrics, which wins.
    pub correct_for_metric: BTreeMap<String, BTreeMap<String, Micros>>,
    /// Windows of single metrics, in place of their own.
    pub windows_metric: BTreeMap<String, Vec<Window>>,
    /// Real time without a record or an end after which a stream that has more to read is told to stand
    /// still.
    pub stalled_after: Duration,
    /// A column that does not fit in so many rows in a row is gone: metrics that need it are suspended.
    pub suspend_after: u64,
    /// Slots that one metric keeps in its guest; what was touched longest ago lies in the store alone.
    pub hot_slots: u64,
    /// The same for all metrics together.
    pub hot_slots_total: u64,
    /// Texts of keys and rows in memory from which on those that nobody needs are looked for, and again each time that
    /// the number has doubled since.
    pub texts_before_sweep: usize,
    /// Bytes of rows that may wait for the sink in memory, whatever it takes to bring them there. Epochs
    /// beyond it wait in the store alone. One epoch more may be in memory, for it is read whole.
    pub waiting_bytes: usize,
    /// Bytes, for each source of rows or versions, of what stopped metrics need of it to read again what they
    /// miss. Beyond it, it is no longer kept for them.
    pub missed_bytes: u64,
    /// Components loaded when the state knows no metric of theirs yet: (origin, bytes).
    pub initial_plugins: Vec<(String, Vec<u8>)>,
}

/// What the engine reaches the outside through.
#[derive(Clone)]
pub struct Ports {
    pub clock: Arc<dyn Clock>,
    /// Real monotonic time since some start, for the length of epochs and for costs only.
    pub monotonic: Monotonic,
    /// Real wall clock in microseconds, for incarnation numbers only.
    pub wall: Arc<dyn Fn() -> Micros + Send + Sync>,
    pub broker: Arc<dyn Broker>,
    pub state: Arc<dyn StateStore>,
    pub sink: Arc<dyn Sink>,
    pub loader: Arc<dyn Loader>,
    pub publisher: Arc<dyn Publisher>,
}

/// Why the engine ended.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A newer host has taken over: exit with the code reserved for it, do not restart.
    #[error("{0}")]
    Fenced(String),
    /// It cannot go on; the text says what happened and what to do.
    #[error("{0}")]
    Fatal(String),
}

impl From<StateError> for EngineError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Fenced(text) => EngineError::Fenced(text),
            StateError::Unavailable(text) | StateError::Corrupt(text) | StateError::Closed(text) => {
                EngineError::Fatal(text)
            }
        }
    }
}

/// A running engine.
pub struct Engine {
    control: Arc<EngineControl>,
    signals: Arc<run::Signals>,
    thread: std::thread::JoinHandle<()>,
}

impl Engine {
    /// Recovers state, then reads, computes and delivers on threads of its own. Returns at once;
    /// progress and trouble are told through the publisher.
    pub fn start(options: Options, ports: Ports) -> Result<Engine, EngineError> {
        let ports = Arc::new(ports);
        let (send, receive) = sync_channel(COMMANDS);
        let signals = Arc::new(run::Signals::default());
        let control = EngineControl::new(send, &ports, &options);
        let thread = run::start(options, ports, receive, signals.clone())
            .map_err(|e| EngineError::Fatal(format!("cannot start the engine's thread: {e}")))?;
        Ok(Engine { control: Arc::new(control), signals, thread })
    }

    pub fn control(&self) -> Arc<dyn Control> {
        self.control.clone()
    }

    /// Asks for a graceful stop: the running epoch is committed, due rows are emitted and delivered
    /// if ClickHouse answers within `patience`.
    pub fn stop(&self, patience: Duration) {
        *self.signals.patience.lock().unwrap_or_else(PoisonError::into_inner) = patience;
        self.signals.stop.store(true, Ordering::Release);
    }

    /// Whether the engine has ended by itself.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end.
    pub fn join(self) -> Result<(), EngineError> {
        if self.thread.join().is_err() {
            return Err(EngineError::Fatal(
                "the engine's thread panicked: please report it with the log".into(),
            ));
        }
        self.signals.take_error().map_or(Ok(()), Err)
    }
}
