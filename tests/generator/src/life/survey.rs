//! The life of a survey: sent when a ticket is solved, a call is done or a session closed; rated minutes
//! or hours later, or never.

use super::world::World;
use super::{Next, Outcome, next};
use crate::dice::Dice;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

pub const SUBJECTS: [&str; 3] = ["ticket", "call", "im"];

/// A row of `survey`. Times in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    pub id: i64,
    pub subject: &'static str,
    pub subject_id: i64,
    pub queue_id: i64,
    pub agent_id: Option<i64>,
    pub sent_at: i64,
    pub score: Option<i64>,
    pub resolved: Option<i64>,
    pub rated_at: Option<i64>,
    pub updated_at: i64,
}

/// What a survey asks about.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    pub subject: &'static str,
    pub id: i64,
    pub queue_id: i64,
    pub agent_id: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Send,
    Rate,
    Delete,
    Correct,
    Touch,
}

impl Step {
    /// The step that is taken in a life where nothing is done long after its time.
    pub fn punctual(self) -> Step {
        if self == Step::Correct { Step::Touch } else { self }
    }
}

impl Survey {
    pub fn new(id: i64, subject: Subject, time: i64) -> Survey {
        Survey {
            id,
            subject: subject.subject,
            subject_id: subject.id,
            queue_id: subject.queue_id,
            agent_id: subject.agent_id,
            sent_at: time,
            score: None,
            resolved: None,
            rated_at: None,
            updated_at: time,
        }
    }

    /// A survey that was sent up to six days before the life begins, about something that ended then; it
    /// will still be rated.
    pub fn standing(id: i64, now: i64, dice: &mut Dice, world: &World) -> Survey {
        let age = match dice.below(10) {
            0..6 => dice.between(MINUTE, 5 * HOUR),
            6..9 => dice.between(5 * HOUR, DAY),
            _ => dice.between(DAY, 6 * DAY),
        };
        let queue_id = world.queue(dice);
        let agent_id = world.agent_or_partner(dice, queue_id);
        let subject = dice.pick(&SUBJECTS);
        let subject = Subject { subject, id: dice.between(1, super::FIRST_ID), queue_id, agent_id };
        Survey::new(id, subject, now - age)
    }

    /// Carries out one step at `time` and says what follows.
    pub fn step(&mut self, step: Step, time: i64, dice: &mut Dice, world: &World) -> Outcome<Step> {
        let mut outcome = Outcome::default();
        match step {
            Step::Send | Step::Touch => {}
            Step::Rate => {
                self.rated_at = Some(time);
                self.score = (!dice.percent(4.0)).then(|| dice.pick(&[1, 2, 3, 4, 4, 4, 5, 5, 5, 5]));
                self.resolved = (!dice.percent(20.0)).then(|| dice.pick(&[0, 1, 1, 1]));
            }
            Step::Delete => outcome.deleted = true,
            Step::Correct => {
                outcome.correction = true;
                match dice.below(4) {
                    0 => self.queue_id = world.queue(dice),
                    1 => self.score = Some(dice.between(1, 6)),
                    2 => self.rated_at = None,
                    _ => self.rated_at = Some(dice.between(self.sent_at, time)),
                }
            }
        }
        self.updated_at = time;
        if !outcome.deleted {
            outcome.next = self.follow(step, dice);
        }
        outcome
    }

    fn follow(&self, step: Step, dice: &mut Dice) -> Option<Next<Step>> {
        let chance = dice.share() * 100.0;
        match step {
            Step::Send if chance < 33.0 => next(Step::Rate, dice.around(4 * MINUTE)),
            Step::Send if chance < 50.0 => next(Step::Rate, dice.around(40 * MINUTE)),
            Step::Send if chance < 56.0 => next(Step::Rate, dice.between(2 * HOUR, 9 * HOUR)),
            Step::Send if chance < 57.0 => next(Step::Delete, dice.around(10 * MINUTE)),
            Step::Rate | Step::Correct if chance < 3.0 => next(Step::Correct, dice.around(15 * MINUTE)),
            Step::Rate if chance < 4.5 => next(Step::Delete, dice.around(15 * MINUTE)),
            _ => None,
        }
    }
}
