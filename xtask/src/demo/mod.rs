//! `cargo xtask demo`: everything on this machine, and with `--check` an independent recomputation of
//! every number.

mod check;
mod day;
mod kills;

use crate::world::{Parts, Setup, Way, World};
use crate::{dirs, say};
use anyhow::{Result, bail};
use kills::Schedule;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use weir_e2e::clickhouse::Server;
use weir_e2e::oracle::COMPONENTS;
use weir_e2e::{interrupt, net, paths};

/// When, as a share of the run, they are pushed; before every kill.
const PUSH_AT: f64 = 0.15;
/// When they are pushed in a run without an end.
const PUSH_AFTER: Duration = Duration::from_secs(10);

#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Stop the generator after this time, such as 30s or 5m. Default: at ctrl-c.
    #[arg(long = "for", value_parser = duration)]
    pub run_for: Option<Duration>,
    /// At 60 times real speed; then recompute every number from the journal and compare. Exits 1
    /// unless all are equal.
    #[arg(long, requires = "run_for")]
    pub check: bool,
    /// MariaDB, Debezium and Kafka instead of the embedded broker.
    #[arg(long)]
    pub real: bool,
    /// The time is a whole day on the clock, from 14 to 14 o'clock. Debezium and the host are killed once each, all
    /// tables are snapshot anew, and columns are added and widened.
    #[arg(long, requires_all = ["check", "real"], conflicts_with = "kill")]
    pub day: bool,
    /// Kill each of these (`host`, `connect`) twice with kill -9 at seeded moments, and restart it.
    #[arg(long, value_delimiter = ',', requires = "run_for")]
    pub kill: Vec<String>,
    /// The same seed gives the same life and the same moments of kills.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Row changes a second.
    #[arg(long, default_value_t = 120.0)]
    pub rate: f64,
    /// Port of API and dashboard. Default: 8080, or a free one under --check.
    #[arg(long)]
    pub port: Option<u16>,
    /// So many bad records among the good ones (embedded broker only).
    #[arg(long, default_value_t = 0, conflicts_with = "real")]
    pub bad: u64,
    /// Whose records the generator writes: `debezium`, `canal` or `maxwell` (embedded broker only).
    #[arg(long, default_value = "debezium", conflicts_with = "real", value_parser = ["debezium", "canal", "maxwell"])]
    pub format: String,
    /// Keep logs and data of the run, even if all is well.
    #[arg(long)]
    pub keep: bool,
    /// A ClickHouse server of your own, such as http://127.0.0.1:8123; its database `weir` must be empty.
    #[arg(long)]
    pub clickhouse_url: Option<String>,
    #[arg(long, default_value = "default", requires = "clickhouse_url")]
    pub clickhouse_user: String,
    #[arg(long, default_value = "", env = "WEIR_CLICKHOUSE_PASSWORD", hide_env_values = true)]
    pub clickhouse_password: String,
    /// The programs are compiled already.
    #[arg(long, hide = true)]
    pub built: bool,
    /// Folder with other builds of the components.
    #[arg(long, hide = true)]
    pub components: Option<PathBuf>,
}

impl Options {
    fn setup(&self, port: u16) -> Setup {
        let clickhouse = self.clickhouse_url.as_ref().map(|url| Server {
            url: url.clone(),
            user: self.clickhouse_user.clone(),
            password: self.clickhouse_password.clone(),
        });
        Setup {
            way: if self.real { Way::Services } else { Way::Embedded },
            clickhouse,
            checked: self.check,
            day: self.day,
            seed: self.seed,
            rate: self.rate,
            generator: self.generator(),
            plugins: COMPONENTS.into_iter().filter(|file| !self.pushed().contains(file)).collect(),
            tune: |_| {},
            format: self.format.clone(),
            run_for: self.run_for,
            port,
        }
    }

    /// Components that join while the host runs, none with current values: such a metric is never complete when
    /// it joins late. Of a day every metric is compared from its beginning on.
    fn pushed(&self) -> &'static [&'static str] {
        if self.day { &[] } else { &["survey.wasm"] }
    }

    fn generator(&self) -> Vec<String> {
        match (self.day, self.real) {
            (true, _) => day::LIFE.map(Into::into).to_vec(),
            (false, true) => Vec::new(),
            (false, false) => vec!["--bad".into(), self.bad.to_string()],
        }
    }

    fn kills(&self, what: &str) -> bool {
        self.kill.iter().any(|killed| killed == what)
    }

    fn validate(&self) -> Result<()> {
        for what in &self.kill {
            match what.as_str() {
                "host" => {}
                "connect" if self.real => {}
                "connect" => bail!("--kill connect needs --real: there is no Debezium otherwise"),
                other => bail!("--kill knows host and connect, not {other}"),
            }
        }
        Ok(())
    }
}

pub fn run(options: &Options) -> Result<bool> {
    options.validate()?;
    let setup = options.setup(port(options)?);
    let parts = Parts::ensure(&setup, options.components.as_deref(), options.built)?;
    let dir = paths::run_dir(&dirs::target()?, "demo")?;
    let outcome = run_in(options, &setup, &parts, &dir);
    let stopped_by_hand = interrupt::asked() && !options.check;
    let well = matches!(outcome, Ok(true)) || stopped_by_hand;
    if well && !options.keep {
        std::fs::remove_dir_all(&dir)?;
    } else {
        say::note(format!("logs and data of this run: {}", dir.display()));
    }
    if stopped_by_hand { Ok(true) } else { outcome }
}

fn port(options: &Options) -> Result<u16> {
    match options.port {
        None if options.check => net::free_port(),
        asked => {
            let port = asked.unwrap_or(8080);
            if !net::is_free(port) {
                bail!("port {port} is taken: stop what uses it, or choose another one with --port");
            }
            Ok(port)
        }
    }
}

fn run_in(options: &Options, setup: &Setup, parts: &Parts, dir: &Path) -> Result<bool> {
    let mut world = World::start(setup, parts, dir)?;
    say::note(format!("dashboard: {}/", world.host.url()));
    let begin = Instant::now();
    let push_at = options.run_for.map_or(PUSH_AFTER, |whole| whole.mul_f64(PUSH_AT));
    let mut schedule = Schedule::new(options);
    let mut pushed = false;
    while options.run_for.is_none_or(|whole| begin.elapsed() < whole) {
        interrupt::check()?;
        world.check_alive()?;
        if !pushed && begin.elapsed() >= push_at {
            for file in options.pushed() {
                world.push(file)?;
            }
            pushed = true;
        }
        for deed in schedule.due(begin.elapsed()) {
            kills::carry_out(deed, &mut world)?;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    world.stop_generator()?;
    if options.day {
        day::last_contacts(&world)?;
    }
    if options.check {
        return check::run(options, world);
    }
    world.host.stop()?;
    Ok(true)
}

/// "30s", "5m", "500ms".
pub fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
    let parsed = units.iter().find_map(|(unit, length)| {
        let seconds = text.strip_suffix(unit)?.parse::<f64>().ok()? * length;
        Duration::try_from_secs_f64(seconds).ok()
    });
    parsed.ok_or_else(|| format!("{text} is no time: write 30s, 5m or 2h"))
}
