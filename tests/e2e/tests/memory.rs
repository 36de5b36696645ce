//! ClickHouse away under full load: the host computes on, its memory stays flat, and nothing is lost.

mod common;

use anyhow::{Context, Result, ensure};
use common::load::Load;
use common::{Dir, LIMIT, configuration};
use std::time::Duration;
use weir_e2e::clickhouse::ClickHouse;
use weir_e2e::host::Host;
use weir_e2e::kafka::Kafka;
use weir_e2e::oracle;
use weir_e2e::paths::{self, Bins, OUTAGE, OUTAGE_RATE};
use weir_e2e::tables::TOPICS;
use weir_e2e::{net, wait};
use weir_ingest::Properties;

/// What may wait in memory, in another run than the one of the suite: with `4GiB` the test must fail.
const WAITING: &str = "WEIR_WAITING";

/// On the clock a minute passes in a second, so that each second has windows of its own: rows that wait
/// are coalesced by key, and windows that last would hide how many come.
const SPEED: f64 = 60.0;
/// Changes a second, on average over a day; in the morning half as many again. Enough for two minutes of it to take far
/// more memory than may wait.
const RATE: u32 = 2_500;
/// Until allocator, caches and state have found their size; a long outage needs a longer one.
const WARM_UP: Duration = Duration::from_secs(20);
/// How long windows are corrected, so that the state finds its size in the warm-up: closed windows that can
/// still change take memory, outage or not.
const CORRECT_FOR: [(&str, &str); 4] = [("1m", "2m"), ("15m", "15m"), ("1h", "15m"), ("day", "8d")];
/// A server that is silent is seen only by its time-out: it needs no long form.
const SILENT_MOST: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(250);
/// Of what came in an outage, while more comes.
const DELIVERY_LIMIT: Duration = Duration::from_secs(300);
/// Small, so that a short outage goes beyond it too.
const BUDGET: &str = "4MiB";
/// What memory may grow by in an outage: the budget, an epoch, and what allocator and store take as they
/// please. Without the bound, two minutes of this load take twice as much (140 MB); a short outage takes less
/// than the margin, and checks that what waited in the state alone arrives.
const MARGIN_KB: u64 = 64 << 10;

/// The long form is 120 s: `cargo xtask outage`.
fn outage() -> Result<Duration> {
    let text = std::env::var(OUTAGE).unwrap_or_else(|_| "10".into());
    text.parse().map(Duration::from_secs).with_context(|| format!("{OUTAGE}={text} is no number of seconds"))
}

fn rate() -> Result<u32> {
    let Ok(text) = std::env::var(OUTAGE_RATE) else { return Ok(RATE) };
    text.parse().with_context(|| format!("{OUTAGE_RATE}={text} is no number of changes a second"))
}

/// Real Kafka: the broker of the other tests keeps 5 MB a partition.
/// Fields are dropped in order.
struct World {
    host: Host,
    kafka: Kafka,
    clickhouse: ClickHouse,
    bins: Bins,
    dir: Dir,
}

impl World {
    fn started(load: &Load) -> Result<World> {
        let dir = Dir::new("memory")?;
        let bins = paths::bins_from_env()?;
        let clickhouse = ClickHouse::started(&bins, &paths::from_env(paths::CHDB_LIB)?, &dir.0)?;
        let kafka = Kafka::started(&paths::from_env(paths::KAFKA)?, &dir.0)?;
        let properties = Properties::from([("bootstrap.servers".to_owned(), kafka.bootstrap())]);
        let topics = TOPICS.map(|topic| (topic.to_owned(), 4));
        weir_ingest::create_topics(&properties, &topics, LIMIT)?;
        let mut config = configuration(&kafka.bootstrap())?;
        config.clickhouse(&clickhouse.server());
        config.set("limits", "waiting", std::env::var(WAITING).unwrap_or_else(|_| BUDGET.into()));
        for (window, time) in CORRECT_FOR {
            config.set("correct_for", window, time);
        }
        load.configure(&mut config)?;
        let mut host = Host::new(&bins, &dir.0, net::free_port()?, &config)?;
        host.start()?;
        Ok(World { host, kafka, clickhouse, bins, dir })
    }
}

/// Resident memory over a time, in kB.
#[derive(Debug)]
struct Memory {
    first: u64,
    most: u64,
    last: u64,
    /// The median of the second half: an epoch that is large for once is no growth.
    usual: u64,
}

