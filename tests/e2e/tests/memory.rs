//! ClickHouse away under full load: the host computes on, its memory stays flat, and nothing is lost.

mod common;

use anyhow::{Context, Result, ensure};
use common::load::Load;
use common::{CALL, Dir, LIMIT, TICKET, configuration};
use std::time::{Duration, Instant};
use weir_e2e::clickhouse::ClickHouse;
use weir_e2e::host::Host;
use weir_e2e::kafka::Kafka;
use weir_e2e::paths::{self, Bins};
use weir_e2e::{net, wait};
use weir_ingest::Properties;

/// How long ClickHouse is away, in seconds; the long form is 120.
const OUTAGE: &str = "WEIR_OUTAGE_SECONDS";
/// What may wait in memory, in another run than the one of the suite: with `4GiB` the test must fail.
const WAITING: &str = "WEIR_WAITING";

/// On the clock a minute passes in a second, so that each second has windows of its own: rows that wait
/// are coalesced by key, and windows that last would hide how many come.
const SPEED: f64 = 60.0;
/// Changes a second, on average over a day; by day twice as many.
const RATE: u32 = 4_000;
/// Until allocator, caches and state have found their size.
const WARM_UP: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(250);
/// Small, so that a short outage goes beyond it too.
const BUDGET: &str = "4MiB";
/// What memory may grow by in an outage of these lengths.
const MARGIN_KB: u64 = 64 << 10;

fn outage() -> Result<Duration> {
    let text = std::env::var(OUTAGE).unwrap_or_else(|_| "10".into());
    text.parse().map(Duration::from_secs).with_context(|| format!("{OUTAGE}={text} is no number of seconds"))
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
        weir_ingest::create_topics(&properties, &[(TICKET.into(), 4), (CALL.into(), 4)], LIMIT)?;
        let mut config = configuration(&kafka.bootstrap())?;
        config.clickhouse(&clickhouse.server());
        config.set("limits", "waiting", std::env::var(WAITING).unwrap_or_else(|_| BUDGET.into()));
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
}

/// Watches the host's memory.
fn watch(world: &mut World, time: Duration) -> Result<Memory> {
    let process = world.host.process()?;
    let first = process.resident_kb()?;
    let mut memory = Memory { first, most: first, last: first };
    let end = Instant::now() + time;
    while Instant::now() < end {
        wait::sleep(STEP)?;
        memory.last = process.resident_kb()?;
        memory.most = memory.most.max(memory.last);
    }
    Ok(memory)
}

fn tell(world: &World, what: &str, memory: &Memory) -> Result<()> {
    let status = world.host.api().status()?;
    println!(
        "{what}: resident {} to {} MB, at most {}; {} records read, {} epochs and {} rows wait",
        memory.first >> 10,
        memory.last >> 10,
        memory.most >> 10,
        status.next_offsets().values().sum::<i64>(),
        status.waiting_epochs(),
        status.0["delivery"]["waiting_rows"],
    );
    Ok(())
}

/// Everything that waited is delivered, while more comes.
fn wait_delivered(world: &World) -> Result<()> {
    let api = world.host.api();
    wait::until("what waited is delivered", LIMIT, || {
        let waiting = api.status().map_err(|e| format!("{e:#}"))?.waiting_epochs();
        if waiting <= 2 { Ok(Some(())) } else { Err(format!("{waiting} epochs wait")) }
    })
}

#[test]
#[ignore = "needs servers: run by cargo xtask test"]
fn memory_stays_flat_while_clickhouse_is_away_under_full_load_and_then_no_number_differs() -> Result<()> {
    let outage = outage()?;
    let mut load = Load::new(SPEED).busy(RATE);
    let mut world = World::started(&load)?;
    load.start(&world.bins, &world.dir.0, &world.kafka.bootstrap())?;
    let warm = watch(&mut world, WARM_UP)?;
    tell(&world, "before", &warm)?;

    world.clickhouse.kill();
    let gone = watch(&mut world, outage)?;
    tell(&world, "ClickHouse killed", &gone)?;
    let waiting = world.host.api().status()?.waiting_epochs();
    world.clickhouse.start()?;
    wait_delivered(&world)?;
    let between = watch(&mut world, STEP)?;
    tell(&world, "back", &between)?;

    // A server that takes connections and answers nothing.
    world.clickhouse.process()?.freeze();
    let silent = watch(&mut world, outage)?;
    tell(&world, "ClickHouse silent", &silent)?;
    world.clickhouse.process()?.resume();
    wait_delivered(&world)?;
    load.stop()?;
    load.settle(&world.host)?;
    let after = watch(&mut world, STEP)?;
    tell(&world, "after", &after)?;
    world.host.stop()?;
    println!("{}", load.check_in(&world.clickhouse.server(), &world.bins, &world.dir.0, &[])?);

    ensure!(waiting as u64 >= outage.as_secs() / 2, "only {waiting} epochs were computed meanwhile");
    for (what, memory) in [("killed", gone), ("silent", silent)] {
        let grown = memory.most.saturating_sub(warm.most);
        ensure!(grown <= MARGIN_KB, "with ClickHouse {what}, memory grew by {grown} kB: {memory:?}");
    }
    Ok(())
}
