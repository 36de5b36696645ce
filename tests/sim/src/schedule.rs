//! Plays one seed.

use crate::audit::{Audit, audit};
use crate::disk::Disk;
use crate::host::{Host, Part};
use crate::operator::{Desk, Operator};
use crate::ports::{Shared, has_read_all, lock};
use crate::world::{Dice, Fault, Mutation, Point, Times, World};
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use weir_engine::EngineError;
use weir_types::{HOUR, MINUTE, Micros};

/// Rounds of the drain, beyond which a schedule counts as not coming to rest.
const DRAIN_ROUNDS: u32 = 5_000;
/// Steps of one part in a round.
const ROUND: u32 = 6;
const PARTS: [Part; 4] = [Part::Reader, Part::Compute, Part::Commit, Part::Delivery];

/// What a schedule did and what was found.
#[derive(Debug, Default)]
pub struct Report {
    pub breaches: Vec<String>,
    /// Acts of the world and steps of hosts.
    pub steps: u64,
    /// Calls of hosts to the outside, in each of which something may fail.
    pub calls: u64,
    pub records: u64,
    /// Epochs that are durable at the end, and all that were computed.
    pub epochs: u64,
    pub computed: u64,
    pub hosts: u64,
    /// Stops in order, kills from outside, second hosts, wiped and restored states.
    pub events: BTreeMap<&'static str, u64>,
    pub injected: BTreeMap<(Point, Fault), u64>,
    pub audit: Audit,
    /// What happened, in order: the same for the same seed.
    pub trace: Vec<String>,
}

struct Schedule {
    dice: Dice,
    world: Shared,
    times: Arc<Times>,
    /// The newest last; the older ones do not know yet that they are shut out.
    hosts: Vec<Host>,
    /// Hosts that stand still (SIGSTOP) while a newer one works, and go on when it has finished.
    frozen: Vec<Host>,
    backup: Option<Disk>,
    operator: Operator,
    /// Whether there is an operator, and whether upstream's log has gaps.
    is_operated: bool,
    has_gaps: bool,
    weights: [u32; 4],
    /// How often hosts end, of 4 times that they could.
    violence: u32,
    report: Report,
    traced: bool,
}

/// Plays a seed from the first record to the audit. `traced`: the report tells every step.
pub fn play(seed: u64, mutation: Mutation, traced: bool) -> Report {
    let mut dice = Dice::seed_from_u64(seed);
    // Some schedules have a slow sink, others a slow commit or a slow reader.
    let weights = PARTS.map(|_| [1, 4, 12][dice.random_range(0..3)]);
    let violence = [2, 4, 4][dice.random_range(0..3)];
    let is_operated = dice.random_ratio(1, 2);
    let world = World::new(seed, mutation);
    // What is missing is mended by a snapshot, of which plain rows have none.
    let has_gaps = is_operated && dice.random_ratio(1, 4) && !world.topic.is_plain;
    let mut schedule = Schedule {
        dice,
        world: Arc::new(Mutex::new(world)),
        times: Arc::default(),
        hosts: Vec::new(),
        frozen: Vec::new(),
        backup: None,
        operator: Operator::default(),
        is_operated,
        has_gaps,
        weights,
        violence,
        report: Report::default(),
        traced,
    };
    let steps = schedule.dice.random_range(20..200);
    for _ in 0..steps {
        schedule.act();
    }
    schedule.drain();
    schedule.finish()
}

impl Schedule {
    fn tell(&mut self, text: impl FnOnce() -> String) {
        if self.traced {
            self.report.trace.push(text());
        }
    }

    fn count(&mut self, event: &'static str) {
        *self.report.events.entry(event).or_default() += 1;
        self.tell(|| event.to_string());
    }

    fn act(&mut self) {
        self.report.steps += 1;
        match self.dice.random_range(0..1000) {
            0..180 => {
                let now = self.times.now();
                let many = self.dice.random_range(1..3);
                let mut world = lock(&self.world);
                (0..many).for_each(|_| world.topic.write(now, self.has_gaps, &mut self.dice));
            }
            180..330 => self.pass(),
            330..357 if self.dice.random_ratio(self.violence, 4) => self.end_a_host(),
            357..363 => self.backup = Some(lock(&self.world).disk.clone()),
            363..369 => lock(&self.world).sink_away = self.dice.random_range(1..30),
            369..372 => lock(&self.world).store_away = self.dice.random_range(1..4),
            372..470 if self.is_operated => self.operate(),
            _ => self.step_any(),
        }
    }

    fn end_a_host(&mut self) {
        match self.dice.random_range(0..27) {
            0..12 => self.kill(),
            12..19 => self.second_host(),
            19..23 => self.lose_state(),
            _ => self.stop(),
        }
    }

