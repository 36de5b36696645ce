//! Whoever runs the hosts: pushes metrics and mended versions, goes back to former ones, retires, and has row
//! tables rebuilt, by what the newest host says.

use crate::host::Host;
use crate::metrics::{NAMES, OF_ROWS, component};
use crate::ports::{Shared, has_told, lock};
use crate::topic::PARTITIONS;
use crate::world::{Dice, Mutation};
use rand::Rng;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use weir_engine::protocol::{Command, Push, Reply};
use weir_types::Micros;
use weir_types::control::{ControlError, Resnapshot};
use weir_types::live::CatalogueEntry;

type Answer<T> = Receiver<Result<T, ControlError>>;

/// What was asked, and where the answer comes.
enum Request {
    Settle(Push, Answer<()>),
    Join(Answer<Vec<CatalogueEntry>>),
    Retire(String, Answer<()>),
    Rebuild(Resnapshot, Answer<()>),
}

impl std::fmt::Debug for Request {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Request::Settle(..) => write!(out, "a mended version, once all is settled"),
            Request::Join(_) => write!(out, "metrics that join"),
            Request::Retire(name, _) => write!(out, "{name} retires"),
            Request::Rebuild(step, _) => write!(out, "rebuild: {step:?}"),
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
        if self.rebuild != Rebuild::None && desk.dice.random_ratio(1, 2) {
            return self.go_on_rebuilding(desk);
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
            return true;
        }
        let catalogue = desk.host.catalogue();
        self.look_for_lost(&catalogue, desk);
        if let Some(entry) = catalogue.iter().find(|entry| entry.is_stopped()) {
            self.mend(&entry.info.name, desk);
            return true;
        }
        if catalogue.iter().any(|entry| entry.status != "live") {
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
