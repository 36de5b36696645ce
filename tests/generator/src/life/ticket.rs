//! The life of a ticket: created → assigned → first reply → replies, pending, open → solved → perhaps
//! reopened → closed; some are deleted, escalated, moved, or corrected long after.

use super::world::World;
use super::{Next, Outcome};
use crate::dice::Dice;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

pub const CHANNELS: [&str; 4] = ["web", "app", "email", "phone"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    New,
    Open,
    Pending,
    Solved,
    Closed,
}

impl Status {
    pub fn text(self) -> &'static str {
        match self {
            Status::New => "new",
            Status::Open => "open",
            Status::Pending => "pending",
            Status::Solved => "solved",
            Status::Closed => "closed",
        }
    }
}

/// A row of `ticket`. Times in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    pub id: i64,
    pub queue_id: i64,
    pub channel: &'static str,
    pub priority: i64,
    pub customer_id: i64,
    pub assignee_id: Option<i64>,
    pub status: Status,
    pub created_at: i64,
    pub assigned_at: Option<i64>,
    pub first_reply_at: Option<i64>,
    pub solved_at: Option<i64>,
    pub closed_at: Option<i64>,
    pub reopen_count: i64,
    pub reply_count: i64,
    pub escalated: i64,
    pub first_reply_due_at: Option<i64>,
    pub resolve_due_at: Option<i64>,
    pub updated_at: i64,
}

/// What comes next for a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Create,
    Assign,
    FirstReply,
    Reply,
    Pend,
    CustomerReply,
    Solve,
    Reopen,
    Close,
    Escalate,
    Prioritise,
    Move,
    Touch,
    Rekey,
    Delete,
    /// A reply that was given long ago is noted only now.
    NoteReply,
    /// Someone mends an old row.
    Correct,
}

impl Step {
    /// The step that is taken in a life where nothing is done long after its time.
    pub fn punctual(self) -> Step {
        match self {
            Step::NoteReply => Step::FirstReply,
            Step::Correct => Step::Touch,
            step => step,
        }
    }
}

impl Ticket {
    /// A ticket as it will be inserted at `time`.
    pub fn new(id: i64, time: i64, dice: &mut Dice, world: &World) -> Ticket {
        let priority = dice.pick(&[1, 2, 2, 3, 3, 3, 3, 4]);
        let promised = !dice.percent(15.0);
        Ticket {
            id,
            queue_id: world.queue_at(dice, time),
            channel: dice.pick(&[
                CHANNELS[0],
                CHANNELS[0],
                CHANNELS[1],
                CHANNELS[1],
                CHANNELS[2],
                CHANNELS[3],
            ]),
            priority,
            customer_id: world.customer(dice),
            assignee_id: None,
            status: Status::New,
            created_at: time,
            assigned_at: None,
            first_reply_at: None,
            solved_at: None,
            closed_at: None,
            reopen_count: 0,
            reply_count: 0,
            escalated: 0,
            first_reply_due_at: promised.then_some(time + priority * 15 * MINUTE),
            resolve_due_at: promised.then_some(time + priority * 8 * HOUR),
            updated_at: time,
        }
    }

    /// A ticket that has been waiting for up to twelve days when the life begins, and its next step.
    pub fn standing(id: i64, now: i64, dice: &mut Dice, world: &World) -> (Ticket, Step) {
        let age = match dice.below(10) {
            0..6 => dice.between(MINUTE, 8 * HOUR),
            6..9 => dice.between(8 * HOUR, 3 * DAY),
            _ => dice.between(3 * DAY, 12 * DAY),
        };
        let mut ticket = Ticket::new(id, now - age, dice, world);
        if dice.percent(15.0) {
            // Soon over its time.
            ticket.resolve_due_at = Some(now + dice.between(0, 2 * HOUR));
        }
        ticket.updated_at = dice.between(ticket.created_at, now);
        if dice.percent(25.0) {
            return (ticket, dice.pick(&[Step::Assign, Step::Assign, Step::FirstReply, Step::Escalate]));
        }
        ticket.status = Status::Open;
        ticket.assignee_id = Some(world.agent(dice, ticket.queue_id));
        ticket.assigned_at = Some(ticket.updated_at);
        if dice.percent(50.0) {
            let step = dice.pick(&[Step::FirstReply, Step::FirstReply, Step::NoteReply, Step::Solve]);
            return (ticket, step);
        }
        ticket.first_reply_at = ticket.assigned_at;
        ticket.reply_count = dice.between(1, 6);
        let pick = dice.below(10);
        ticket.status = match pick {
            0..3 => Status::Pending,
            3..7 => Status::Solved,
            _ => Status::Open,
        };
        ticket.solved_at = (ticket.status == Status::Solved).then_some(ticket.updated_at);
        let step = match pick {
            0 | 1 => Step::CustomerReply,
            3 | 4 => Step::Close,
            5 | 6 => Step::Reopen,
            9 => Step::Reply,
            _ => Step::Solve,
        };
        (ticket, step)
    }