    /// Time passes: mostly less than an epoch, sometimes long enough for windows to close.
    fn pass(&mut self) {
        let by: Micros = match self.dice.random_range(0..20) {
            0 => self.dice.random_range(1..10) * MINUTE,
            1..4 => self.dice.random_range(1..40) * 1_000_000,
            _ => self.dice.random_range(100..1600) * 1000,
        };
        self.times.advance(by);
        lock(&self.world).wall += by;
        self.tell(|| format!("{by} us pass"));
    }

    fn operate(&mut self) {
        let Some(at) = self.hosts.len().checked_sub(1) else { return };
        let host = &mut self.hosts[at];
        let number = host.number;
        let (now, world, dice) = (self.times.now(), &self.world, &mut self.dice);
        let happened = self.operator.act(&mut Desk { host, world, now, dice });
        let crashed = host.has_crashed();
        if self.traced {
            self.report.trace.push(format!("the operator asks {}", self.operator.asked()));
        }
        if let Some(event) = happened {
            self.count(event);
        }
        if crashed {
            self.count("died in a call");
            return self.remove(at);
        }
        // Mostly the host is asked to hurry.
        for _ in 0..self.dice.random_range(0..10) {
            for part in [Part::Compute, Part::Commit] {
                if self.hosts.get(at).is_some_and(|host| host.number == number) {
                    self.step(at, part);
                }
            }
        }
    }

    fn start(&mut self) {
        match Host::start(&self.world, &self.times) {
            Ok(host) => {
                self.tell(|| format!("host {} recovered", host.number));
                self.hosts.push(host);
            }
            Err(error) => {
                let number = lock(&self.world).hosts.len() - 1;
                lock(&self.world).crash(number);
                self.count("failed start");
                self.tell(|| format!("host {number}: {error}"));
            }
        }
    }

    fn step_any(&mut self) {
        if self.hosts.is_empty() {
            return self.start();
        }
        let at = match self.dice.random_ratio(4, 5) {
            true => self.hosts.len() - 1,
            false => self.dice.random_range(0..self.hosts.len()),
        };
        let mut pick = self.dice.random_range(0..self.weights.iter().sum());
        let part = PARTS.into_iter().zip(self.weights).find(|(_, weight)| {
            let found = pick < *weight;
            pick = pick.saturating_sub(*weight);
            found
        });
        let part = part.map_or(Part::Compute, |(part, _)| part);
        self.step(at, part);
    }

    /// A step of a host; a host that died or ended is gone. True if something changed.
    fn step(&mut self, at: usize, part: Part) -> bool {
        self.report.steps += 1;
        let host = &mut self.hosts[at];
        let number = host.number;
        let outcome = host.step(part);
        let crashed = host.has_crashed();
        self.tell(|| {
            format!("host {number} {part:?}: {outcome:?}{}", if crashed { ", and it died" } else { "" })
        });
        match outcome {
            Ok(changed) if !crashed => return changed,
            Ok(_) => {}
            Err(EngineError::Fenced(_)) if lock(&self.world).disk.owner != number => self.count("shut out"),
            Err(_) if crashed => {}
            Err(error) => {
                let text = format!("host {number} ended: {error}");
                lock(&self.world).breaches.push(text);
            }
        }
        if crashed {
            self.count("died in a call");
        }
        self.remove(at);
        true
    }

    fn remove(&mut self, at: usize) {
        let host = self.hosts.remove(at);
        lock(&self.world).crash(host.number);
    }

    /// Between two steps.
    fn kill(&mut self) {
        if !self.hosts.is_empty() {
            let at = self.dice.random_range(0..self.hosts.len());
            self.count("killed");
            self.remove(at);
        }
    }

    fn stop(&mut self) {
        let Some(at) = self.hosts.len().checked_sub(1) else { return };
        self.count("stopped");
        self.hosts[at].stop();
        let number = self.hosts[at].number;
        let is_there = |s: &Schedule| s.hosts.get(at).is_some_and(|h| h.number == number);
        for _ in 0..200 {
            if !is_there(self) {
                return;
            }
            if self.hosts[at].is_committed() {
                break;
            }
            self.step(at, Part::Compute);
            if is_there(self) {
                self.step(at, Part::Commit);
            }
        }
        // As long as patience lasts.
        for _ in 0..self.dice.random_range(0..10) {
            if is_there(self) {
                self.step(at, Part::Delivery);
            }
        }
        if is_there(self) {
            self.remove(at);
        }
    }

    /// Started by mistake, or to take over: the older one is shut out, and is told so by its next write.
    fn second_host(&mut self) {
        if !self.hosts.is_empty() && self.hosts.len() < 3 {
            self.count("second host");
            if self.frozen.is_empty() && self.dice.random_ratio(1, 2) {
                self.count("frozen");
                self.frozen = std::mem::take(&mut self.hosts);
            }
            self.start();
        }
    }

