//! Which metrics of the catalogue a change gives samples to, by number: derived ones have none.

use crate::life::agent::{AgentState, State};
use crate::life::call::{Call, Status as CallStatus};
use crate::life::session::{Session, Status as SessionStatus};
use crate::life::survey::Survey;
use crate::life::ticket::{Status, Ticket};
use crate::life::{Row, RowChange};

/// All metrics that are computed from rows.
pub fn from_rows() -> Vec<u8> {
    let derived = [21, 22, 23, 24, 25, 46, 47, 48, 60, 61, 65, 66];
    (1..=72).filter(|n| !derived.contains(n)).collect()
}

/// Metrics with agent_id (or assignee_id) among their dimensions, where it can be null.
pub const BY_AGENT: [u8; 20] = [2, 4, 6, 10, 15, 16, 27, 30, 32, 33, 40, 41, 42, 43, 52, 55, 57, 58, 59, 67];

/// A sample: the metric's number, and the agent it is for.
pub type Sample = (u8, Option<i64>);

#[derive(Default)]
struct Samples(Vec<Sample>);

impl Samples {
    fn add(&mut self, counts: bool, numbers: &[u8], agent: Option<i64>) {
        if counts {
            self.0.extend(numbers.iter().map(|n| (*n, agent)));
        }
    }

    /// A metric over current values: what counted before goes, what counts now comes.
    fn now<K: PartialEq>(
        &mut self,
        number: u8,
        before: Option<(K, Option<i64>)>,
        after: Option<(K, Option<i64>)>,
    ) {
        if before != after {
            self.0.extend(before.map(|before| (number, before.1)));
            self.0.extend(after.map(|after| (number, after.1)));
        }
    }
}

pub fn samples(change: &RowChange) -> Vec<Sample> {
    let mut found = Samples::default();
    match (&change.before, &change.after) {
        (None, Some(Row::Ticket(after))) => ticket(&mut found, None, Some(after)),
        (Some(Row::Ticket(before)), None) => ticket(&mut found, Some(before), None),
        (Some(Row::Ticket(before)), Some(Row::Ticket(after))) => {
            ticket(&mut found, Some(before), Some(after))
        }
        (None, Some(Row::Call(after))) => call(&mut found, None, Some(after)),
        (Some(Row::Call(before)), None) => call(&mut found, Some(before), None),
        (Some(Row::Call(before)), Some(Row::Call(after))) => call(&mut found, Some(before), Some(after)),
        (None, Some(Row::Session(after))) => session(&mut found, None, Some(after)),
        (Some(Row::Session(before)), None) => session(&mut found, Some(before), None),
        (Some(Row::Session(before)), Some(Row::Session(after))) => {
            session(&mut found, Some(before), Some(after));
        }
        (None, Some(Row::State(after))) => state(&mut found, None, Some(after)),
        (Some(Row::State(before)), None) => state(&mut found, Some(before), None),
        (Some(Row::State(before)), Some(Row::State(after))) => state(&mut found, Some(before), Some(after)),
        (before, Some(Row::Survey(after))) => {
            let before = match before {
                Some(Row::Survey(before)) => Some(before),
                _ => None,
            };
            survey(&mut found, before, after);
        }
        _ => {}
    }
    found.0
}

fn ticket(found: &mut Samples, before: Option<&Ticket>, after: Option<&Ticket>) {
    let stands = |row: Option<&Ticket>| {
        row.filter(|row| matches!(row.status, Status::New | Status::Open | Status::Pending)).cloned()
    };
    let (was, is) = (stands(before), stands(after));
    let key = |row: &Option<Ticket>, key: fn(&Ticket) -> Option<(i64, i64)>| {
        row.as_ref().and_then(|row| Some((key(row)?, row.assignee_id)))
    };
    let no_agent = |key: Option<((i64, i64), Option<i64>)>| key.map(|key| (key.0, None));
    let mut now = |number, of: fn(&Ticket) -> Option<(i64, i64)>| {
        found.now(number, no_agent(key(&was, of)), no_agent(key(&is, of)));
    };
    now(7, |row| Some((row.queue_id, row.priority)));
    now(8, |row| row.assignee_id.is_none().then_some((row.queue_id, 0)));
    now(9, |row| (row.status == Status::Pending).then_some((row.queue_id, 0)));
    now(11, |row| Some((row.queue_id, row.created_at)));
    now(12, |row| Some((row.queue_id, row.created_at)));
    now(13, |row| Some((row.queue_id * 10 + row.priority, row.resolve_due_at?)));
    now(14, |row| Some((row.queue_id * 10 + row.priority, row.resolve_due_at?)));
    found.now(10, key(&was, |_| Some((0, 0))), key(&is, |_| Some((0, 0))));
    let Some(row) = after else { return };
    let became = |status: Status| row.status == status && before.is_none_or(|b| b.status != status);
    let grew = |of: fn(&Ticket) -> i64| of(row) > before.map_or(0, of);
    let was_set = |of: fn(&Ticket) -> Option<i64>| of(row).is_some() && before.and_then(of).is_none();
    let agent = row.assignee_id;
    found.add(before.is_none(), &[1, 19], agent);
    found.add(became(Status::Solved), &[2, 16], agent);
    found.add(became(Status::Solved) && row.reply_count <= 1, &[20], agent);
    found.add(became(Status::Closed), &[3], agent);
    found.add(grew(|r| r.reopen_count), &[4], agent);
    found.add(grew(|r| r.escalated), &[5], agent);
    found.add(grew(|r| r.reply_count), &[6], agent);
    found.add(was_set(|r| r.first_reply_at), &[15], agent);
    found.add(was_set(|r| r.first_reply_at) && row.first_reply_due_at.is_some(), &[18], agent);
    found.add(was_set(|r| r.assigned_at), &[17], agent);
}

