//! What outlives a host, what fails by chance, and what was noticed on the way.

use crate::disk::Disk;
use crate::metrics::INITIAL;
use crate::tables::Tables;
use crate::topic::{PARTITIONS, Topic};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use weir_types::Micros;
use weir_types::contract::GuestError;
use weir_types::record::{SourceEvent, TopicPartition};
use weir_types::rows::Outbox;

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
    /// ClickHouse keeps the first pointer of a metric, so that its views never show another incarnation.
    PointerStays,
    /// A component takes every state for one of its own version.
    StateVersionIgnored,
    /// The reader of a metric that catches up leaves out the first record.
    CatchUpSkips,
    /// Upstream's snapshot lacks a row.
    SnapshotLacksRow,
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
    /// A call into a metric.
    Guest,
}

impl Point {
    pub const ALL: [Point; 17] = [
        Point::Get,
        Point::Scan,
        Point::Write,
        Point::PutBlob,
        Point::GetBlob,
        Point::Claim,
        Point::Load,
        Point::Prepare,
        Point::FindGeneration,
        Point::PrepareMetric,
        Point::Insert,
        Point::TakeBack,
        Point::Read,
        Point::Publish,
        Point::Tell,
        Point::Acknowledge,
        Point::Guest,
    ];

    /// What it reaches.
    fn place(self) -> Place {
        use Point::*;
        match self {
            Get | Scan | Write | PutBlob | GetBlob | Claim => Place::Store,
            Prepare | FindGeneration | PrepareMetric | Insert | TakeBack => Place::Sink,
            Load | Read | Publish | Tell | Acknowledge => Place::Host,
            Guest => Place::Guest,
        }
    }

    /// Whether a call can do what it is to do and be reported as failed.
    fn changes(self) -> bool {
        use Point::*;
        matches!(self, Write | PutBlob | Claim | Prepare | PrepareMetric | Insert | TakeBack)
    }

    fn is_read(self) -> bool {
        matches!(self, Point::Get | Point::Scan | Point::GetBlob)
    }

    /// Whether a fault can befall a call.
    pub fn can(self, fault: Fault) -> bool {
        let (place, in_parts) = (self.place(), self == Point::Insert);
        match fault {
            Fault::None | Fault::Dead => false,
            Fault::Refused => place != Place::Host,
            Fault::Unknown => self.changes(),
            Fault::Part | Fault::CrashPart => in_parts,
            Fault::CrashBefore | Fault::CrashAfter => place != Place::Guest,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Store,
    Sink,
    /// The host itself, or what never fails.
    Host,
    Guest,
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
    /// All that is injected.
    pub const ALL: [Fault; 6] = [
        Fault::Refused,
        Fault::Unknown,
        Fault::Part,
        Fault::CrashBefore,
        Fault::CrashPart,
        Fault::CrashAfter,
    ];

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
        Rates { refused: one(100), unknown: one(60), part: one(150), crash: one(40) }
    }
}

/// A reader, as the broker sees it. The first one of a host is the shard's, the others are those of metrics
/// that catch up.
pub struct Reading {
    pub id: u64,
    pub events: SyncSender<SourceEvent>,
    /// Index into the log of each partition, once it has joined.
    pub places: [Option<usize>; PARTITIONS],
    /// Whether a partition was read before.
    pub known: [bool; PARTITIONS],
    /// The offset at which each partition begins.
    pub starts: [i64; PARTITIONS],
    /// Whether the end of a partition was told after its last record.
    pub ended: [bool; PARTITIONS],
    /// Whether nothing of a partition is given until the engine says where to go on, and where that is.
    pub held: [bool; PARTITIONS],
    pub seeks: [Option<i64>; PARTITIONS],
    pub troubled: bool,
}

/// What the metric table says of one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub incarnation: i64,
    pub digest: String,
    pub status: String,
}

/// The metrics of a host that are not retired, by name.
pub type Listing = Arc<BTreeMap<String, Listed>>;

/// What the sandboxes of all hosts share.
#[derive(Debug)]
pub struct Guests {
    /// Calls until one fails; 0 = none does.
    trap: AtomicU32,
    failed: AtomicU64,
    /// With [`Mutation::StateVersionIgnored`].
    pub forgets_versions: bool,
}

