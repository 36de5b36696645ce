//! The life of a service centre in row changes: linked life cycles of tickets and calls, the same for
//! the same seed.
//!
//! Everything runs on event time in milliseconds. A change is *committed* (`at`) up to three seconds
//! after it *happened* (`updated_at`), so the rows come out of order; the changes of one row never do.
//! Rows that are finished are forgotten, so memory holds only what lives.

pub mod call;
pub mod ticket;
pub(crate) mod world;

use crate::dice::Dice;
use call::Call;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use ticket::Ticket;
use world::{PEAK, World};

/// Changes of a ticket and of a call on average, deletes included: with them a wanted rate of changes
/// becomes a rate of arrivals. A test holds them to the truth.
const CHANGES_PER_TICKET: f64 = 8.3;
const CHANGES_PER_CALL: f64 = 6.4;
/// The share of all changes that are changes of tickets.
const TICKET_SHARE: f64 = 0.45;
/// Rows that are alive at the start, at most about so many: a snapshot should fit any broker.
const STANDING_MAX: f64 = 4_000.0;
const WARM_UP_MAX_S: f64 = 3.0 * 3_600.0;

/// How the life runs.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    /// When it begins, on the clock, in milliseconds.
    pub start_ms: i64,
    /// Changes a second of the clock, on average over a day.
    pub changes_per_second: f64,
    pub queues: usize,
    pub agents: usize,
    /// Tickets that have been waiting for hours or days when the life begins.
    pub old_tickets: usize,
    /// No row is mended long after, and no reply is noted later than given.
    pub punctual: bool,
}

impl Options {
    /// 50 queues and 500 agents, who do mend old rows.
    pub fn new(seed: u64, start_ms: i64, changes_per_second: f64) -> Options {
        Options {
            seed,
            start_ms,
            changes_per_second,
            queues: 50,
            agents: 500,
            old_tickets: 300,
            punctual: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    Ticket(Ticket),
    Call(Call),
}

impl Row {
    pub fn id(&self) -> i64 {
        match self {
            Row::Ticket(row) => row.id,
            Row::Call(row) => row.id,
        }
    }
    pub fn updated_at(&self) -> i64 {
        match self {
            Row::Ticket(row) => row.updated_at,
            Row::Call(row) => row.updated_at,
        }
    }
    pub fn table(&self) -> &'static str {
        match self {
            Row::Ticket(_) => "ticket",
            Row::Call(_) => "call_record",
        }
    }
}

/// One change of one row. Without `before` an insert, without `after` a delete; if the ids differ, the
/// primary key was changed.
#[derive(Clone, Debug)]
pub struct RowChange {
    /// When it is committed, on the clock. Never before `updated_at`, at most three seconds after it.
    pub at: i64,
    pub before: Option<Row>,
    pub after: Option<Row>,
    /// The row was mended by hand: such rows may break the rules that all others keep.
    pub correction: bool,
}

/// What follows a step.
#[derive(Clone, Copy, Debug)]
pub struct Next<S> {
    pub step: S,
    /// Milliseconds from now.
    pub after: i64,
}

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<S> {
    pub deleted: bool,
    pub correction: bool,
    /// None: nothing will happen to this row any more.
    pub next: Option<Next<S>>,
}

#[derive(Clone, Debug)]
enum Being {
    Ticket(Ticket, ticket::Step),
    Call(Call, call::Step),
}

/// An endless sequence of row changes, in order of commit.
#[derive(Debug)]
pub struct Life {
    world: World,
    dice: Dice,
    /// (commit time, number of the plan, place in `beings`): what happens next comes first.
    plan: BinaryHeap<Reverse<(i64, u64, usize)>>,
    planned: u64,
    beings: Vec<Option<Being>>,
    free: Vec<usize>,
    next_arrival: i64,
    arrivals_per_ms: f64,
    ticket_arrivals: f64,
    ticket_id: i64,
    call_id: i64,
    standing: Vec<Row>,
    punctual: bool,
}

impl Life {
    /// Lives unseen for a while first, so that there is something at the start: see [`Life::standing`].
    pub fn new(options: &Options) -> Life {
        let tickets = options.changes_per_second * TICKET_SHARE / CHANGES_PER_TICKET;
        let calls = options.changes_per_second * (1.0 - TICKET_SHARE) / CHANGES_PER_CALL;
        let warm_up_s = (STANDING_MAX / (tickets + calls)).min(WARM_UP_MAX_S);
        let begin = options.start_ms - (warm_up_s * 1_000.0) as i64;
        let mut life = Life {
            world: World::new(options.seed, options.queues, options.agents),
            dice: Dice::new(options.seed).fork(1),
            plan: BinaryHeap::new(),
            planned: 0,
            beings: Vec::new(),
            free: Vec::new(),
            next_arrival: begin,
            arrivals_per_ms: (tickets + calls) / 1_000.0,
            ticket_arrivals: 100.0 * tickets / (tickets + calls),
            ticket_id: 0,
            call_id: 0,
            standing: Vec::new(),
            punctual: options.punctual,
        };
        for _ in 0..options.old_tickets {
            life.ticket_id += 1;
            let (ticket, step) = Ticket::standing(life.ticket_id, begin, &mut life.dice, &life.world);
            let at = options.start_ms + life.dice.between(0, 3_600_000);
            life.add(Being::Ticket(ticket, step), at);
        }
        life.next_arrival = life.arrival_after(begin);
        while life.next_at() < options.start_ms {
            life.next_change();
        }
        life.standing = life.beings.iter().flatten().filter_map(Being::row_if_inserted).collect();
        life.standing.sort_by_key(|row| (row.table(), row.id()));
        life
    }

