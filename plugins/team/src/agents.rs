//! How many agents do what, and how long.

use crate::Agent;
use crate::states::{OFFLINE, PRESENT, STATES, place};
use weir_metric::prelude::*;

/// Agents in each state.
#[metric(
    title = "Agents by state",
    owner = "workforce",
    board = "team",
    table,
    dims = [queue_id],
    values = [state],
    accumulator = CountBy(STATES)
)]
pub fn by_state(a: &Agent) -> Result<Option<Sample<i64>>, Refused> {
    Ok(Some(Sample::now().value(place(a.state)?)))
}

/// Slots for sessions, and how many are used, of the agents that are not offline.
#[metric(
    title = "Agent slots",
    owner = "workforce",
    board = "team",
    dims = [queue_id],
    values = [slots, slots_used],
    accumulator = (
        of(|v: &(i64, i64)| v.0, Named("slots", "Sessions that the agents can have at once.", Tally)),
        of(|v: &(i64, i64)| v.1, Named("used", "Sessions that they have.", Tally)),
    )
)]
pub fn slots(a: &Agent) -> Option<Sample<(i64, i64)>> {
    (a.state != "offline").then(|| Sample::now().value((a.slots, a.slots_used)))
}

/// Longest time in one state that is believed: a shift is over by then.
const LONGEST: Span = Span::hours(24);

/// Time in the state that an agent left, from since to the next since, for the queue of then. Leaving
/// offline does not count, and a span over 24 h is refused.
#[metric(
    title = "Time by agent state",
    owner = "workforce",
    unit = "s",
    board = "team",
    table,
    correct_for = "26h",
    windows = ["15m", "1h", "day"],
    dims = [queue_id, agent_id],
    watch = [state, since],
    values = [state],
    accumulator = TimeBy(PRESENT)
)]
pub fn state_time(c: &Change<Agent>) -> Result<Option<Sample<i64>>, Refused> {
    let (Some(before), Some(after)) = (c.before(), c.after()) else { return Ok(None) };
    let (state, span) = (place(before.state)?, after.since - before.since);
    if state == OFFLINE || span <= Span(0) {
        return Ok(None);
    }
    if span > LONGEST {
        return Err(Refused(format!("{} hours in one state: more than 24", span.0 / Span::hours(1).0)));
    }
    // The states that count begin behind offline.
    Ok(Some(Sample::at(before.since).until(after.since).by_before().value(state - 1)))
}

#[cfg(test)]
mod tests;