impl Guests {
    fn new(mutation: Mutation) -> Guests {
        let forgets_versions = mutation == Mutation::StateVersionIgnored;
        Guests { trap: AtomicU32::new(0), failed: AtomicU64::new(0), forgets_versions }
    }

    /// From the nth call on, one call fails.
    pub fn arm(&self, nth: u32) {
        self.trap.store(nth, Ordering::Relaxed);
    }

    /// A call into a guest.
    pub fn call(&self) -> Result<(), GuestError> {
        let left = self.trap.load(Ordering::Relaxed);
        if left == 0 {
            return Ok(());
        }
        self.trap.store(left - 1, Ordering::Relaxed);
        if left > 1 {
            return Ok(());
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        Err(GuestError::Trap("unreachable".into()))
    }

    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// What the world knows of one host.
#[derive(Default)]
pub struct Known {
    pub crashed: bool,
    /// Whether it says that its source holds.
    pub holds: bool,
    /// Whether it says that it rebuilds the row table.
    pub rebuilds: bool,
    pub readings: Vec<Reading>,
    /// Readers that it has opened so far.
    pub readers: u64,
    /// The metrics of the epochs that it has computed and that may not be durable yet.
    pub listed: VecDeque<(u64, Listing)>,
    /// Epochs that wait for delivery, as it told last.
    pub waiting: u64,
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
    /// Calls of hosts to the outside, and what was injected where, how often.
    pub calls: u64,
    /// Epochs that hosts have computed; not all of them become durable.
    pub computed: u64,
    pub injected: BTreeMap<(Point, Fault), u64>,
    /// What was noticed of hosts, how often.
    pub events: BTreeMap<&'static str, u64>,
    pub guests: Arc<Guests>,
    /// Which metrics are there from the beginning.
    pub initial: usize,
    /// Whether hosts keep few slots in memory.
    pub few_hot_slots: bool,
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
            initial: dice.random_range(0..INITIAL.len()),
            healed: false,
            mutation,
            topic: Topic::new(dice.random_ratio(1, 3), dice.random_ratio(1, 3), dice.random_ratio(1, 8)),
            few_hot_slots: dice.random_ratio(1, 3),
            dice,
            disk: Disk::default(),
            tables: Tables::default(),
            sink_away: 0,
            store_away: 0,
            hosts: Vec::new(),
            breaches: Vec::new(),
            calls: 0,
            computed: 0,
            injected: BTreeMap::new(),
            events: BTreeMap::new(),
            guests: Arc::new(Guests::new(mutation)),
            wall: BEGIN,
        }
    }

    /// From now on nothing fails.
    pub fn heal(&mut self) {
        self.healed = true;
        self.rates = Rates::default();
        (self.sink_away, self.store_away) = (0, 0);
        self.guests.arm(0);
    }

    pub fn count(&mut self, event: &'static str) {
        *self.events.entry(event).or_default() += 1;
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
        self.calls += 1;
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
        let away = match point.place() {
            Place::Sink => &mut self.sink_away,
            Place::Store => &mut self.store_away,
            Place::Host | Place::Guest => &mut 0,
        };
        if *away > 0 {
            *away -= 1;
            return Fault::Refused;
        }
        let at = self.dice.random_range(0..1000);
        let mut upto = 0;
        let mut falls = |rate: u32| {
            upto += rate;
            at < upto && at >= upto - rate
        };
        let Rates { refused, unknown, part, crash } = self.rates;
        let errors = [(refused, Fault::Refused), (unknown, Fault::Unknown), (part, Fault::Part)];
        if let Some((_, fault)) = errors.into_iter().find(|(rate, _)| falls(*rate)) {
            // A start reads so often that it would hardly ever be through.
            let falls = point.can(fault) && (!point.is_read() || self.dice.random_ratio(1, 3));
            return if falls { fault } else { Fault::None };
        }
        if !falls(crash) {
            return Fault::None;
        }
        match self.dice.random_range(0..3) {
            0 if point.can(Fault::CrashPart) => Fault::CrashPart,
            0 | 1 => Fault::CrashBefore,
            _ => Fault::CrashAfter,
        }
    }

    /// A host loses everything that it holds.
    pub fn crash(&mut self, host: usize) {
        self.hosts[host].crashed = true;
        self.hosts[host].readings.clear();
        self.hosts[host].pretended.clear();
        if self.disk.owner == host {
            self.disk.crash();
        }
    }
}
