//! Whatever something happens to, and what its steps bring about elsewhere: an agent's state follows a
//! contact, a survey follows its end, a transfer makes a new row.

use super::survey::{Subject, Survey};
use super::{Contact, Life, Row, RowChange, agent, call, new_id, session, survey, ticket};
use super::{call::Call, session::Session, ticket::Ticket};

/// In percent: how many are asked how it was.
const ASKED_TICKETS: f64 = 40.0;
const ASKED_CALLS: f64 = 30.0;
const ASKED_SESSIONS: f64 = 30.0;
/// An agent's row follows its contact within so many milliseconds.
const SYNC_WITHIN: i64 = 200;

/// The place of the agent in the staff whose state follows a contact.
type Link = Option<usize>;

#[derive(Clone, Debug)]
pub(super) enum Being {
    Ticket(Ticket, ticket::Step),
    Call(Call, call::Step, Link),
    Session(Session, session::Step, Link),
    Survey(Survey, survey::Step),
    Agent(usize, agent::Step),
    /// Changes what hardly ever changes.
    Clerk,
}

impl Being {
    /// None while the insert is still to come, and for those whose rows are kept elsewhere.
    pub(super) fn row_if_inserted(&self) -> Option<Row> {
        match self {
            Being::Ticket(row, step) => (*step != ticket::Step::Create).then(|| Row::Ticket(row.clone())),
            Being::Call(row, step, _) => (*step != call::Step::Start).then(|| Row::Call(row.clone())),
            Being::Session(row, step, _) => {
                (*step != session::Step::Start).then(|| Row::Session(row.clone()))
            }
            Being::Survey(row, step) => (*step != survey::Step::Send).then(|| Row::Survey(row.clone())),
            Being::Agent(..) | Being::Clerk => None,
        }
    }
}

impl Life {
    /// Carries out one planned step.
    pub(super) fn carry_out(&mut self, being: Being, at: i64) -> Option<RowChange> {
        match being {
            Being::Ticket(row, step) => Some(self.ticket(row, step, at)),
            Being::Call(row, step, link) => Some(self.call(row, step, link, at)),
            Being::Session(row, step, link) => Some(self.session(row, step, link, at)),
            Being::Survey(row, step) => Some(self.survey(row, step, at)),
            Being::Agent(place, step) => self.agent(place, step, at),
            Being::Clerk => self.clerk(at),
        }
    }

    fn ticket(&mut self, row: Ticket, step: ticket::Step, at: i64) -> RowChange {
        let step = if self.punctual { step.punctual() } else { step };
        let insert = step == ticket::Step::Create;
        let time = if insert { row.updated_at } else { self.event_time(at, row.updated_at) };
        let mut after = row.clone();
        let outcome = after.step(step, time, &mut self.dice, &self.world);
        if outcome.survey && self.dice.percent(ASKED_TICKETS) {
            let agent_id = after.assignee_id;
            self.ask(Subject { subject: "ticket", id: after.id, queue_id: after.queue_id, agent_id }, at);
        }
        if let Some(next) = outcome.next {
            self.add(Being::Ticket(after.clone(), next.step), at + next.after.max(50));
        }
        change(at, insert, outcome.deleted, outcome.correction, Row::Ticket(row), Row::Ticket(after))
    }

    fn call(&mut self, row: Call, step: call::Step, link: Link, at: i64) -> RowChange {
        let step = if self.punctual { step.punctual() } else { step };
        let insert = step == call::Step::Start;
        let time = if insert { row.updated_at } else { self.event_time(at, row.updated_at) };
        let mut after = row.clone();
        let outcome = after.step(step, time, &mut self.dice, &self.world);
        let link = self.follow_contact(outcome.contact, link, at);
        if outcome.survey && self.dice.percent(ASKED_CALLS) {
            let agent_id = after.agent_id;
            self.ask(Subject { subject: "call", id: after.id, queue_id: after.queue_id, agent_id }, at);
        }
        if step == call::Step::Transfer {
            let id = new_id(&mut self.ids.call);
            let row = Call::transferred(&after, id, time, &mut self.dice, &self.world);
            self.add(Being::Call(row, call::Step::Start, None), at);
        }
        if let Some(next) = outcome.next {
            self.add(Being::Call(after.clone(), next.step, link), at + next.after.max(50));
        }
        change(at, insert, outcome.deleted, outcome.correction, Row::Call(row), Row::Call(after))
    }

