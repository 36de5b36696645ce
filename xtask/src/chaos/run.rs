//! Killing, and starting again.

use super::ledger::Ledger;
use super::line::Line;
use super::plan::{self, Death, Plan, Victim};
use crate::world::{Upstream, World};
use anyhow::{Context, Result, bail};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use weir_e2e::interrupt;
use weir_e2e::kafka::Kafka;

/// How long a host may live on its way to the place where it shall die; longer than any start.
const REACH: Duration = Duration::from_secs(6);
/// A compaction is looked for every 5 seconds by the store itself.
const REACH_COMPACTION: Duration = Duration::from_secs(9);
/// How long an insert waits after its host's death: its successor has written by then.
const LATE_BY: Duration = Duration::from_secs(4);
/// A broker that was started less than this ago is let live, so that the stream moves.
const BROKER_LIFE: Duration = Duration::from_secs(8);
const TABLES: usize = 4;
const STEP: Duration = Duration::from_millis(2);

pub struct Chaos<'a> {
    world: &'a mut World,
    plan: Plan,
    pub ledger: Ledger,
    line: &'a Line,
    /// Where the host that runs now will die.
    death: Death,
    broker_since: Option<Instant>,
}

impl<'a> Chaos<'a> {
    pub fn new(world: &'a mut World, line: &'a Line, seed: u64, kills: usize) -> Chaos<'a> {
        let (plan, ledger) = (Plan::new(seed), Ledger::new(kills));
        Chaos { world, plan, ledger, line, death: Death::Moment, broker_since: None }
    }

    /// Until as many were killed as was asked for. The host that is left lives.
    pub fn run(&mut self) -> Result<()> {
        while !self.ledger.is_full() {
            let pause = self.plan.pause();
            if self.dies_by_itself(pause)? {
                continue;
            }
            match self.plan.victim() {
                Victim::Broker if self.broker_since.is_none_or(|since| since.elapsed() > BROKER_LIFE) => {
                    self.kill_broker()?
                }
                Victim::Engine => self.kill_engine()?,
                Victim::Broker | Victim::Host => self.kill_host()?,
            }
        }
        self.disarm()
    }

    /// A host that would still kill itself gives way to one that does not; that counts as no kill.
    fn disarm(&mut self) -> Result<()> {
        if matches!(self.death, Death::Point(_)) {
            self.world.host.kill();
            self.world.host.set_trap(None);
            self.world.host.launch()?;
            self.death = Death::Moment;
        }
        Ok(())
    }

    /// Waits; true if the host has reached the point at which it dies, and was started again.
    fn dies_by_itself(&mut self, pause: Duration) -> Result<bool> {
        let end = Instant::now() + pause;
        loop {
            if self.host_is_dead()? {
                return Ok(true);
            }
            if Instant::now() >= end {
                return Ok(false);
            }
            std::thread::sleep(STEP);
        }
    }

    /// Notes a host that has killed itself and starts the next; any other end is an error.
    fn host_is_dead(&mut self) -> Result<bool> {
        interrupt::check()?;
        self.world.check_others_alive()?;
        let process = self.world.host.process()?;
        let Some(status) = process.ended()? else { return Ok(false) };
        if status.signal() != Some(libc::SIGKILL) || !matches!(self.death, Death::Point(_)) {
            bail!("the host ended by itself ({status}); {}", process.tail());
        }
        let place = self.death.name().to_owned();
        self.host_died(&place)?;
        Ok(true)
    }

    fn host_died(&mut self, place: &str) -> Result<()> {
        self.ledger.note(Victim::Host, place);
        self.death = if self.ledger.is_full() { Death::Moment } else { self.plan.death() };
        let trap = match &self.death {
            Death::Point(point) => Some(point.clone()),
            Death::Moment | Death::Compaction | Death::LateInsert => None,
        };
        self.world.host.set_trap(trap);
        self.world.host.launch()
    }

    fn kill_host(&mut self) -> Result<()> {
        let place = match self.death.clone() {
            Death::Moment => "any moment".to_owned(),
            Death::Point(point) => {
                if self.dies_by_itself(REACH)? {
                    return Ok(());
                }
                format!("any moment ({point} not reached)")
            }
            Death::Compaction => match self.compaction_begins()? {
                true => plan::COMPACTION.into(),
                false => "any moment (no compaction)".into(),
            },
            Death::LateInsert => match self.insert_is_held()? {
                true => plan::LATE_INSERT.into(),
                false => "any moment (no insert)".into(),
            },
        };
        if self.host_is_dead()? {
            return Ok(());
        }
        self.world.host.kill();
        self.host_died(&place)
    }

    /// Makes the store compact and waits until it writes that down; then for a moment, in which it reads and
    /// writes. It compacts four tables or more, and writes one when it is closed in order.
    fn compaction_begins(&mut self) -> Result<bool> {
        // Before it is up it does not listen to signals.
        self.world.host.wait_up()?;
        for _ in 0..TABLES {
            self.world.host.stop()?;
            self.world.host.launch()?;
            self.world.host.wait_up()?;
        }
        let folder = self.world.dir.join("state/shards/0/compactions");
        let before = newest(&folder);
        let seen = self.wait(REACH_COMPACTION, || newest(&folder) != before)?;
        if seen {
            std::thread::sleep(self.plan.moment(0, 40));
        }
        Ok(seen)
    }

    /// Holds the next insert back; then waits long enough for it to be whole and for newer epochs to be
    /// written.
    fn insert_is_held(&mut self) -> Result<bool> {
        if self.line.is_holding() {
            return Ok(false);
        }
        self.line.hold_next();
        let line = self.line;
        let held = self.wait(REACH, || line.is_holding())?;
        if held {
            std::thread::sleep(self.plan.moment(100, 700));
        }
        line.release_at(Instant::now() + LATE_BY);
        Ok(held)
    }

    /// Whether it happened in time; the host must live meanwhile.
    fn wait(&mut self, limit: Duration, happened: impl Fn() -> bool) -> Result<bool> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if happened() {
                return Ok(true);
            }
            interrupt::check()?;
            self.world.host.check_alive()?;
            std::thread::sleep(STEP);
        }
        Ok(false)
    }

    fn kill_broker(&mut self) -> Result<()> {
        let away = self.plan.moment(0, 1_500);
        kafka(self.world)?.kill();
        self.ledger.note(Victim::Broker, "any moment");
        std::thread::sleep(away);
        kafka(self.world)?.launch()?;
        self.broker_since = Some(Instant::now());
        Ok(())
    }

    fn kill_engine(&mut self) -> Result<()> {
        let away = self.plan.moment(0, 1_500);
        let engine = self.world.clickhouse.as_mut().context("the engine is not ours")?;
        engine.kill();
        self.ledger.note(Victim::Engine, "any moment");
        std::thread::sleep(away);
        self.world.clickhouse.as_mut().context("the engine is not ours")?.launch()
    }
}

pub fn kafka(world: &mut World) -> Result<&mut Kafka> {
    match &mut world.upstream {
        Upstream::Kafka { kafka } => Ok(kafka),
        Upstream::Embedded { .. } | Upstream::Services { .. } => bail!("there is no Kafka to kill"),
    }
}

/// The greatest name in a folder; files there are numbered.
fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries.map(|entry| entry.path()).max()
}
