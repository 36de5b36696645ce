//! Whoever runs the hosts: pushes metrics and mended versions, goes back to former ones, retires, and has row
//! tables rebuilt, by what the newest host says.

use crate::host::Host;
use crate::metrics::{NAMES, OF_ROWS, component};
use crate::ports::{Shared, has_told, lock};
use crate::topic::{PARTITIONS, Truth};
use crate::world::{Dice, Mutation};
use rand::Rng;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use weir_engine::protocol::{Command, Push, Redrive, Reply};
use weir_types::Micros;
use weir_types::control::{ControlError, Redriven, Resnapshot};
use weir_types::live::CatalogueEntry;
use weir_types::record::OwnedRecord;
use weir_types::rows::{DeadLetterRow, DeadOutcome};

type Answer<T> = Receiver<Result<T, ControlError>>;

/// Dead letters that are taken up at once, while things may fail.
const MANY: usize = 3;

/// What was asked, and where the answer comes.
enum Request {
    Settle(Push, Answer<()>),
    Join(Answer<Vec<CatalogueEntry>>),
    Retire(String, Answer<()>),
    Rebuild(Resnapshot, Answer<()>),
    Redrive(Answer<Vec<Redriven>>),
    Resume(Answer<()>),
}

impl std::fmt::Debug for Request {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Request::Settle(..) => write!(out, "a mended version, once all is settled"),
            Request::Join(_) => write!(out, "metrics that join"),
            Request::Retire(name, _) => write!(out, "{name} retires"),
            Request::Rebuild(step, _) => write!(out, "rebuild: {step:?}"),
            Request::Redrive(_) => write!(out, "dead letters are taken up"),
            Request::Resume(_) => write!(out, "the source goes on"),
        }
    }
}

/// How far the rebuild of the row table is, as the operator sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rebuild {
    #[default]
    None,
    /// It has begun, and upstream may send its snapshot.
    Begun,
    /// All of the snapshot is in the topic.
    Sent,
}

/// See the module.
#[derive(Default)]
pub struct Operator {
    /// The request that is under way, and the host that got it.
    asked: Option<(usize, Request)>,
    /// The newest version of any component that was pushed.
    version: u32,
    /// The versions of each metric, the one that runs last.
    versions: BTreeMap<&'static str, Vec<u32>>,
    rebuild: Rebuild,
    /// Where the newest snapshot ends in the topic.
    snapshot_ends: [i64; PARTITIONS],
    /// Whether a metric was pushed that may not know all rows.
    rows_joined: bool,
    /// Whether the table was rebuilt since nothing fails any more.
    rebuilt: bool,
}

/// Where an operator sits.
pub struct Desk<'a> {
    pub host: &'a mut Host,
    pub world: &'a Shared,
    pub now: Micros,
    pub dice: &'a mut Dice,
}

impl Desk<'_> {
    fn ask<T>(&mut self, command: impl FnOnce(Reply<T>) -> Command) -> Answer<T> {
        let (reply, answer) = sync_channel(1);
        self.host.send(command(reply));
        answer
    }

    fn holds(&self) -> bool {
        lock(self.world).hosts[self.host.number].holds
    }

    fn breach(&self, text: String) {
        lock(self.world).breaches.push(text);
    }
}