    fn session(&mut self, row: Session, step: session::Step, link: Link, at: i64) -> RowChange {
        let step = if self.punctual { step.punctual() } else { step };
        let insert = step == session::Step::Start;
        let time = if insert { row.updated_at } else { self.event_time(at, row.updated_at) };
        let mut after = row.clone();
        let outcome = after.step(step, time, &mut self.dice, &self.world);
        let link = self.follow_contact(outcome.contact, link, at);
        if outcome.survey && self.dice.percent(ASKED_SESSIONS) {
            let agent_id = after.agent_id;
            self.ask(Subject { subject: "im", id: after.id, queue_id: after.queue_id, agent_id }, at);
        }
        if step == session::Step::Transfer {
            let id = new_id(&mut self.ids.session);
            let row = Session::transferred(&after, id, time, &mut self.dice, &self.world);
            self.add(Being::Session(row, session::Step::Start, None), at);
        }
        if let Some(next) = outcome.next {
            self.add(Being::Session(after.clone(), next.step, link), at + next.after.max(50));
        }
        change(at, insert, outcome.deleted, outcome.correction, Row::Session(row), Row::Session(after))
    }

    fn survey(&mut self, row: Survey, step: survey::Step, at: i64) -> RowChange {
        let step = if self.punctual { step.punctual() } else { step };
        let insert = step == survey::Step::Send;
        let time = if insert { row.updated_at } else { self.event_time(at, row.updated_at) };
        let mut after = row.clone();
        let outcome = after.step(step, time, &mut self.dice, &self.world);
        if let Some(next) = outcome.next {
            self.add(Being::Survey(after.clone(), next.step), at + next.after.max(50));
        }
        change(at, insert, outcome.deleted, outcome.correction, Row::Survey(row), Row::Survey(after))
    }

    /// None if the agent's row is as it was.
    fn agent(&mut self, place: usize, step: agent::Step, at: i64) -> Option<RowChange> {
        let last = self.world.staff.updated_at(place);
        if last >= at {
            self.add(Being::Agent(place, step), at + 1);
            return None;
        }
        let step = if self.punctual { step.punctual() } else { step };
        let time = self.event_time(at, last);
        let queue = if step == agent::Step::Move { self.world.queue(&mut self.dice) } else { 0 };
        let turn = self.world.staff.step(place, step, time, queue, &mut self.dice);
        for (step, after) in turn.next.into_iter().flatten() {
            self.add(Being::Agent(place, step), at + after.max(50));
        }
        let (before, after) = turn.change?;
        let (before, after) = (before.map(Row::State), after.map(Row::State));
        Some(RowChange { at, before, after, correction: turn.correction })
    }

    fn clerk(&mut self, at: i64) -> Option<RowChange> {
        let next = at + self.dice.around(self.clerk_every_ms.max(1));
        self.add(Being::Clerk, next);
        if self.dice.percent(25.0) {
            let time = self.event_time(at, i64::MIN);
            let (before, after) = self.lookups.change(time, &mut self.dice)?;
            return Some(RowChange { at, before: Some(before), after: Some(after), correction: false });
        }
        let place = self.dice.below(self.world.staff.len() as u64) as usize;
        use agent::Step::{Correct, Equip, Leave, Move, Touch};
        let step = self.dice.pick(&[Equip, Equip, Move, Touch, Correct, Leave]);
        self.agent(place, step, at)
    }

    /// What a contact's step means for its agent.
    fn follow_contact(&mut self, contact: Contact, link: Link, at: i64) -> Link {
        let staff = &mut self.world.staff;
        let (link, place) = match (contact, link) {
            (Contact::Same, link) => return link,
            (Contact::Take(agent), _) => {
                let link = staff.take(agent);
                (link, link)
            }
            (_, None) => return None,
            (Contact::Wrap, Some(place)) => {
                staff.wrap(place);
                (link, link)
            }
            (Contact::Free(wrapped), Some(place)) => {
                staff.free(place, wrapped);
                (None, Some(place))
            }
            (Contact::Miss, Some(place)) => {
                staff.miss(place);
                let after = self.dice.between(20_000, 90_000);
                self.add(Being::Agent(place, agent::Step::Repair), at + after);
                (None, Some(place))
            }
        };
        if let Some(place) = place {
            let lag = self.dice.between(0, SYNC_WITHIN);
            self.add(Being::Agent(place, agent::Step::Sync), at + lag);
        }
        link
    }

    /// Sends a survey some seconds later.
    fn ask(&mut self, subject: Subject, at: i64) {
        let at = at + self.dice.between(1_000, 20_000);
        let time = self.event_time(at, i64::MIN);
        let id = new_id(&mut self.ids.survey);
        self.add(Being::Survey(Survey::new(id, subject, time), survey::Step::Send), at);
    }
}

fn change(at: i64, insert: bool, deleted: bool, correction: bool, before: Row, after: Row) -> RowChange {
    RowChange { at, before: (!insert).then_some(before), after: (!deleted).then_some(after), correction }
}
