//! `weir run`: puts the parts together, and takes them apart again in order.

use crate::clock::{HostClock, real_now};
use crate::config::{self, Config};
use crate::wiring::{self, Adapters};
use crate::{Failure, kill_points, logging};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use weir_engine::{Engine, EngineError, Ports};
use weir_serve::{ControlCell, Live, LiveOptions, Server};
use weir_state::{Claim, OpenError, Store};
use weir_types::control::History;
use weir_types::ports::Monotonic;

/// How often it is looked whether the engine still runs.
const STEP: Duration = Duration::from_millis(100);

/// Runs until a signal, or until the engine ends.
pub fn run(file: &Path, dev: bool, take_over: bool) -> Result<(), Failure> {
    let config = config::load(file)?;
    logging::start(&config).map_err(Failure::Config)?;
    let stopped = on_signals()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), shard = config.shard, "starting");
    let monotonic = monotonic();
    let adapters = wiring::adapters(&config, &monotonic)?;
    let plugins = wiring::initial_plugins(&config)?;
    let claim = Claim { take_over, started: real_now() };
    let state = Arc::new(Store::open(&config.state, &config.shard, claim).map_err(state_failure)?);
    let live =
        Arc::new(Live::new(LiveOptions { time_zone: config.time_zone.clone(), ..LiveOptions::default() }));
    let control = ControlCell::new();
    let web = Web::start(&config, dev, live.clone(), control.clone(), adapters.history.clone())?;
    let engine = start_engine(&config, plugins, &adapters, state.clone(), live, monotonic)?;
    control.set(engine.control());
    tracing::info!(url = format!("http://{}/", web.address), "ready");
    let outcome = wait(&engine, &state, &stopped);
    match outcome {
        Outcome::Signal => engine.stop(config.stop_patience),
        // What it would still write or deliver counts no more.
        Outcome::Fenced => engine.stop(Duration::ZERO),
        Outcome::Ended => {}
    }
    let ended = engine.join();
    web.stop();
    // The last owner closes the database, which must not happen on a thread of the web server.
    drop(state);
    match (ended, outcome) {
        (Ok(()), Outcome::Signal) => {
            tracing::info!("stopped in order");
            Ok(())
        }
        (Ok(()), Outcome::Ended) => {
            Err(Failure::Error("the engine ended without a reason: see the log".into()))
        }
        (Err(EngineError::Fenced(_)), _) | (_, Outcome::Fenced) => Err(fenced(&config.state)),
        (Err(EngineError::Fatal(text)), _) => Err(Failure::Error(text)),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Signal,
    Ended,
    /// Another host has taken the state over.
    Fenced,
}

fn fenced(state: &str) -> Failure {
    Failure::Fenced(format!(
        "another host has taken over the state {state}: this one must not be started again while that one runs"
    ))
}

fn wait(engine: &Engine, state: &Store, stopped: &Receiver<i32>) -> Outcome {
    loop {
        if state.is_fenced() {
            tracing::error!("another host has taken over the state: stopping");
            return Outcome::Fenced;
        }
        match stopped.recv_timeout(STEP) {
            Ok(signal) => {
                let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
                tracing::info!("{name}: stopping in order; a second one stops at once");
                return Outcome::Signal;
            }
            Err(RecvTimeoutError::Timeout) if engine.is_finished() => return Outcome::Ended,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(STEP),
        }
    }
}

/// The first signal is told; the second ends the process, which loses nothing: the state is as after
/// a kill.
fn on_signals() -> Result<Receiver<i32>, Failure> {
    let failed = |e: std::io::Error| Failure::Error(format!("signals cannot be handled: {e}"));
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(failed)?;
    let (first, stopped) = channel();
    let handle = move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 || first.send(signal).is_err() {
                eprintln!("weir: stopped at once by a second signal");
                std::process::exit(1);
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(handle).map_err(failed)?;
    Ok(stopped)
}

fn state_failure(error: OpenError) -> Failure {
    Failure::Error(error.to_string())
}

#[allow(clippy::disallowed_methods, reason = "the monotonic clock that engine and reader get as an argument")]
fn monotonic() -> Monotonic {
    let start = Instant::now();
    Arc::new(move || start.elapsed())
}

fn start_engine(
    config: &Config,
    plugins: Vec<(String, Vec<u8>)>,
    adapters: &Adapters,
    state: Arc<Store>,
    live: Arc<Live>,
    monotonic: Monotonic,
) -> Result<Engine, Failure> {
    let ports = Ports {
        clock: Arc::new(HostClock::new(config.clock)),
        monotonic,
        wall: Arc::new(real_now),
        broker: adapters.broker.clone(),
        state,
        sink: adapters.sink.clone(),
        loader: adapters.loader.clone(),
        publisher: live,
    };
    let ports = kill_points::around(ports).map_err(Failure::Config)?;
    Engine::start(wiring::engine_options(config, plugins), ports).map_err(|error| match error {
        EngineError::Fenced(_) => fenced(&config.state),
        EngineError::Fatal(text) => Failure::Error(text),
    })
}

/// The web server on threads of its own.
struct Web {
    runtime: Runtime,
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    done: tokio::task::JoinHandle<()>,
}

impl Web {
    fn start(
        config: &Config,
        dev: bool,
        live: Arc<Live>,
        control: ControlCell,
        history: Arc<dyn History>,
    ) -> Result<Web, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("web")
            .enable_all()
            .build()
            .map_err(|e| Failure::Error(format!("threads for the web server do not start: {e}")))?;
        let mut options = weir_serve::Options::new(config.listen);
        options.operator_token = config.operator_token.clone();
        options.dev = dev;
        if let Some(most) = config.limits.component {
            options.plugin_bytes_max = most.0;
        }
        let server = runtime
            .block_on(Server::bind(options, live, control, history))
            .map_err(|e| Failure::Error(e.to_string()))?;
        let address = server.local_addr();
        let (shutdown, asked) = oneshot::channel::<()>();
        let done = runtime.spawn(server.run(async move {
            // A sender that is gone means the same.
            let _gone = asked.await;
        }));
        Ok(Web { runtime, address, shutdown, done })
    }

    fn stop(self) {
        let _gone = self.shutdown.send(());
        if self.runtime.block_on(self.done).is_err() {
            tracing::warn!("the web server panicked");
        }
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}
