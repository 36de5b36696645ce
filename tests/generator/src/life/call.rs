//! The life of a call: ivr → queued → ringing → talking ↔ held → wrapup → done; or abandoned, missed,
//! transferred (a new row in another queue), outbound, called back.

use super::world::World;
use super::{Contact, Next, Outcome};
use crate::dice::Dice;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ivr,
    Queued,
    Ringing,
    Talking,
    Held,
    Wrapup,
    Done,
    Abandoned,
}

impl Status {
    pub fn text(self) -> &'static str {
        match self {
            Status::Ivr => "ivr",
            Status::Queued => "queued",
            Status::Ringing => "ringing",
            Status::Talking => "talking",
            Status::Held => "held",
            Status::Wrapup => "wrapup",
            Status::Done => "done",
            Status::Abandoned => "abandoned",
        }
    }
}

/// A row of `call_record`. Times in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub id: i64,
    pub queue_id: i64,
    pub direction: &'static str,
    pub customer_id: i64,
    pub agent_id: Option<i64>,
    pub status: Status,
    pub started_at: i64,
    pub queued_at: Option<i64>,
    pub answered_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub wrapup_ended_at: Option<i64>,
    pub talk_seconds: i64,
    pub hold_seconds: i64,
    pub hold_count: i64,
    pub missed_count: i64,
    pub transferred_in: i64,
    pub transferred_out: i64,
    pub ended_by: Option<&'static str>,
    pub updated_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Start,
    Queue,
    Ring,
    Miss,
    Answer,
    Hold,
    Resume,
    End,
    /// As `End`; the caller goes on to another queue in a row of its own.
    Transfer,
    Wrapped,
    Abandon,
    /// An outbound call that nobody takes.
    GiveUp,
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

impl Call {
    /// A call as it will be inserted at `time`.
    pub fn new(id: i64, time: i64, dice: &mut Dice, world: &World) -> Call {
        let mut call = Call {
            id,
            queue_id: world.queue_at(dice, time),
            direction: "inbound",
            customer_id: world.customer(dice),
            agent_id: None,
            status: Status::Ivr,
            started_at: time,
            queued_at: None,
            answered_at: None,
            ended_at: None,
            wrapup_ended_at: None,
            talk_seconds: 0,
            hold_seconds: 0,
            hold_count: 0,
            missed_count: 0,
            transferred_in: 0,
            transferred_out: 0,
            ended_by: None,
            updated_at: time,
        };
        match dice.below(100) {
            0..12 => {
                call.direction = "outbound";
                call.status = Status::Ringing;
                call.agent_id = world.agent_or_partner(dice, call.queue_id);
            }
            12..18 => {
                call.direction = "callback";
                call.queue_directly(time);
            }
            // Lines without a menu: the insert itself is the offer.
            18..24 => call.queue_directly(time),
            _ => {}
        }
        call
    }

    /// The row that a transferred caller gets in another queue.
    pub fn transferred(from: &Call, id: i64, time: i64, dice: &mut Dice, world: &World) -> Call {
        let mut call = Call::new(id, time, dice, world);
        call.direction = "inbound";
        call.queue_id = world.queue(dice);
        call.agent_id = None;
        call.customer_id = from.customer_id;
        call.transferred_in = 1;
        call.queue_directly(time);
        call
    }

    fn queue_directly(&mut self, time: i64) {
        self.status = Status::Queued;
        self.queued_at = Some(time);
    }

