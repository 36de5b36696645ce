//! The life of an IM session: a bot first, who may be enough; else queued → active, messages both ways →
//! closed; or missed. A transfer closes the session and makes a new row in another queue.

use super::world::World;
use super::{Contact, Outcome, next};
use crate::dice::Dice;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;

pub const CHANNELS: [&str; 3] = ["app", "web", "wechat"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Bot,
    Queued,
    Active,
    Closed,
    Missed,
}

impl Status {
    pub fn text(self) -> &'static str {
        match self {
            Status::Bot => "bot",
            Status::Queued => "queued",
            Status::Active => "active",
            Status::Closed => "closed",
            Status::Missed => "missed",
        }
    }
}

/// A row of `im_session`. Times in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub id: i64,
    pub queue_id: i64,
    pub channel: &'static str,
    pub customer_id: i64,
    pub agent_id: Option<i64>,
    pub status: Status,
    pub created_at: i64,
    pub queued_at: Option<i64>,
    pub assigned_at: Option<i64>,
    pub first_reply_at: Option<i64>,
    pub last_customer_message_at: Option<i64>,
    pub last_agent_message_at: Option<i64>,
    pub closed_at: Option<i64>,
    pub customer_messages: i64,
    pub agent_messages: i64,
    /// Summed over the agent's replies: how long the customer's message had been waiting.
    pub reply_wait_seconds: i64,
    pub updated_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Start,
    /// The customer writes, and nobody has answered yet.
    Write,
    /// The bot was enough.
    Contain,
    /// The customer leaves the bot.
    Leave,
    Queue,
    Miss,
    Assign,
    /// The customer wrote, and the agent answers.
    Reply,
    Close,
    /// As `Close`; the customer goes on in another queue.
    Transfer,
    Touch,
    Delete,
    Correct,
}

impl Step {
    /// The step that is taken in a life where nothing is done long after its time.
    pub fn punctual(self) -> Step {
        if self == Step::Correct { Step::Touch } else { self }
    }
}

impl Session {
    /// A session as it will be inserted at `time`.
    pub fn new(id: i64, time: i64, dice: &mut Dice, world: &World) -> Session {
        let mut session = Session {
            id,
            queue_id: world.queue_at(dice, time),
            channel: dice.pick(&[CHANNELS[0], CHANNELS[0], CHANNELS[1], CHANNELS[2], CHANNELS[2]]),
            customer_id: world.customer(dice),
            agent_id: None,
            status: Status::Bot,
            created_at: time,
            queued_at: None,
            assigned_at: None,
            first_reply_at: None,
            last_customer_message_at: Some(time),
            last_agent_message_at: None,
            closed_at: None,
            customer_messages: 1,
            agent_messages: 0,
            reply_wait_seconds: 0,
            updated_at: time,
        };
        // Where there is no bot, the insert itself is queued; some only open the window.
        match dice.below(100) {
            0..15 => session.queue(time),
            15..18 => (session.last_customer_message_at, session.customer_messages) = (None, 0),
            _ => {}
        }
        session
    }

    /// The row that a customer gets in another queue.
    pub fn transferred(from: &Session, id: i64, time: i64, dice: &mut Dice, world: &World) -> Session {
        let mut session = Session::new(id, time, dice, world);
        session.queue_id = world.queue(dice);
        (session.channel, session.customer_id) = (from.channel, from.customer_id);
        session.queue(time);
        session
    }

    fn queue(&mut self, time: i64) {
        self.status = Status::Queued;
        self.queued_at = Some(time);
    }

    /// Carries out one step at `time` and says what follows.
    pub fn step(&mut self, step: Step, time: i64, dice: &mut Dice, world: &World) -> Outcome<Step> {
        let mut outcome = Outcome::default();
        match step {
            Step::Start | Step::Touch => {}
            Step::Write => {
                self.customer_messages += dice.between(1, 4);
                self.last_customer_message_at = Some(time);
            }
            Step::Contain | Step::Close | Step::Transfer => {
                self.status = Status::Closed;
                self.closed_at = Some(time);
                outcome.contact = Contact::Free(false);
                outcome.survey = step != Step::Transfer;
            }
            Step::Leave | Step::Miss => self.status = Status::Missed,
            Step::Queue => {
                // The bot has found out what it is about.
                if dice.percent(20.0) {
                    self.queue_id = world.queue_at(dice, time);
                }
                self.queue(time);
            }
            Step::Assign => {
                self.status = Status::Active;
                self.assigned_at = Some(time);
                self.agent_id = world.agent_or_partner(dice, self.queue_id);
                outcome.contact = Contact::Take(self.agent_id);
            }
            Step::Reply => self.reply(time, dice),
            Step::Delete => outcome.deleted = true,
            Step::Correct => {
                outcome.correction = true;
                self.correct(time, dice, world);
            }
        }
        self.updated_at = time;
        if !outcome.deleted {
            outcome.next = self.follow(dice);
        }
        outcome
    }

    fn reply(&mut self, time: i64, dice: &mut Dice) {
        let answered = self.last_agent_message_at >= self.last_customer_message_at;
        if answered {
            self.customer_messages += dice.between(1, 4);
            self.last_customer_message_at = Some(dice.between(self.updated_at, time));
        }
        self.first_reply_at.get_or_insert(time);
        self.agent_messages += dice.between(1, 3);
        self.last_agent_message_at = Some(time);
        let asked = self.last_customer_message_at.unwrap_or(self.created_at);
        self.reply_wait_seconds += (time - asked) / SECOND;
    }

    fn correct(&mut self, time: i64, dice: &mut Dice, world: &World) {
        match dice.below(5) {
            0 => self.queue_id = world.queue(dice),
            1 => self.channel = dice.pick(&CHANNELS),
            // Unset; if the session is mended once more, set again to a time that is long past.
            2 => self.queued_at = None,
            3 => self.queued_at = Some(dice.between(self.created_at, time)),
            _ => self.closed_at = self.closed_at.map(|closed| dice.between(self.created_at, closed + 1)),
        }
    }

    fn follow(&self, dice: &mut Dice) -> Option<super::Next<Step>> {
        let chance = dice.share() * 100.0;
        let (step, after) = match self.status {
            Status::Bot if chance < 8.0 => (Step::Write, dice.between(5 * SECOND, 30 * SECOND)),
            Status::Bot if chance < 45.0 => (Step::Contain, dice.between(20 * SECOND, 2 * MINUTE)),
            Status::Bot if chance < 48.0 => (Step::Leave, dice.between(20 * SECOND, 2 * MINUTE)),
            Status::Bot => (Step::Queue, dice.between(10 * SECOND, MINUTE)),
            Status::Queued if chance < 8.0 => (Step::Miss, dice.around(90 * SECOND)),
            Status::Queued => (Step::Assign, dice.around(20 * SECOND)),
            Status::Active if self.agent_messages == 0 && chance < 94.0 => {
                (Step::Reply, dice.between(5 * SECOND, MINUTE))
            }
            Status::Active if chance < 50.0 => (Step::Reply, dice.around(MINUTE)),
            Status::Active if chance < 55.0 => (Step::Write, dice.around(30 * SECOND)),
            Status::Active if chance < 58.0 => (Step::Transfer, dice.around(40 * SECOND)),
            Status::Active => (Step::Close, dice.around(80 * SECOND)),
            Status::Closed | Status::Missed if chance < 2.0 => (Step::Correct, dice.around(10 * MINUTE)),
            Status::Closed | Status::Missed if chance < 3.0 => (Step::Delete, dice.around(5 * MINUTE)),
            Status::Closed | Status::Missed => return None,
        };
        next(step, after)
    }
}
