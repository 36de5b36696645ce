//! What outlives a host, what fails by chance, and what was noticed on the way.

use crate::disk::Disk;
use crate::tables::Tables;
use crate::topic::Topic;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use weir_types::record::{SourceEvent, TopicPartition};
use weir_types::rows::Outbox;
use weir_types::{Micros, ports};

pub type Dice = SmallRng;

/// 2026-11-23T23:00:00Z: schedules cross a day.
const BEGIN: Micros = 1_795_474_800_000_000;

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach(pub String);

/// A part of the world that does not do its duty, to see that the auditor notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutation {
    #[default]
    None,
    /// ClickHouse keeps the row that came last, whatever its version.
    VersionIgnored,
    /// Offsets are noted before the outbox: that comes with the next write.
    OutboxAfterOffsets,
    /// Rows count as delivered before they are inserted.
    DeliveryBeforeInsert,
    /// A store that lets an older host write on.
    NoFence,
}

/// Where a host touches the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    Get,
    Scan,
    Write,
    PutBlob,
    GetBlob,
    Claim,
    Load,
    Prepare,
    FindGeneration,
    PrepareMetric,
    Insert,
    TakeBack,
    Read,
    Publish,
    Tell,
    Acknowledge,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// None: it is carried out.
    None,
    /// Nothing is done, and an error comes back.
    Refused,
    /// It is done, and an error comes back.
    Unknown,
    /// Part of it is done, and an error comes back.
    Part,
    /// The host dies before it is done, in the middle of it, or after it.
    CrashBefore,
    CrashPart,
    CrashAfter,
    /// The host is dead already.
    Dead,
}

impl Fault {
    pub fn is_done(self) -> bool {
        matches!(self, Fault::None | Fault::Unknown | Fault::CrashAfter)
    }
    pub fn is_partial(self) -> bool {
        matches!(self, Fault::Part | Fault::CrashPart)
    }
}

/// How often what fails, of a thousand calls; drawn anew for each schedule, so that some know only crashes
/// and some only errors.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    pub refused: u32,
    pub unknown: u32,
    pub part: u32,
    pub crash: u32,
}

impl Rates {
    pub fn drawn(dice: &mut Dice) -> Rates {
        let mut one = |most: u32| if dice.random_ratio(1, 3) { 0 } else { dice.random_range(1..=most) };
        Rates { refused: one(100), unknown: one(60), part: one(150), crash: one(25) }
    }
}

/// A reader, as the broker sees it.
pub struct Reading {
    pub events: SyncSender<SourceEvent>,
    /// Index into the log of each partition, once it has joined.
    pub places: Vec<Option<usize>>,
    pub starts: BTreeMap<TopicPartition, ports::StartAt>,
    /// Whether the end of a partition was told after its last record.
    pub ended: Vec<bool>,
    pub troubled: bool,
}

/// What the world knows of one host.
#[derive(Default)]
pub struct Known {
    pub crashed: bool,
    pub reading: Option<Reading>,
    /// Epoch and next offsets of its newest publication.
    pub published: Option<(u64, BTreeMap<TopicPartition, i64>)>,
    /// The generation that it inserts under, and the newest epoch that was acknowledged to it.
    pub generation: Option<u64>,
    pub delivered: Option<u64>,
    /// With [`Mutation::DeliveryBeforeInsert`]: rows that count as inserted.
    pub pretended: VecDeque<(u64, Outbox)>,
}

/// See the module.
pub struct World {
    pub dice: Dice,
    pub rates: Rates,
    /// Nothing fails any more.
    pub healed: bool,
    pub mutation: Mutation,
    pub topic: Topic,
    pub disk: Disk,
    pub tables: Tables,
    /// Calls for which ClickHouse stays away; the store.
    pub sink_away: u32,
    pub store_away: u32,
    pub hosts: Vec<Known>,
    pub breaches: Vec<String>,
    /// What was injected where, how often.
    pub injected: BTreeMap<(Point, Fault), u64>,
    /// The wall clock by which incarnations are numbered.
    pub wall: Micros,
}