    /// Carries out one step at `time` and says what follows.
    pub fn step(&mut self, step: Step, time: i64, dice: &mut Dice, world: &World) -> Outcome<Step> {
        let mut outcome = Outcome::default();
        let seconds = (time - self.updated_at) / 1_000;
        match step {
            Step::Start if self.status == Status::Ringing => outcome.contact = Contact::Take(self.agent_id),
            Step::Start | Step::Touch => {}
            Step::Queue => self.queue_directly(time),
            Step::Ring => {
                self.status = Status::Ringing;
                self.agent_id = world.agent_or_partner(dice, self.queue_id);
                outcome.contact = Contact::Take(self.agent_id);
            }
            Step::Miss => {
                self.status = Status::Queued;
                self.missed_count += 1;
                outcome.contact = Contact::Miss;
            }
            Step::Answer => {
                self.status = Status::Talking;
                self.answered_at = Some(time);
            }
            Step::Hold => {
                self.status = Status::Held;
                self.hold_count += 1;
                self.talk_seconds += seconds;
            }
            Step::Resume => {
                self.status = Status::Talking;
                self.hold_seconds += seconds;
            }
            Step::End | Step::Transfer => {
                self.status = Status::Wrapup;
                self.talk_seconds += seconds;
                self.ended_at = Some(time);
                self.ended_by = Some(dice.pick(&["agent", "customer", "customer"]));
                self.transferred_out |= i64::from(step == Step::Transfer);
                outcome.contact = Contact::Wrap;
            }
            Step::Wrapped => {
                self.status = Status::Done;
                self.wrapup_ended_at = Some(time);
                outcome.contact = Contact::Free(true);
                outcome.survey = true;
            }
            Step::Abandon => {
                self.status = Status::Abandoned;
                self.ended_at = Some(time);
                self.ended_by = Some("customer");
            }
            Step::GiveUp => {
                self.status = Status::Done;
                self.ended_at = Some(time);
                self.ended_by = Some("system");
                outcome.contact = Contact::Free(false);
            }
            Step::Delete => outcome.deleted = true,
            Step::Correct => {
                outcome.correction = true;
                self.correct(dice, world);
            }
        }
        self.updated_at = time;
        if !outcome.deleted {
            outcome.next = self.follow(step, dice);
        }
        outcome
    }

    fn correct(&mut self, dice: &mut Dice, world: &World) {
        match dice.below(5) {
            0 => self.queue_id = world.queue(dice),
            1 => self.talk_seconds += dice.between(1, 60),
            // Unset; if the call is mended once more, set again to a time that is long past.
            2 => self.queued_at = None,
            3 => self.ended_at = self.ended_at.map(|ended| ended + dice.between(-20_000, 1)),
            _ => self.queued_at = Some(self.started_at + dice.between(1, 30_000)),
        }
    }

    fn follow(&self, step: Step, dice: &mut Dice) -> Option<Next<Step>> {
        let chance = dice.share() * 100.0;
        let outbound = self.direction == "outbound";
        let (step, after) = match self.status {
            Status::Ivr if chance < 10.0 => (Step::Abandon, dice.between(3_000, 30_000)),
            Status::Ivr => (Step::Queue, dice.between(4_000, 25_000)),
            // Some hang up as soon as they hear the music.
            Status::Queued if chance < 12.0 => (Step::Abandon, dice.between(500, 5_000)),
            Status::Queued if chance < 19.0 => (Step::Abandon, dice.around(45_000)),
            Status::Queued => (Step::Ring, dice.around(15_000)),
            Status::Ringing if outbound && chance < 25.0 => (Step::GiveUp, 30_000),
            Status::Ringing if !outbound && chance < 10.0 => (Step::Miss, 20_000),
            Status::Ringing => (Step::Answer, dice.between(2_000, 12_000)),
            Status::Talking if chance < 20.0 && self.hold_count < 3 => (Step::Hold, dice.around(60_000)),
            Status::Talking if chance < 26.0 && !outbound => (Step::Transfer, dice.around(90_000)),
            Status::Talking if chance < 30.0 && step != Step::Touch => (Step::Touch, dice.around(30_000)),
            Status::Talking => (Step::End, dice.around(150_000)),
            Status::Held => (Step::Resume, dice.around(25_000)),
            Status::Wrapup => (Step::Wrapped, dice.around(30_000)),
            Status::Done | Status::Abandoned if chance < 2.0 => (Step::Correct, dice.around(600_000)),
            Status::Done | Status::Abandoned if chance < 3.0 => (Step::Delete, dice.around(300_000)),
            Status::Done | Status::Abandoned => return None,
        };
        Some(Next { step, after })
    }
}
