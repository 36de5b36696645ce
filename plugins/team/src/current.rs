//! Each agent's row as it stands.

use crate::Agent;
use crate::states::{STATES, place};
use std::collections::BTreeMap;
use weir_metric::acc::{At, OutputsWriter, Weighed};
use weir_metric::packed::{Reader, put_signed, put_varint};
use weir_metric::prelude::*;
use weir_metric::raw::{Output, ValueType};

/// State, since, queue_id, slots and slots_used.
type Row = (i64, Time, i64, i64, i64);

/// The agent's row: state, since when, queue, slots and used ones. Null unless exactly one row counts.
#[metric(
    title = "Agents now",
    owner = "workforce",
    board = "team",
    table,
    dims = [agent_id],
    values = [state, since, queue_id, slots, slots_used],
    accumulator = OnlyRow
)]
pub fn current(a: &Agent) -> Result<Option<Sample<Row>>, Refused> {
    Ok(Some(Sample::now().value((place(a.state)?, a.since, a.queue_id, a.slots, a.slots_used))))
}

/// The values of the row, if there is exactly one. Signed counts by row, none of them 0, so that rows
/// can go before they come.
#[derive(Clone, Copy, Debug)]
pub struct OnlyRow;

type Rows = BTreeMap<Row, i64>;

fn count(rows: &mut Rows, row: Row, times: i64) {
    let count = rows.entry(row).or_default();
    *count = count.wrapping_add(times);
    if *count == 0 {
        rows.remove(&row);
    }
}

/// The row that counts, if there is one and it counts once; what counts below 0 is absent.
fn only(rows: &Rows) -> Option<Row> {
    let mut standing = rows.iter().filter(|(_, count)| **count > 0);
    match (standing.next(), standing.next()) {
        (Some((row, 1)), None) => Some(*row),
        _ => None,
    }
}

impl Accumulator<Row> for OnlyRow {
    type State = Rows;
    fn outputs(&self, _: &str) -> Vec<Output> {
        let output = |name: &str, value_type, unit: &str, description: &str| Output {
            name: name.into(),
            value_type,
            is_list: false,
            nullable: true,
            unit: unit.into(),
            description: description.into(),
        };
        vec![
            output("state", ValueType::Text, "1", "What the agent does."),
            output("since", ValueType::Time, "us", "Since when."),
            output("queue_id", ValueType::Int, "1", "For which queue."),
            output("slots", ValueType::Int, "1", "How many sessions the agent can have at once."),
            output("slots_used", ValueType::Int, "1", "How many the agent has."),
        ]
    }
    fn retracts(&self) -> bool {
        true
    }
    fn add(&self, state: &mut Rows, sample: Weighed, row: Row) {
        count(state, row, sample.weight);
    }
    fn merge(&self, into: &mut Rows, from: &Rows) {
        from.iter().for_each(|(row, times)| count(into, *row, *times));
    }
    fn evaluate(&self, state: &Rows, _: At, out: &mut OutputsWriter) {
        let Some((state, since, queue_id, slots, used)) = only(state) else {
            return (0..5).for_each(|_| out.null());
        };
        match usize::try_from(state).ok().and_then(|place| STATES.get(place)) {
            Some(name) => out.text(name),
            None => out.null(),
        }
        [since.0, queue_id, slots, used].into_iter().for_each(|value| out.int(value));
    }
    fn is_empty(&self, state: &Rows) -> bool {
        state.is_empty()
    }
    fn save(&self, state: &Rows, out: &mut Vec<u8>) {
        put_varint(out, state.len() as u128);
        for ((state, since, queue_id, slots, used), count) in state {
            for number in [*state, since.0, *queue_id, *slots, *used, *count] {
                put_signed(out, number.into());
            }
        }
    }
    fn load(&self, _: u32, from: &mut Reader<'_>) -> Result<Rows, String> {
        let mut rows = Rows::new();
        for _ in 0..from.varint()? {
            let row = (from.int()?, Time(from.int()?), from.int()?, from.int()?, from.int()?);
            count(&mut rows, row, from.int()?);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests;