/// The clocks, read without the world's lock.
#[derive(Debug)]
pub struct Times {
    clock: AtomicI64,
    /// Microseconds.
    monotonic: AtomicU64,
}

impl Times {
    pub fn new() -> Times {
        Times { clock: AtomicI64::new(BEGIN), monotonic: AtomicU64::new(0) }
    }
    pub fn now(&self) -> Micros {
        self.clock.load(Ordering::Relaxed)
    }
    pub fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic.load(Ordering::Relaxed))
    }
    pub fn advance(&self, by: Micros) {
        self.clock.fetch_add(by, Ordering::Relaxed);
        self.monotonic.fetch_add(by as u64, Ordering::Relaxed);
    }
}

impl Default for Times {
    fn default() -> Self {
        Times::new()
    }
}

impl World {
    pub fn new(seed: u64, mutation: Mutation) -> World {
        let mut dice = Dice::seed_from_u64(seed ^ 0x5eed);
        World {
            rates: Rates::drawn(&mut dice),
            dice,
            healed: false,
            mutation,
            topic: Topic::default(),
            disk: Disk::default(),
            tables: Tables::default(),
            sink_away: 0,
            store_away: 0,
            hosts: Vec::new(),
            breaches: Vec::new(),
            injected: BTreeMap::new(),
            wall: BEGIN,
        }
    }

    /// From now on nothing fails.
    pub fn heal(&mut self) {
        self.healed = true;
        self.rates = Rates::default();
        (self.sink_away, self.store_away) = (0, 0);
    }

    pub fn note(&mut self, outcome: Result<(), Breach>) {
        if let Err(Breach(text)) = outcome {
            self.breaches.push(text);
        }
    }

    /// Draws what becomes of a call.
    pub fn fault(&mut self, host: usize, point: Point) -> Fault {
        if self.hosts[host].crashed {
            return Fault::Dead;
        }
        let fault = self.drawn(point);
        if fault != Fault::None {
            *self.injected.entry((point, fault)).or_default() += 1;
        }
        if matches!(fault, Fault::CrashBefore | Fault::CrashPart | Fault::CrashAfter) {
            self.crash(host);
        }
        fault
    }

    fn drawn(&mut self, point: Point) -> Fault {
        use Point::*;
        let away = match point {
            Prepare | FindGeneration | PrepareMetric | Insert | TakeBack => &mut self.sink_away,
            Get | Scan | Write | PutBlob | GetBlob | Claim => &mut self.store_away,
            Load | Read | Publish | Tell | Acknowledge => &mut 0,
        };
        if *away > 0 {
            *away -= 1;
            return Fault::Refused;
        }
        let can_fail = !matches!(point, Load | Read | Publish | Tell | Acknowledge);
        let changes = matches!(point, Write | PutBlob | Claim | Prepare | PrepareMetric | Insert | TakeBack);
        let at = self.dice.random_range(0..1000);
        let mut upto = 0;
        let mut falls = |rate: u32, can: bool| {
            upto += rate;
            can && at < upto && at >= upto - rate
        };
        let Rates { refused, unknown, part, crash } = self.rates;
        if falls(refused, can_fail) {
            return Fault::Refused;
        }
        if falls(unknown, can_fail && changes) {
            return Fault::Unknown;
        }
        if falls(part, point == Insert) {
            return Fault::Part;
        }
        if !falls(crash, true) {
            return Fault::None;
        }
        match self.dice.random_range(0..3) {
            0 if point == Insert => Fault::CrashPart,
            0 | 1 => Fault::CrashBefore,
            _ => Fault::CrashAfter,
        }
    }

    /// A host loses everything that it holds.
    pub fn crash(&mut self, host: usize) {
        self.hosts[host].crashed = true;
        self.hosts[host].reading = None;
        self.hosts[host].pretended.clear();
        if self.disk.owner == host {
            self.disk.crash();
        }
    }
}
