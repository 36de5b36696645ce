//! The processes of one demo or chaos run.

mod clock;
mod parts;
mod recompute;
mod upstream;

use clock::DemoClock;
pub use parts::Parts;
pub use recompute::{compare_journal, oracle};
pub use upstream::{DATABASE, Upstream, Way};

use crate::say;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;
use weir_e2e::clickhouse::{ClickHouse, Server};
use weir_e2e::host::{Config, Host};
use weir_e2e::paths::Bins;
use weir_e2e::process::Process;
use weir_e2e::tables::TABLES;
use weir_e2e::wait;

/// Real time after which a quiet partition counts as idle where numbers are checked. Longer than a killed
/// process needs to come back.
const IDLE_AFTER_S: f64 = 10.0;
/// How much faster than real time the clock runs where numbers are checked, so that windows close.
const CHECK_SPEED: f64 = 60.0;
const DAY_S: f64 = 86_400.0;
const PUSH_LIMIT: Duration = Duration::from_secs(60);
const SETTLE_LIMIT: Duration = Duration::from_secs(180);
const GENERATOR_LIMIT: Duration = Duration::from_secs(60);

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    pub way: Way,
    /// A ClickHouse of somebody else's; None = the embedded engine.
    pub clickhouse: Option<Server>,
    /// Numbers will be checked: the clock runs at [`CHECK_SPEED`].
    pub checked: bool,
    /// The run's time is a whole day on the clock.
    pub day: bool,
    pub seed: u64,
    /// Row changes a real second.
    pub rate: f64,
    /// What else the generator is told.
    pub generator: Vec<String>,
    /// Files of the components that the host begins with.
    pub plugins: Vec<&'static str>,
    /// Changes what the host is told by the example's configuration.
    pub tune: fn(&mut Config),
    /// Whose records the generator writes: `debezium`, `canal` or `maxwell`.
    pub format: String,
    /// How long the generator runs, if that is known.
    pub run_for: Option<Duration>,
    /// Of API and dashboard.
    pub port: u16,
}

impl Setup {
    /// How many times as fast as real time the clock runs.
    pub fn speed(&self) -> f64 {
        match (self.checked, self.run_for) {
            (true, Some(whole)) if self.day => (DAY_S / whole.as_secs_f64()).round(),
            (true, _) => CHECK_SPEED,
            (false, _) => 1.0,
        }
    }

    /// On the clock, as host and oracle are told it.
    fn idle_after(&self) -> String {
        format!("{}s", IDLE_AFTER_S * self.speed())
    }
}

/// What the host stands on.
pub struct Services {
    pub clickhouse: Option<ClickHouse>,
    pub server: Server,
    upstream: Upstream,
    clock: DemoClock,
}

impl Services {
    pub fn start(setup: &Setup, parts: &Parts, dir: &Path) -> Result<Services> {
        let clock = DemoClock::new(setup)?;
        say::step("starting ClickHouse, the broker and the host");
        let (clickhouse, server) = clickhouse(setup, parts, dir)?;
        let upstream = Upstream::start(setup, parts, dir, &clock)?;
        Ok(Services { clickhouse, server, upstream, clock })
    }
}

pub struct World {
    pub dir: PathBuf,
    pub bins: Bins,
    components: PathBuf,
    generator: Option<Process>,
    pub host: Host,
    pub clickhouse: Option<ClickHouse>,
    pub server: Server,
    pub upstream: Upstream,
    /// What the host was told, for the oracle.
    idle_after: String,
}

impl World {
    pub fn start(setup: &Setup, parts: &Parts, dir: &Path) -> Result<World> {
        let services = Services::start(setup, parts, dir)?;
        let server = services.server.clone();
        World::over(services, &server, setup, parts, dir)
    }

    /// Generator and host over services that run; the host reaches ClickHouse at `reached`.
    pub fn over(
        services: Services,
        reached: &Server,
        setup: &Setup,
        parts: &Parts,
        dir: &Path,
    ) -> Result<World> {
        let Services { clickhouse, server, upstream, clock } = services;
        let mut config = Config::example()?;
        config.clickhouse(reached).kafka("bootstrap.servers", &upstream.bootstrap());
        for file in &setup.plugins {
            config.plugin(&parts.components.join(file));
        }
        if setup.checked {
            config.clock(&clock.origin.to_string(), setup.speed());
            for source in TABLES {
                config.source(source)?.insert("idle_after".into(), setup.idle_after().into());
            }
        }
        for source in TABLES {
            config.written_by(source, &setup.format)?;
        }
        (setup.tune)(&mut config);
        // First, because a broker makes a topic when something is sent to it.
        let generator = upstream.generator(setup, parts, dir, &clock)?;
        let mut host = Host::new(&parts.bins, dir, setup.port, &config)?;
        host.start()?;
        Ok(World {
            dir: dir.to_owned(),
            bins: parts.bins.clone(),
            components: parts.components.clone(),
            generator: Some(generator),
            host,
            clickhouse,
            server,
            upstream,
            idle_after: setup.idle_after(),
        })
    }

    pub fn check_alive(&mut self) -> Result<()> {
        self.host.check_alive()?;
        self.check_others_alive()
    }

    /// All but the host.
    pub fn check_others_alive(&mut self) -> Result<()> {
        if let Some(generator) = &mut self.generator {
            generator.check_alive()?;
        }
        self.clickhouse.as_mut().map_or(Ok(()), ClickHouse::check_alive)?;
        self.upstream.check_alive()
    }

    /// Loads a component into the running host.
    pub fn push(&mut self, file: &str) -> Result<()> {
        let path = self.components.join(file);
        let path = path.to_str().context("the components' folder has a name that is no UTF-8")?;
        let host = &self.host;
        wait::until(&format!("push of {file}"), PUSH_LIMIT, || match host.plugin(&["push", path]) {
            Ok((true, text)) => Ok(Some(text)),
            Ok((false, text)) => Err(text.trim().to_owned()),
            Err(error) => Err(format!("{error:#}")),
        })?;
        say::note(format!("pushed {file} into the running host"));
        Ok(())
    }

    pub fn stop_generator(&mut self) -> Result<()> {
        if let Some(mut generator) = self.generator.take() {
            let status = generator.stop(GENERATOR_LIMIT)?;
            if !status.success() {
                anyhow::bail!("the generator ended with {status}; {}", generator.tail());
            }
        }
        Ok(())
    }

    /// Waits until everything has been read, computed and delivered.
    pub fn settle(&mut self) -> Result<()> {
        say::step("waiting until all is read and delivered");
        self.upstream.pass_everything_on(&self.dir, SETTLE_LIMIT)?;
        self.host.wait_ready()?;
        self.host.settle(SETTLE_LIMIT)
    }
}

fn clickhouse(setup: &Setup, parts: &Parts, dir: &Path) -> Result<(Option<ClickHouse>, Server)> {
    if let Some(server) = &setup.clickhouse {
        server.query("SELECT 1").context("--clickhouse-url")?;
        return Ok((None, server.clone()));
    }
    let lib = parts.chdb.as_ref().context("the ClickHouse engine was not installed")?;
    let engine = ClickHouse::started(&parts.bins, lib, dir)?;
    let server = engine.server();
    Ok((Some(engine), server))
}