impl Memory {
    fn check_flat_since(&self, before: &Memory) -> Result<()> {
        let grown = self.usual.saturating_sub(before.usual);
        ensure!(
            grown <= MARGIN_KB,
            "memory grew by {grown} kB while ClickHouse was away: {before:?}, {self:?}"
        );
        Ok(())
    }
}

/// Watches the host's memory.
fn watch(world: &mut World, time: Duration) -> Result<Memory> {
    let process = world.host.process()?;
    let (first, mut last) = (process.resident_kb()?, 0);
    let mut found = vec![first];
    for _ in 0..time.as_millis() / STEP.as_millis() {
        wait::sleep(STEP)?;
        last = process.resident_kb()?;
        found.push(last);
    }
    let most = found.iter().copied().max().unwrap_or(first);
    let half = found.len() / 2;
    let second = &mut found[half..];
    second.sort_unstable();
    Ok(Memory { first, most, last, usual: second[second.len() / 2] })
}

fn tell(world: &World, what: &str, memory: &Memory) -> Result<()> {
    let status = world.host.api().status()?;
    println!(
        "{what}: resident {} to {} MB, usually {}, at most {}; {} records read, {} epochs and {} rows wait",
        memory.first >> 10,
        memory.last >> 10,
        memory.usual >> 10,
        memory.most >> 10,
        status.next_offsets().values().sum::<i64>(),
        status.waiting_epochs(),
        status.0["delivery"]["waiting_rows"],
    );
    Ok(())
}

/// A number of the delivery's status.
fn delivery(world: &World, name: &str) -> Result<u64> {
    let status = world.host.api().status()?;
    status.0["delivery"][name].as_u64().with_context(|| format!("the status has no {name}"))
}

/// Everything that waited is delivered, while more comes.
fn wait_delivered(world: &World) -> Result<()> {
    let api = world.host.api();
    wait::until("what waited is delivered", DELIVERY_LIMIT, || {
        let waiting = api.status().map_err(|e| format!("{e:#}"))?.waiting_epochs();
        if waiting <= 2 { Ok(Some(())) } else { Err(format!("{waiting} epochs wait")) }
    })
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn memory_stays_flat_while_clickhouse_is_away_under_full_load_and_then_no_number_differs() -> Result<()> {
    let outage = outage()?;
    let mut load = Load::new(SPEED).busy(rate()?);
    let mut world = World::started(&load)?;
    load.start(&world.bins, &world.dir.0, &world.kafka.bootstrap())?;
    let warm = watch(&mut world, WARM_UP.max(outage))?;
    tell(&world, "before", &warm)?;

    world.clickhouse.kill();
    let gone = watch(&mut world, outage)?;
    tell(&world, "ClickHouse killed", &gone)?;
    let waiting = world.host.api().status()?.waiting_epochs();
    ensure!(waiting as u64 >= outage.as_secs() / 2, "only {waiting} epochs were computed meanwhile");
    gone.check_flat_since(&warm)?;
    let (waiting, inserted) = (delivery(&world, "waiting_rows")?, delivery(&world, "inserted_rows")?);
    world.clickhouse.start()?;
    wait_delivered(&world)?;
    let sent = delivery(&world, "inserted_rows")? - inserted;
    println!("for {waiting} rows that waited, and those that came meanwhile, {sent} were sent");
    let between = watch(&mut world, STEP)?;
    tell(&world, "back", &between)?;

    // A server that takes connections and answers nothing.
    world.clickhouse.process()?.freeze();
    let silent = watch(&mut world, outage.min(SILENT_MOST))?;
    tell(&world, "ClickHouse silent", &silent)?;
    silent.check_flat_since(&warm)?;
    world.clickhouse.process()?.resume();
    wait_delivered(&world)?;
    load.stop()?;
    load.settle(&world.host)?;
    let after = watch(&mut world, STEP)?;
    tell(&world, "after", &after)?;
    world.host.stop()?;
    let corrected = CORRECT_FOR.map(|(window, time)| format!("{window}={time}")).join(",");
    let args = ["--metrics", oracle::FOUR, "--correct-for", &corrected];
    println!("{}", load.check_in(&world.clickhouse.server(), &world.bins, &world.dir.0, &args)?);
    Ok(())
}