fn call(found: &mut Samples, before: Option<&Call>, after: Option<&Call>) {
    let in_queue = |row: Option<&Call>| row.filter(|r| r.status == CallStatus::Queued).cloned();
    let is_active = |status| matches!(status, CallStatus::Ringing | CallStatus::Talking | CallStatus::Held);
    let active = |row: Option<&Call>| row.filter(|r| is_active(r.status)).map(|r| (r.queue_id, None));
    let waits = |row: Option<&Call>| in_queue(row).map(|r| ((r.queue_id, r.queued_at), None));
    found.now(34, waits(before), waits(after));
    found.now(36, waits(before), waits(after));
    found.now(35, active(before), active(after));
    let Some(row) = after else { return };
    let became = |status: CallStatus| row.status == status && before.is_none_or(|b| b.status != status);
    let was_set = |of: fn(&Call) -> Option<i64>| of(row).is_some() && before.and_then(of).is_none();
    let inbound = row.direction == "inbound";
    let agent = row.agent_id;
    found.add(inbound && was_set(|r| r.queued_at), &[26, 44, 45, 71], agent);
    let answered = was_set(|r| r.answered_at);
    found.add(inbound && answered, &[27, 37], agent);
    let waited = row.answered_at.unwrap_or(0) - row.queued_at.unwrap_or(0);
    found.add(inbound && answered && waited <= 20_000, &[38], agent);
    let abandoned = inbound && became(CallStatus::Abandoned) && row.queued_at.is_some();
    found.add(abandoned, &[28, 39], agent);
    let short = row.ended_at.unwrap_or(0) - row.queued_at.unwrap_or(0) < 5_000;
    found.add(abandoned && short, &[29], agent);
    found.add(row.direction == "outbound" && answered, &[30], agent);
    found.add(row.direction == "callback" && became(CallStatus::Done), &[31], agent);
    let out = row.transferred_out == 1 && before.is_none_or(|b| b.transferred_out == 0);
    found.add(inbound && row.answered_at.is_some() && out, &[32], agent);
    found.add(row.missed_count > before.map_or(0, |b| b.missed_count), &[33], agent);
    found.add(became(CallStatus::Done), &[40, 41], agent);
    found.add(was_set(|r| r.wrapup_ended_at), &[42, 43], agent);
}

fn session(found: &mut Samples, before: Option<&Session>, after: Option<&Session>) {
    let waits = |row: Option<&Session>| {
        row.filter(|r| r.status == SessionStatus::Queued).map(|r| ((r.queue_id, r.queued_at), None))
    };
    let active = |row: Option<&Session>| {
        row.filter(|r| r.status == SessionStatus::Active).map(|r| (r.queue_id, r.agent_id))
    };
    found.now(54, waits(before), waits(after));
    found.now(56, waits(before), waits(after));
    found.now(55, active(before), active(after));
    let Some(row) = after else { return };
    let became = |status: SessionStatus| row.status == status && before.is_none_or(|b| b.status != status);
    let was_set = |of: fn(&Session) -> Option<i64>| of(row).is_some() && before.and_then(of).is_none();
    let agent = row.agent_id;
    let closed = became(SessionStatus::Closed);
    found.add(before.is_none(), &[49], agent);
    found.add(was_set(|r| r.queued_at), &[50, 70], agent);
    found.add(became(SessionStatus::Missed) && row.queued_at.is_some(), &[51], agent);
    found.add(closed, &[52, 59], agent);
    found.add(closed && row.queued_at.is_none(), &[53], agent);
    found.add(was_set(|r| r.first_reply_at), &[57], agent);
    found.add(closed && row.assigned_at.is_some(), &[58], agent);
}

fn state(found: &mut Samples, before: Option<&AgentState>, after: Option<&AgentState>) {
    let by_state = |row: Option<&AgentState>| row.map(|r| ((r.queue_id, r.state), None));
    let at_work = |row: Option<&AgentState>| {
        let row = row.filter(|r| r.state != State::Offline);
        row.map(|r| ((r.queue_id, r.slots, r.slots_used), None))
    };
    let current = |row: Option<&AgentState>| {
        row.map(|r| ((r.state, r.since, r.queue_id, r.slots, r.slots_used), Some(r.agent_id)))
    };
    found.now(62, by_state(before), by_state(after));
    found.now(63, at_work(before), at_work(after));
    found.now(72, current(before), current(after));
    let (Some(before), Some(after)) = (before, after) else { return };
    let left = before.state != State::Offline && after.since > before.since;
    found.add(left, &[64], Some(before.agent_id));
}

fn survey(found: &mut Samples, before: Option<&Survey>, after: &Survey) {
    let rated = after.rated_at.is_some() && before.is_none_or(|b| b.rated_at.is_none());
    found.add(before.is_none() || rated, &[68], after.agent_id);
    found.add(rated, &[67], after.agent_id);
    found.add(rated && after.resolved.is_some(), &[69], after.agent_id);
}