    /// The rows of the database at the start: what a snapshot finds.
    pub fn standing(&self) -> &[Row] {
        &self.standing
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    /// Rows that something will still happen to.
    pub fn alive(&self) -> usize {
        self.plan.len()
    }

    /// When the next change is committed.
    pub fn next_at(&self) -> i64 {
        let planned = self.plan.peek().map_or(i64::MAX, |Reverse((at, _, _))| *at);
        planned.min(self.next_arrival)
    }

    /// The next change, in order of commit.
    pub fn next_change(&mut self) -> RowChange {
        loop {
            let due = self.plan.peek().map_or(i64::MAX, |Reverse((at, _, _))| *at);
            if self.next_arrival <= due {
                self.arrive();
                continue;
            }
            let Some(Reverse((at, _, place))) = self.plan.pop() else { continue };
            if let Some(being) = self.beings[place].take() {
                self.free.push(place);
                return self.happen(being, at);
            }
        }
    }

    fn happen(&mut self, being: Being, at: i64) -> RowChange {
        match being {
            Being::Ticket(row, step) => {
                let step = if self.punctual { step.punctual() } else { step };
                let insert = step == ticket::Step::Create;
                let time = if insert { row.updated_at } else { self.event_time(at, row.updated_at) };
                let mut after = row.clone();
                let outcome = after.step(step, time, &mut self.dice, &self.world);
                if let Some(next) = outcome.next {
                    self.add(Being::Ticket(after.clone(), next.step), at + next.after.max(50));
                }
                change(at, insert, outcome.deleted, outcome.correction, Row::Ticket(row), Row::Ticket(after))
            }
            Being::Call(row, step) => {
                let step = if self.punctual { step.punctual() } else { step };
                let insert = step == call::Step::Start;
                let time = if insert { row.updated_at } else { self.event_time(at, row.updated_at) };
                let mut after = row.clone();
                let outcome = after.step(step, time, &mut self.dice, &self.world);
                if let Some(next) = outcome.next {
                    self.add(Being::Call(after.clone(), next.step), at + next.after.max(50));
                }
                if step == call::Step::Transfer {
                    self.call_id += 1;
                    let row = Call::transferred(&after, self.call_id, time, &mut self.dice, &self.world);
                    self.add(Being::Call(row, call::Step::Start), at);
                }
                change(at, insert, outcome.deleted, outcome.correction, Row::Call(row), Row::Call(after))
            }
        }
    }

    /// When a change committed at `at` happened: mostly just before, sometimes up to three seconds, and
    /// always after the row's last change.
    fn event_time(&mut self, at: i64, last: i64) -> i64 {
        let delay = if self.dice.percent(25.0) { 3_001 } else { 40 };
        (at - self.dice.between(0, delay)).max(last + 1)
    }

    fn arrive(&mut self) {
        let at = self.next_arrival;
        let time = self.event_time(at, i64::MIN);
        if self.dice.percent(self.ticket_arrivals) {
            self.ticket_id += 1;
            let row = Ticket::new(self.ticket_id, time, &mut self.dice, &self.world);
            self.add(Being::Ticket(row, ticket::Step::Create), at);
        } else {
            self.call_id += 1;
            let row = Call::new(self.call_id, time, &mut self.dice, &self.world);
            self.add(Being::Call(row, call::Step::Start), at);
        }
        self.next_arrival = self.arrival_after(at);
    }

    /// The next arrival after `time`: drawn at the greatest rate, kept by the rate of its moment.
    fn arrival_after(&mut self, time: i64) -> i64 {
        let mean_ms = 1.0 / (self.arrivals_per_ms * PEAK);
        let mut at = time as f64;
        loop {
            at += -(1.0 - self.dice.share()).ln() * mean_ms;
            if self.dice.share() * PEAK < self.world.activity(at as i64) {
                return (at as i64).max(time);
            }
        }
    }

    fn add(&mut self, being: Being, at: i64) {
        let place = match self.free.pop() {
            Some(place) => {
                self.beings[place] = Some(being);
                place
            }
            None => {
                self.beings.push(Some(being));
                self.beings.len() - 1
            }
        };
        self.planned += 1;
        self.plan.push(Reverse((at, self.planned, place)));
    }
}

impl Being {
    /// None while the insert is still to come.
    fn row_if_inserted(&self) -> Option<Row> {
        match self {
            Being::Ticket(row, step) => (*step != ticket::Step::Create).then(|| Row::Ticket(row.clone())),
            Being::Call(row, step) => (*step != call::Step::Start).then(|| Row::Call(row.clone())),
        }
    }
}

fn change(at: i64, insert: bool, deleted: bool, correction: bool, before: Row, after: Row) -> RowChange {
    RowChange { at, before: (!insert).then_some(before), after: (!deleted).then_some(after), correction }
}

#[cfg(test)]
mod tests;