    /// The state is wiped, or replaced by an older copy.
    fn lose_state(&mut self) {
        self.hosts.append(&mut self.frozen);
        while !self.hosts.is_empty() {
            self.remove(0);
        }
        match self.backup.clone() {
            Some(backup) => {
                self.count("restored");
                lock(&self.world).disk.import(backup);
            }
            None => {
                self.count("wiped");
                lock(&self.world).disk = Disk::default();
            }
        }
    }

    /// Nothing fails any more: everything is read, computed and delivered, and then all windows close.
    fn drain(&mut self) {
        lock(&self.world).heal();
        self.operator.heal();
        let (mut closed, mut newest) = (0, None);
        for _ in 0..DRAIN_ROUNDS {
            if self.round() {
                continue;
            }
            // The one before did not know yet that it was shut out.
            let number = self.hosts.last().map(|host| host.number);
            if std::mem::replace(&mut newest, number) != number {
                closed = 0;
            }
            let by = match closed {
                _ if !self.is_at_rest() => 500_000,
                // Idle, so that every due row is emitted; then past the end of every window.
                0 => 40_000_000,
                1 => 2 * HOUR,
                2 => 2_000_000,
                _ => return self.thaw(),
            };
            closed += u32::from(by > 500_000);
            let durable = lock(&self.world).disk.epoch;
            self.tell(|| format!("{by} us pass after epoch {durable}"));
            self.times.advance(by);
        }
        lock(&self.world).breaches.push("it does not come to rest".into());
    }

    /// The newest host goes on as far as it can without time passing; true if that changed anything.
    fn round(&mut self) -> bool {
        if self.hosts.is_empty() {
            self.start();
            return true;
        }
        let mut changed = false;
        for part in PARTS {
            for _ in 0..ROUND {
                let Some(newest) = self.hosts.len().checked_sub(1) else { return true };
                let did = self.step(newest, part);
                changed |= did;
                if !did && part != Part::Reader {
                    break;
                }
            }
        }
        if self.hosts.len() > 1 {
            let at = self.dice.random_range(0..self.hosts.len() - 1);
            let part = PARTS[self.dice.random_range(0..4)];
            self.step(at, part);
        }
        changed
    }

    /// Whether everything is read, durable and delivered, and the operator has nothing to do or to wait for.
    fn is_at_rest(&mut self) -> bool {
        let Some(host) = self.hosts.last_mut() else { return false };
        let read = {
            let world = lock(&self.world);
            // A source that holds waits for its operator.
            has_read_all(&world, host.number) || world.hosts[host.number].holds
        };
        let (now, world, dice) = (self.times.now(), &self.world, &mut self.dice);
        read && host.is_committed()
            && host.is_delivered()
            && !self.operator.settle(&mut Desk { host, world, now, dice })
    }

    /// Hosts that stood still go on: they deliver what they hold, and then find out that they are shut out.
    fn thaw(&mut self) {
        for mut host in std::mem::take(&mut self.frozen) {
            let number = host.number;
            for turn in 0..60 {
                let part = if turn < 10 { Part::Delivery } else { PARTS[turn % 4] };
                let outcome = host.step(part);
                self.tell(|| format!("thawed host {number} {part:?}: {outcome:?}"));
                match outcome {
                    Ok(_) => {}
                    Err(EngineError::Fenced(_)) => {
                        self.count("shut out");
                        break;
                    }
                    Err(error) => {
                        let text = format!("host {number} ended: {error}");
                        lock(&self.world).breaches.push(text);
                        break;
                    }
                }
            }
        }
    }

    fn finish(self) -> Report {
        let mut world = lock(&self.world);
        let mut report = self.report;
        if self.traced {
            for (at, log) in world.topic.partitions.iter().enumerate() {
                let told = log.iter().map(|e| format!("partition {at}, offset {}: {:?}", e.offset, e.truth));
                report.trace.extend(told);
            }
            let epochs = world.tables.epochs.range(1..=world.disk.epoch);
            report.trace.extend(epochs.map(|(_, held)| format!("{:?}", held.row)));
        }
        report.audit = audit(&mut world, self.times.now());
        report.breaches = std::mem::take(&mut world.breaches);
        report.records = world.topic.partitions.iter().map(|p| p.len() as u64).sum();
        report.epochs = world.disk.epoch;
        report.calls = world.calls;
        report.computed = world.computed;
        report.hosts = world.hosts.len() as u64;
        std::mem::take(&mut world.events)
            .into_iter()
            .for_each(|(e, n)| *report.events.entry(e).or_default() += n);
        report.injected = std::mem::take(&mut world.injected);
        let failed = world.guests.failed();
        if failed > 0 {
            report.injected.insert((Point::Guest, Fault::Refused), failed);
        }
        report
    }
}
