//! The life of a service centre in row changes: linked life cycles of tickets, calls, IM sessions, agents
//! and surveys, the same for the same seed.
//!
//! Everything runs on event time in milliseconds. A change is *committed* (`at`) up to three seconds
//! after it *happened* (`updated_at`), so the rows come out of order; the changes of one row never do.
//! Rows that are finished are forgotten, so memory holds only what lives.

pub mod agent;
mod beings;
pub mod call;
pub mod lookup;
pub mod session;
pub mod survey;
pub mod ticket;
pub(crate) mod world;

use crate::dice::Dice;
pub use crate::row::Row;
use beings::Being;
use call::Call;
use lookup::Lookups;
use session::Session;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use survey::Survey;
use ticket::Ticket;
use world::World;

/// Changes that an arrival brings on average, those of its surveys and agents and its delete included:
/// with it a wanted rate of changes becomes a rate of arrivals. A test holds it to the truth.
const CHANGES_PER_ARRIVAL: f64 = 7.6;
/// In percent of the arrivals; the rest are IM sessions.
const TICKETS: f64 = 40.0;
const CALLS: f64 = 36.0;
/// One change in so many is a clerk's: names, teams, slots, queues of agents.
const CLERK_EVERY: f64 = 150.0;
/// Rows that are alive at the start, at most about so many: a snapshot should fit any broker.
const STANDING_MAX: f64 = 4_000.0;
const WARM_UP_MAX_S: f64 = 3.0 * 3_600.0;
/// Ids of tickets, calls, sessions and surveys begin here; what ended before the life has lower ones.
const FIRST_ID: i64 = 1_000_000;

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

fn next<S>(step: S, after: i64) -> Option<Next<S>> {
    Some(Next { step, after })
}

/// What a step did to the agent who handles the contact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contact {
    #[default]
    Same,
    /// Given to this agent, or to a partner.
    Take(Option<i64>),
    /// Over, but to be written about.
    Wrap,
    /// Done with; the flag says whether [`Contact::Wrap`] came before.
    Free(bool),
    /// Rang without an answer.
    Miss,
}

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<S> {
    pub deleted: bool,
    pub correction: bool,
    pub contact: Contact,
    /// The customer may be asked how it was.
    pub survey: bool,
    /// None: nothing will happen to this row any more.
    pub next: Option<Next<S>>,
}

impl<S> Default for Outcome<S> {
    fn default() -> Self {
        Outcome { deleted: false, correction: false, contact: Contact::Same, survey: false, next: None }
    }
}

/// An endless sequence of row changes, in order of commit.
#[derive(Debug)]
pub struct Life {
    world: World,
    lookups: Lookups,
    dice: Dice,
    /// What happens next comes first.
    plan: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    beings: Vec<Option<Being>>,
    free: Vec<usize>,
    next_arrival: i64,
    arrivals_per_ms: f64,
    clerk_every_ms: i64,
    ids: Ids,
    standing: Vec<Row>,
    /// The next change, made already: not everything that is planned changes a row.
    ready: RowChange,
    punctual: bool,
}

/// Commit time, number of the plan, place in `beings`, from the highest bits to the lowest: 48, 40 and 40 of
/// them, which is enough for ten thousand years, and compared at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Planned(u128);

impl Planned {
    const LOW: u128 = (1 << 40) - 1;

    fn new(at: i64, number: u64, place: usize) -> Planned {
        let at = u128::from(at.max(0) as u64);
        Planned((at << 80) | ((u128::from(number) & Planned::LOW) << 40) | (place as u128 & Planned::LOW))
    }

    fn at(self) -> i64 {
        (self.0 >> 80) as i64
    }

    fn place(self) -> usize {
        (self.0 & Planned::LOW) as usize
    }
}

/// The last id of each table.
#[derive(Debug)]
struct Ids {
    ticket: i64,
    call: i64,
    session: i64,
    survey: i64,
}

fn new_id(last: &mut i64) -> i64 {
    *last += 1;
    *last
}

