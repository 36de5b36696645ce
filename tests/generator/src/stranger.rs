//! Rows that are not of the life, for records that are bad or late.

use crate::dice::Dice;
use crate::life::agent::{AgentState, State};
use crate::life::call::{Call, Status as CallStatus};
use crate::life::session::{Session, Status as SessionStatus};
use crate::life::survey::{SUBJECTS, Subject, Survey};
use crate::life::ticket::Ticket;
use crate::life::world::World;
use crate::row::Row;

/// The tables that have metrics of their own.
pub const TABLES: [&str; 5] = ["ticket", "call_record", "im_session", "agent_state", "survey"];

/// How long a strange agent was available before the change.
const AVAILABLE_MS: i64 = 5 * 60_000;

/// A row that an update at `at` finds and what it makes of it: something that counts.
pub fn rows(world: &World, dice: &mut Dice, id: i64, at: i64, table: &str) -> (Row, Row) {
    match table {
        "call_record" => {
            let call = Call { direction: "inbound", ..Call::new(id, at, dice, world) };
            let before = Call { queued_at: None, status: CallStatus::Ivr, ..call };
            let after = Call { queued_at: Some(at), status: CallStatus::Queued, ..before.clone() };
            (Row::Call(before), Row::Call(after))
        }
        "im_session" => {
            let session = Session::new(id, at, dice, world);
            let before = Session { queued_at: None, status: SessionStatus::Bot, ..session };
            let after = Session { queued_at: Some(at), status: SessionStatus::Queued, ..before.clone() };
            (Row::Session(before), Row::Session(after))
        }
        "agent_state" => {
            let before = AgentState {
                agent_id: id,
                queue_id: world.queue(dice),
                state: State::Available,
                since: at - AVAILABLE_MS,
                slots: 3,
                slots_used: 0,
                updated_at: at,
            };
            let after = AgentState { state: State::OnContact, since: at, slots_used: 1, ..before.clone() };
            (Row::State(before), Row::State(after))
        }
        "survey" => {
            let subject = dice.pick(&SUBJECTS);
            let subject = Subject { subject, id, queue_id: world.queue(dice), agent_id: None };
            let before = Survey::new(id, subject, at);
            let after = Survey { score: Some(5), resolved: Some(1), rated_at: Some(at), ..before.clone() };
            (Row::Survey(before), Row::Survey(after))
        }
        _ => {
            let before = Ticket::new(id, at, dice, world);
            let after = Ticket { first_reply_at: Some(at), ..before.clone() };
            (Row::Ticket(before), Row::Ticket(after))
        }
    }
}