    /// Carries out one step at `time` and says what follows.
    pub fn step(&mut self, step: Step, time: i64, dice: &mut Dice, world: &World) -> Outcome<Step> {
        let mut outcome = Outcome::default();
        match step {
            // The insert itself: the row is as it was made.
            Step::Create => {}
            Step::Assign => {
                self.assignee_id = Some(world.agent(dice, self.queue_id));
                self.assigned_at.get_or_insert(time);
                if self.status == Status::New {
                    self.status = Status::Open;
                }
            }
            Step::FirstReply | Step::Reply => {
                self.first_reply_at.get_or_insert(time);
                self.reply_count += 1;
            }
            Step::Pend => {
                self.reply_count += 1;
                self.status = Status::Pending;
            }
            Step::CustomerReply => self.status = Status::Open,
            Step::Solve => {
                self.status = Status::Solved;
                self.solved_at = Some(time);
                outcome.survey = true;
            }
            Step::Reopen => {
                self.status = Status::Open;
                self.reopen_count += 1;
            }
            Step::Close => {
                self.status = Status::Closed;
                self.closed_at = Some(time);
            }
            Step::Escalate => self.escalated = 1,
            Step::Prioritise => self.priority = dice.between(1, 5),
            Step::Move => {
                self.queue_id = world.queue(dice);
                self.assignee_id = None;
            }
            Step::Touch => {}
            // Ids of changed keys stand apart, so that they meet no other.
            Step::Rekey => self.id += 1_000_000_000,
            Step::Delete => outcome.deleted = true,
            Step::NoteReply => {
                outcome.correction = true;
                self.first_reply_at = Some(dice.between(self.created_at, time));
                self.reply_count += 1;
            }
            Step::Correct => {
                outcome.correction = true;
                self.correct(time, dice, world);
            }
        }
        self.updated_at = time;
        if !outcome.deleted {
            outcome.next = self.follow(step, dice);
        }
        outcome
    }

    fn correct(&mut self, time: i64, dice: &mut Dice, world: &World) {
        match dice.below(6) {
            0 => self.queue_id = world.queue(dice),
            1 => self.assignee_id = None,
            // Unset, to be set again perhaps: counts twice.
            2 => self.first_reply_at = None,
            3 => self.created_at -= dice.between(1, HOUR),
            // Clocks of two servers that disagree: a reply just before its question.
            4 => self.first_reply_at = Some(self.created_at - dice.between(1, 2_000)),
            _ => self.first_reply_at = Some(dice.between(self.created_at.min(time - 1), time)),
        }
    }

    /// What follows a step, and after how long.
    fn follow(&self, step: Step, dice: &mut Dice) -> Option<Next<Step>> {
        let chance = dice.share() * 100.0;
        // Wherever a ticket stands, a few are only touched, escalated, moved or get another key.
        if !matches!(self.status, Status::Solved | Status::Closed) && step != Step::Create {
            let aside = match chance {
                c if c < 2.0 => Some(Step::Touch),
                c if c < 4.5 && self.escalated == 0 => Some(Step::Escalate),
                c if c < 6.0 => Some(Step::Move),
                c if c < 7.0 => Some(Step::Prioritise),
                c if c < 7.15 && self.id < 1_000_000_000 => Some(Step::Rekey),
                c if c < 8.0 => Some(Step::Correct),
                _ => None,
            };
            if let Some(aside) = aside {
                return Some(Next { step: aside, after: dice.around(2 * MINUTE) });
            }
        }
        let chance = dice.share() * 100.0;
        let (step, mean) = match self.status {
            Status::New if chance < 88.0 => (Step::Assign, 40_000),
            Status::New if chance < 97.0 => (Step::FirstReply, 3 * MINUTE),
            Status::New => (Step::Delete, MINUTE),
            Status::Open if self.assignee_id.is_none() && chance < 85.0 => (Step::Assign, 40_000),
            Status::Open if self.first_reply_at.is_none() && chance < 75.0 => (Step::FirstReply, 3 * MINUTE),
            Status::Open if self.first_reply_at.is_none() && chance < 97.0 => (Step::FirstReply, 20 * MINUTE),
            Status::Open if self.first_reply_at.is_none() => (Step::NoteReply, 30 * MINUTE),
            Status::Open if chance < 25.0 => (Step::Reply, 4 * MINUTE),
            Status::Open if chance < 55.0 => (Step::Pend, 4 * MINUTE),
            Status::Open => (Step::Solve, 5 * MINUTE),
            Status::Pending if chance < 70.0 => (Step::CustomerReply, 6 * MINUTE),
            Status::Pending => (Step::Solve, 8 * MINUTE),
            Status::Solved if chance < 80.0 => (Step::Close, 15 * MINUTE),
            Status::Solved if chance < 93.0 => (Step::Reopen, 10 * MINUTE),
            Status::Solved if chance < 97.0 => (Step::Correct, 10 * MINUTE),
            Status::Solved => (Step::Delete, 10 * MINUTE),
            Status::Closed if chance < 4.0 => (Step::Correct, 30 * MINUTE),
            Status::Closed if chance < 6.0 => (Step::Delete, 30 * MINUTE),
            // The row stays in the database for ever; the generator forgets it.
            Status::Closed => return None,
        };
        Some(Next { step, after: dice.around(mean) })
    }
}