impl Operator {
    /// Does one thing; tells what happened, if anything did.
    pub fn act(&mut self, desk: &mut Desk<'_>) -> Option<&'static str> {
        match self.asked.take() {
            Some((host, request)) if host == desk.host.number => self.listen(request, desk),
            // The answer of a host that is gone never comes.
            _ => self.begin(desk),
        }
    }

    /// What is under way.
    pub fn asked(&self) -> String {
        match &self.asked {
            None => "nothing".into(),
            Some((host, request)) => format!("of host {host}: {request:?}"),
        }
    }

    fn listen(&mut self, request: Request, desk: &mut Desk<'_>) -> Option<&'static str> {
        let number = desk.host.number;
        match request {
            Request::Settle(push, answer) => match answer.try_recv() {
                Ok(Ok(())) => self.join(push, desk),
                Err(TryRecvError::Empty) => self.wait(number, Request::Settle(push, answer)),
                _ => None,
            },
            Request::Join(answer) => match answer.try_recv() {
                Ok(Ok(entries)) => Some(joined(&entries, desk)),
                Ok(Err(_)) => Some("push refused"),
                Err(TryRecvError::Empty) => self.wait(number, Request::Join(answer)),
                Err(TryRecvError::Disconnected) => None,
            },
            Request::Retire(name, answer) => match answer.try_recv() {
                Ok(Ok(())) => Some(retired(&name, desk)),
                Err(TryRecvError::Empty) => self.wait(number, Request::Retire(name, answer)),
                _ => None,
            },
            Request::Rebuild(step, answer) => match answer.try_recv() {
                Ok(outcome) => Some(self.rebuilds(step, outcome.is_ok())),
                Err(TryRecvError::Empty) => self.wait(number, Request::Rebuild(step, answer)),
                Err(TryRecvError::Disconnected) => None,
            },
            Request::Redrive(answer) => match answer.try_recv() {
                Ok(answers) => Some(redriven(&answers.unwrap_or_default())),
                Err(TryRecvError::Empty) => self.wait(number, Request::Redrive(answer)),
                Err(TryRecvError::Disconnected) => None,
            },
            Request::Resume(answer) => match answer.try_recv() {
                Ok(outcome) => Some(if outcome.is_ok() { "resumed" } else { "resume refused" }),
                Err(TryRecvError::Empty) => self.wait(number, Request::Resume(answer)),
                Err(TryRecvError::Disconnected) => None,
            },
        }
    }

    fn wait(&mut self, host: usize, request: Request) -> Option<&'static str> {
        self.asked = Some((host, request));
        None
    }

    fn begin(&mut self, desk: &mut Desk<'_>) -> Option<&'static str> {
        let catalogue = desk.host.catalogue();
        self.look_for_lost(&catalogue, desk);
        let stopped = catalogue.iter().find(|entry| entry.is_stopped());
        if let Some(entry) = stopped.filter(|_| desk.dice.random_ratio(3, 4)) {
            return self.mend(&entry.info.name, desk);
        }
        if desk.holds() && desk.dice.random_ratio(1, 2) {
            let accept_dead = desk.dice.random();
            return self.resume(accept_dead, desk);
        }
        if self.rebuild != Rebuild::None && desk.dice.random_ratio(1, 2) {
            return self.go_on_rebuilding(desk);
        }
        if desk.dice.random_ratio(1, 3) && self.redrive_some(desk) {
            return None;
        }
        match desk.dice.random_range(0..10) {
            0..3 => {
                let name = NAMES[desk.dice.random_range(0..NAMES.len())];
                self.version += 1;
                self.push(name, self.version + 1, desk)
            }
            3..5 if !catalogue.is_empty() => {
                let name = catalogue[desk.dice.random_range(0..catalogue.len())].info.name.clone();
                let answer = desk.ask(|reply| Command::Retire { name: name.clone(), reply });
                self.wait(desk.host.number, Request::Retire(name, answer))
            }
            // A snapshot of plain rows is a repeat of what their versions say.
            5..7 if lock(desk.world).topic.is_plain => None,
            5..7 => self.begin_rebuild(desk),
            _ => {
                let nth = desk.dice.random_range(1..15);
                lock(desk.world).guests.arm(nth);
                None
            }
        }
    }

    /// What a stopped metric misses is far from what may be kept for it.
    fn look_for_lost(&self, catalogue: &[CatalogueEntry], desk: &Desk<'_>) {
        let reasons = catalogue.iter().filter_map(|entry| Some((&entry.info.name, entry.reason.as_ref()?)));
        for (name, reason) in reasons.filter(|(_, reason)| reason.contains("no longer kept")) {
            desk.breach(format!("metric {name}: {reason}"));
        }
    }

    /// A stopped metric gets a new version, or the one before.
    fn mend(&mut self, name: &str, desk: &mut Desk<'_>) -> Option<&'static str> {
        let name = NAMES.into_iter().find(|known| *known == name)?;
        let versions = self.versions.entry(name).or_default();
        if versions.len() > 1 && desk.dice.random_ratio(1, 2) {
            versions.pop();
            let former = versions.pop().unwrap_or(1);
            let refused = self.push(name, former, desk);
            return if self.asked.is_some() { Some("went back to a former version") } else { refused };
        }
        self.version += 1;
        self.push(name, self.version + 1, desk)
    }

    fn push(&mut self, name: &'static str, version: u32, desk: &mut Desk<'_>) -> Option<&'static str> {
        match desk.host.push(component(&[name], version)) {
            Err(ControlError::Conflict(_)) => Some("push refused"),
            Err(_) => None,
            Ok(push) => {
                self.rows_joined |= OF_ROWS.contains(&name);
                self.versions.entry(name).or_insert_with(|| vec![1]).push(version);
                if !push.must_settle() {
                    return self.join(push, desk);
                }
                let answer = desk.ask(|reply| Command::Settle { reply });
                self.wait(desk.host.number, Request::Settle(push, answer))
            }
        }
    }

    fn join(&mut self, push: Push, desk: &mut Desk<'_>) -> Option<&'static str> {
        let answer = desk.ask(|reply| push.join(reply));
        self.wait(desk.host.number, Request::Join(answer))
    }

    /// Only when the snapshot before was read: its end would be taken for that of the new one.
    fn begin_rebuild(&mut self, desk: &mut Desk<'_>) -> Option<&'static str> {
        match has_told(&lock(desk.world), desk.host.number, &self.snapshot_ends) {
            true => self.ask_rebuild(Resnapshot::Begin, desk),
            false => None,
        }
    }

    fn ask_rebuild(&mut self, step: Resnapshot, desk: &mut Desk<'_>) -> Option<&'static str> {
        if step == Resnapshot::Begin {
            // Should the answer be lost, a snapshot of before is not taken for that of a rebuild that has begun.
            self.rebuild = Rebuild::None;
        }
        let answer = desk.ask(|reply| Command::Resnapshot { source: "ticket".into(), step, reply });
        self.wait(desk.host.number, Request::Rebuild(step, answer))
    }

    fn go_on_rebuilding(&mut self, desk: &mut Desk<'_>) -> Option<&'static str> {
        if self.rebuild == Rebuild::Begun && !desk.dice.random_ratio(1, 8) {
            return Some(self.send_snapshot(desk));
        }
        let cancels = self.rebuild == Rebuild::Begun || desk.dice.random_ratio(1, 4);
        self.ask_rebuild(if cancels { Resnapshot::Cancel } else { Resnapshot::Finish }, desk)
    }

    /// Upstream's connector sends the table. Where it marks the last read, nothing more is to be said.
    fn send_snapshot(&mut self, desk: &mut Desk<'_>) -> &'static str {
        let is_marked = desk.dice.random();
        let mut world = lock(desk.world);
        let lacks = world.mutation == Mutation::SnapshotLacksRow;
        world.topic.snapshot(desk.now, is_marked, lacks);
        self.snapshot_ends = world.topic.ends();
        let ends_itself = is_marked && !world.topic.rows.is_empty();
        (self.rebuild, self.rebuilt) =
            if ends_itself { (Rebuild::None, world.healed) } else { (Rebuild::Sent, false) };
        "snapshot sent"
    }

    fn rebuilds(&mut self, step: Resnapshot, is_done: bool) -> &'static str {
        self.rebuild = if is_done && step == Resnapshot::Begin { Rebuild::Begun } else { Rebuild::None };
        match step {
            _ if !is_done => "rebuild refused",
            Resnapshot::Begin => "rebuild begun",
            Resnapshot::Finish => "rebuild finished",
            Resnapshot::Cancel => "rebuild given up",
        }
    }

    fn resume(&mut self, accept_dead: bool, desk: &mut Desk<'_>) -> Option<&'static str> {
        let answer = desk.ask(|reply| Command::Resume { source: "ticket".into(), accept_dead, reply });
        self.wait(desk.host.number, Request::Resume(answer))
    }

    /// Some of the dead letters are taken up, whether they can be read by now or not.
    fn redrive_some(&mut self, desk: &mut Desk<'_>) -> bool {
        let mut letters = dead_letters(desk);
        while letters.len() > MANY {
            let at = desk.dice.random_range(0..letters.len());
            letters.swap_remove(at);
        }
        self.redrive(letters, desk)
    }

    /// False if there is none.
    fn redrive(&mut self, letters: Vec<Redrive>, desk: &mut Desk<'_>) -> bool {
        if letters.is_empty() {
            return false;
        }
        let answer = desk.ask(|reply| Command::Redrive { records: letters, reply });
        self.asked = Some((desk.host.number, Request::Redrive(answer)));
        true
    }

    /// From now on nothing fails; what was asked before may be lost.
    pub fn heal(&mut self) {
        self.asked = None;
        self.rebuild = Rebuild::None;
    }

    /// Once nothing fails any more: mends what has stopped, and has the table rebuilt if rows may be missing
    /// in it. True while there is something to do or to wait for.
    pub fn settle(&mut self, desk: &mut Desk<'_>) -> bool {
        if let Some((host, request)) = self.asked.take()
            && host == desk.host.number
        {
            let is_end = matches!(request, Request::Rebuild(Resnapshot::Finish, _));
            let happened = self.listen(request, desk);
            self.rebuilt |= is_end && happened == Some("rebuild finished");
            happened.into_iter().for_each(|event| lock(desk.world).count(event));
            return true;
        }
        if desk.holds() {
            self.resume(true, desk);
            return true;
        }
        let catalogue = desk.host.catalogue();
        self.look_for_lost(&catalogue, desk);
        // What others are derived from goes first.
        let stopped = catalogue.iter().filter(|entry| entry.is_stopped());
        if let Some(entry) = stopped.min_by_key(|entry| entry.info.is_derived()) {
            self.mend(&entry.info.name, desk);
            return true;
        }
        if catalogue.iter().any(|entry| entry.status != "live") {
            return true;
        }
        let mut letters = dead_letters(desk);
        letters.retain(|one| is_mended(one, desk));
        if !letters.is_empty() && lock(desk.world).hosts[desk.host.number].rebuilds {
            // Nobody goes on with a rebuild of before, and letters wait for its end.
            self.ask_rebuild(Resnapshot::Cancel, desk);
            return true;
        }
        if self.redrive(letters, desk) {
            return true;
        }
        if lock(desk.world).topic.is_plain {
            // All rows are remembered, whoever asks for them.
            return false;
        }
        let has_rows = catalogue.iter().any(|entry| OF_ROWS.contains(&entry.info.name.as_str()));
        if self.rebuilt || !has_rows || !(self.rows_joined || lock(desk.world).topic.untold > 0) {
            return false;
        }
        match self.rebuild {
            Rebuild::None => drop(self.begin_rebuild(desk)),
            Rebuild::Begun => drop(self.send_snapshot(desk)),
            Rebuild::Sent => drop(self.ask_rebuild(Resnapshot::Finish, desk)),
        }
        true
    }
}

/// The dead letters that ClickHouse has, each with its record as it is to be read.
fn dead_letters(desk: &Desk<'_>) -> Vec<Redrive> {
    let world = lock(desk.world);
    let dead = world.tables.dead.values().map(|held| &held.row);
    let redrive = |letter: &DeadLetterRow| {
        let entry = world.topic.entry(letter.partition.partition as usize, letter.offset)?;
        let bytes = |text: &Option<String>| text.clone().map(String::into_bytes);
        let value = bytes(if entry.meant.is_some() { &entry.meant } else { &entry.value });
        let record = OwnedRecord { key: bytes(&entry.key), value, ..OwnedRecord::default() };
        Some(Redrive { letter: letter.clone(), record })
    };
    dead.filter(|letter| letter.outcome == DeadOutcome::Dead).filter_map(redrive).collect()
}

/// Whether a dead letter can be read by now.
fn is_mended(one: &Redrive, desk: &Desk<'_>) -> bool {
    let world = lock(desk.world);
    let entry = world.topic.entry(one.letter.partition.partition as usize, one.letter.offset);
    entry.is_some_and(|entry| matches!(entry.truth, Truth::Garbled(_)))
}

fn redriven(answers: &[Redriven]) -> &'static str {
    let any = |name: &str| answers.iter().any(|answer| answer.name() == name);
    match () {
        () if any("applied") => "redriven",
        () if any("dead") => "redriven in vain",
        () => "redrive refused",
    }
}

/// A push was answered: it must be durable.
fn joined(entries: &[CatalogueEntry], desk: &Desk<'_>) -> &'static str {
    let metrics = lock(desk.world).disk.metrics.clone();
    let is_there = |e: &&CatalogueEntry| {
        metrics.get(&e.info.name).is_some_and(|m| (m.incarnation, &m.digest) == (e.incarnation, &e.digest))
    };
    if let Some(entry) = entries.iter().find(|e| !is_there(e)) {
        desk.breach(format!("metric {} is said to have joined, and is not durable", entry.info.name));
    }
    match entries.iter().all(|e| e.status == "live") {
        true => "joined",
        false => "mended",
    }
}

/// A retirement was answered: it must be durable.
fn retired(name: &str, desk: &Desk<'_>) -> &'static str {
    if lock(desk.world).disk.metrics.contains_key(name) {
        desk.breach(format!("metric {name} is said to be retired, and that is not durable"));
    }
    "retired"
}