impl Life {
    /// Lives unseen for a while first, so that there is something at the start: see [`Life::standing`].
    pub fn new(options: &Options) -> Life {
        let arrivals = options.changes_per_second / CHANGES_PER_ARRIVAL;
        let warm_up_s = (STANDING_MAX / arrivals).min(WARM_UP_MAX_S);
        let begin = options.start_ms - (warm_up_s * 1_000.0) as i64;
        let dice = Dice::new(options.seed);
        let (queues, agents) = (options.queues.max(1), options.agents.max(1));
        let times = (begin, options.start_ms);
        let (world, shifts) = World::new(options.seed, queues, agents, times, &mut dice.fork(5));
        let mut life = Life {
            world,
            lookups: Lookups::new(queues, agents, begin, &mut dice.fork(6)),
            dice: dice.fork(1),
            plan: BinaryHeap::new(),
            planned: 0,
            beings: Vec::new(),
            free: Vec::new(),
            next_arrival: begin,
            arrivals_per_ms: arrivals / 1_000.0,
            clerk_every_ms: (CLERK_EVERY * 1_000.0 / options.changes_per_second) as i64,
            ids: Ids { ticket: FIRST_ID, call: FIRST_ID, session: FIRST_ID, survey: FIRST_ID },
            standing: Vec::new(),
            ready: RowChange { at: begin, before: None, after: None, correction: false },
            punctual: options.punctual,
        };
        for (place, step, at) in shifts {
            life.add(Being::Agent(place, step), at);
        }
        life.add(Being::Clerk, begin);
        life.add_old_rows(options, begin);
        life.next_arrival = life.arrival_after(begin);
        while life.due() < options.start_ms {
            life.happen();
        }
        life.standing = life.beings.iter().flatten().filter_map(Being::row_if_inserted).collect();
        life.standing.extend(life.world.staff.rows().cloned().map(Row::State));
        life.standing.extend(life.lookups.rows());
        life.standing.sort_by_key(|row| (row.table(), row.id()));
        life.ready = life.make_change();
        life
    }

    /// Tickets and surveys from long before. Something happens soon to many of them, so that even a short
    /// run sees every turn.
    fn add_old_rows(&mut self, options: &Options, begin: i64) {
        for n in 0..options.old_tickets {
            let id = new_id(&mut self.ids.ticket);
            let (ticket, step) = Ticket::standing(id, begin, &mut self.dice, &self.world);
            let at = options.start_ms + self.soon();
            self.add(Being::Ticket(ticket, step), at);
            if n % 3 == 0 {
                let id = new_id(&mut self.ids.survey);
                let row = Survey::standing(id, begin, &mut self.dice, &self.world);
                let at = options.start_ms + self.soon();
                self.add(Being::Survey(row, survey::Step::Rate), at);
            }
        }
    }

    fn soon(&mut self) -> i64 {
        let within = self.dice.pick(&[30_000, 600_000, 3_600_000]);
        self.dice.between(0, within)
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
        self.ready.at
    }

    /// The next change, in order of commit.
    pub fn next_change(&mut self) -> RowChange {
        let next = self.make_change();
        std::mem::replace(&mut self.ready, next)
    }

    fn make_change(&mut self) -> RowChange {
        loop {
            if let Some(change) = self.happen() {
                return change;
            }
        }
    }

    /// When something is planned next.
    fn due(&self) -> i64 {
        self.planned_at().min(self.next_arrival)
    }

    fn planned_at(&self) -> i64 {
        self.plan.peek().map_or(i64::MAX, |Reverse(planned)| planned.at())
    }

    /// Carries out what is planned next.
    fn happen(&mut self) -> Option<RowChange> {
        if self.next_arrival <= self.planned_at() {
            self.arrive();
            return None;
        }
        let Reverse(planned) = self.plan.pop()?;
        let being = self.beings[planned.place()].take()?;
        self.free.push(planned.place());
        self.carry_out(being, planned.at())
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
        let kind = self.dice.share() * 100.0;
        let being = if kind < TICKETS {
            let id = new_id(&mut self.ids.ticket);
            Being::Ticket(Ticket::new(id, time, &mut self.dice, &self.world), ticket::Step::Create)
        } else if kind < TICKETS + CALLS {
            let id = new_id(&mut self.ids.call);
            Being::Call(Call::new(id, time, &mut self.dice, &self.world), call::Step::Start, None)
        } else {
            let id = new_id(&mut self.ids.session);
            Being::Session(Session::new(id, time, &mut self.dice, &self.world), session::Step::Start, None)
        };
        self.add(being, at);
        self.next_arrival = self.arrival_after(at);
    }

    /// The next arrival after `time`: drawn at the greatest rate, kept by the rate of its moment (Lewis and
    /// Shedler, "Simulation of Nonhomogeneous Poisson Processes by Thinning").
    fn arrival_after(&mut self, time: i64) -> i64 {
        let mean_ms = 1.0 / (self.arrivals_per_ms * self.world.peak);
        let mut at = time as f64;
        loop {
            at += -(1.0 - self.dice.share()).ln() * mean_ms;
            if self.dice.share() * self.world.peak < self.world.activity(at as i64) {
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
        self.plan.push(Reverse(Planned::new(at, self.planned, place)));
    }
}

#[cfg(test)]
mod tests;
