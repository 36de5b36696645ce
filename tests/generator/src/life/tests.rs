#![allow(clippy::unwrap_used)]

use super::*;
use std::collections::{BTreeMap, BTreeSet};

const START: i64 = 1_795_500_000_000;

fn life(seed: u64) -> Life {
    Life::new(&Options::new(seed, START, 10.0))
}

fn changes(life: &mut Life, n: usize) -> Vec<RowChange> {
    (0..n).map(|_| life.next_change()).collect()
}

#[test]
fn the_same_seed_gives_the_same_life_and_another_seed_another() {
    let describe = |seed| format!("{:?}", changes(&mut life(seed), 3_000));
    assert_eq!(describe(7), describe(7));
    assert_ne!(describe(7), describe(8));
}

#[test]
fn a_row_changes_only_from_how_it_was_left() {
    let mut life = life(1);
    let mut rows: BTreeMap<(&str, i64), Row> =
        life.standing().iter().map(|r| ((r.table(), r.id()), r.clone())).collect();
    let mut last_at = START;
    for change in changes(&mut life, 60_000) {
        assert!(change.at >= last_at, "in order of commit");
        last_at = change.at;
        if let Some(before) = &change.before {
            let known = rows.remove(&(before.table(), before.id()));
            // Rows that were finished before the start are unknown here, and never change.
            assert_eq!(known.as_ref(), Some(before));
        }
        if let Some(after) = change.after {
            assert!(after.updated_at() <= change.at && change.at - after.updated_at() <= 3_001);
            let earlier = change.before.as_ref().map_or(i64::MIN, Row::updated_at);
            assert!(after.updated_at() > earlier, "the changes of a row stay in order");
            assert!(rows.insert((after.table(), after.id()), after).is_none(), "no id is used twice");
        }
    }
}

#[test]
fn rows_come_out_of_order_by_up_to_three_seconds() {
    let mut greatest = START;
    let mut late = 0;
    for change in changes(&mut life(1), 20_000) {
        let Some(after) = change.after else { continue };
        late = late.max(greatest - after.updated_at());
        greatest = greatest.max(after.updated_at());
    }
    assert!((2_000..=3_000).contains(&late), "{late} ms");
}

#[test]
fn in_a_punctual_life_no_time_lies_further_back_than_the_change_itself() {
    let mut life = Life::new(&Options { punctual: true, ..Options::new(4, START, 10.0) });
    let new_time = |before: Option<i64>, after: Option<i64>| after.filter(|_| before != after);
    for change in changes(&mut life, 60_000) {
        let times = match (&change.before, &change.after) {
            (before, Some(Row::Ticket(after))) => {
                let before = before.as_ref().map(|row| match row {
                    Row::Ticket(row) => (row.created_at, row.first_reply_at),
                    Row::Call(_) => unreachable!("a ticket stays one"),
                });
                [
                    new_time(before.map(|b| b.0), Some(after.created_at)),
                    new_time(before.and_then(|b| b.1), after.first_reply_at),
                ]
            }
            (before, Some(Row::Call(after))) => {
                let before = before.as_ref().and_then(|row| match row {
                    Row::Call(row) => row.queued_at,
                    Row::Ticket(_) => unreachable!("a call stays one"),
                });
                [new_time(before, after.queued_at), None]
            }
            (_, None) => [None, None],
        };
        for time in times.into_iter().flatten() {
            assert!(change.at - time <= 3_001, "{change:?}");
        }
    }
}

#[test]
fn every_turn_of_the_life_cycles_happens() {
    let mut life = life(2);
    let mut seen = BTreeSet::new();
    for change in changes(&mut life, 60_000) {
        let op = match (&change.before, &change.after) {
            (None, _) => "insert",
            (_, None) => "delete",
            (Some(a), Some(b)) if a.id() != b.id() => "rekey",
            _ => "update",
        };
        seen.insert(format!("{} {op}", change.after.as_ref().or(change.before.as_ref()).unwrap().table()));
        match &change.after {
            Some(Row::Ticket(row)) => {
                seen.insert(format!("ticket {}", row.status.text()));
                seen.insert(format!("escalated {}", row.escalated));
                seen.insert(format!("reopened {}", row.reopen_count.min(1)));
            }
            Some(Row::Call(row)) => {
                seen.insert(format!("call {} {}", row.direction, row.status.text()));
                seen.insert(format!("missed {}", row.missed_count.min(1)));
                seen.insert(format!("transferred {}{}", row.transferred_in, row.transferred_out));
            }
            None => {}
        }
        if change.correction {
            seen.insert("correction".into());
        }
    }
    for expected in [
        "ticket insert",
        "ticket update",
        "ticket delete",
        "ticket rekey",
        "call_record delete",
        "ticket new",
        "ticket open",
        "ticket pending",
        "ticket solved",
        "ticket closed",
        "escalated 1",
        "reopened 1",
        "call inbound ivr",
        "call inbound queued",
        "call inbound ringing",
        "call inbound talking",
        "call inbound held",
        "call inbound wrapup",
        "call inbound done",
        "call inbound abandoned",
        "call outbound ringing",
        "call callback queued",
        "missed 1",
        "transferred 10",
        "transferred 01",
        "correction",
    ] {
        assert!(seen.contains(expected), "{expected} never happened");
    }
}

#[test]
fn the_wanted_rate_is_met_over_a_day_and_memory_stays_bounded() {
    let mut life = Life::new(&Options::new(3, START, 20.0));
    let mut tickets = 0u64;
    let mut all = 0u64;
    let mut alive = 0;
    while life.next_at() < START + 24 * 3_600_000 {
        let change = life.next_change();
        let row = change.after.or(change.before).unwrap();
        tickets += u64::from(row.table() == "ticket");
        all += 1;
        alive = alive.max(life.alive());
    }
    let rate = all as f64 / 86_400.0;
    let share = tickets as f64 / all as f64;
    assert!((16.0..24.0).contains(&rate), "{rate} changes a second, {share} of tickets");
    assert!((0.38..0.52).contains(&share), "{share} of the changes are of tickets");
    assert!(alive < 12_000, "{alive} rows were alive at once");
}

#[test]
fn queues_differ_in_size_and_every_agent_belongs_to_one() {
    let mut queues = BTreeMap::new();
    let mut agents = BTreeSet::new();
    for change in changes(&mut life(4), 200_000) {
        if let Some(Row::Call(row)) = &change.after {
            *queues.entry(row.queue_id).or_insert(0u64) += 1;
            agents.extend(row.agent_id);
        }
    }
    assert_eq!(queues.len(), 50);
    assert!(queues.values().max().unwrap() > &(5 * queues.values().min().unwrap()));
    assert!(agents.len() > 480 && agents.len() <= 500, "{} agents", agents.len());
}
