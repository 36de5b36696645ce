#![allow(clippy::unwrap_used)]

mod catalogue;
mod rules;

use super::*;
use crate::row::{Cell, TABLES};
use std::collections::{BTreeMap, BTreeSet};

const START: i64 = 1_795_500_000_000;
const HOUR: i64 = 3_600_000;

fn life(seed: u64) -> Life {
    Life::new(&Options::new(seed, START, 10.0))
}

fn changes(life: &mut Life, n: usize) -> Vec<RowChange> {
    (0..n).map(|_| life.next_change()).collect()
}

fn word(row: &Row, column: &str) -> String {
    match row.cells().into_iter().find(|(name, _)| *name == column) {
        Some((_, Cell::Text(text))) => text.to_string(),
        Some((_, Cell::Number(number))) => number.to_string(),
        Some((_, Cell::Null)) => "null".to_string(),
        other => panic!("{column} is {other:?}"),
    }
}

#[test]
fn the_same_seed_gives_the_same_life_and_another_seed_another() {
    let describe = |seed| format!("{:?}", changes(&mut life(seed), 3_000));
    assert_eq!(describe(7), describe(7));
    assert_ne!(describe(7), describe(8));
}

#[test]
fn every_table_stands_at_the_start_and_changes() {
    let mut life = life(1);
    let standing: BTreeSet<&str> = life.standing().iter().map(Row::table).collect();
    assert_eq!(standing, TABLES.into());
    let agents = life.standing().iter().filter(|row| matches!(row, Row::State(_))).count();
    assert!((480..=500).contains(&agents), "{agents}: some have left for a while");
    let changed = changes(&mut life, 20_000);
    let changed: BTreeSet<&str> = changed.iter().filter_map(|c| Some(c.after.as_ref()?.table())).collect();
    assert_eq!(changed, TABLES.into());
}

/// What a demo of 30 s sees at 60 times the speed, at its rate.
fn demo(seed: u64) -> Vec<RowChange> {
    let mut life = Life::new(&Options::new(seed, START, 2.0));
    let mut seen = Vec::new();
    while life.next_at() < START + 30 * 60_000 {
        seen.push(life.next_change());
    }
    seen
}

#[test]
fn a_short_demo_gives_every_metric_samples() {
    for seed in 1..=8 {
        let met: BTreeSet<u8> =
            demo(seed).iter().flat_map(catalogue::samples).map(|(number, _)| number).collect();
        let missed: Vec<u8> = catalogue::from_rows().into_iter().filter(|n| !met.contains(n)).collect();
        assert!(missed.is_empty(), "seed {seed}: nothing for {missed:?}");
    }
}

#[test]
fn half_a_minute_in_real_time_gives_every_metric_samples_too() {
    for seed in 1..=4 {
        let mut life = Life::new(&Options::new(seed, START, 120.0));
        let mut met = BTreeSet::new();
        while life.next_at() < START + 30_000 {
            met.extend(catalogue::samples(&life.next_change()).into_iter().map(|(number, _)| number));
        }
        let missed: Vec<u8> = catalogue::from_rows().into_iter().filter(|n| !met.contains(n)).collect();
        assert!(missed.is_empty(), "seed {seed}: nothing for {missed:?}");
    }
}

#[test]
fn every_metric_by_agent_gets_samples_of_nobody_too() {
    let mut life = life(1);
    let of_nobody: BTreeSet<u8> = changes(&mut life, 150_000)
        .iter()
        .flat_map(catalogue::samples)
        .filter(|(_, agent)| agent.is_none())
        .map(|(number, _)| number)
        .collect();
    let missed: Vec<u8> = catalogue::BY_AGENT.into_iter().filter(|n| !of_nobody.contains(n)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn a_change_gives_three_samples_on_average_at_any_rate() {
    for rate in [2.0, 60.0, 2_000.0] {
        let mut life = Life::new(&Options::new(1, START, rate));
        let all = changes(&mut life, 100_000);
        let samples: usize = all.iter().map(|change| catalogue::samples(change).len()).sum();
        let mean = samples as f64 / all.len() as f64;
        assert!(mean >= 3.0, "{mean} samples a change at {rate} changes a second");
    }
}

#[test]
fn a_short_demo_meets_every_state_channel_and_priority() {
    let mut met = BTreeSet::new();
    for change in demo(1) {
        let Some(row) = &change.after else { continue };
        let columns: &[&str] = match row {
            Row::Ticket(_) => &["status", "channel", "priority", "escalated"],
            Row::Call(_) => &["status", "direction", "transferred_in", "transferred_out", "ended_by"],
            Row::Session(_) => &["status", "channel"],
            Row::State(_) => &["state"],
            Row::Survey(_) => &["subject", "score", "resolved"],
            Row::Agent(_) | Row::Queue(_) => &[],
        };
        met.extend(columns.iter().map(|column| format!("{} {column} {}", row.table(), word(row, column))));
    }
    let wanted: [(&str, &[&str]); 15] = [
        ("ticket status", &["new", "open", "pending", "solved", "closed"]),
        ("ticket channel", &ticket::CHANNELS),
        ("ticket priority", &["1", "2", "3", "4"]),
        ("ticket escalated", &["0", "1"]),
        (
            "call_record status",
            &["ivr", "queued", "ringing", "talking", "held", "wrapup", "done", "abandoned"],
        ),
        ("call_record direction", &["inbound", "outbound", "callback"]),
        ("call_record transferred_in", &["0", "1"]),
        ("call_record transferred_out", &["0", "1"]),
        ("call_record ended_by", &["null", "agent", "customer", "system"]),
        ("im_session status", &["bot", "queued", "active", "closed", "missed"]),
        ("im_session channel", &session::CHANNELS),
        ("agent_state state", &["offline", "available", "on_contact", "wrapup", "break", "error"]),
        ("survey subject", &survey::SUBJECTS),
        ("survey score", &["null", "1", "2", "3", "4", "5"]),
        ("survey resolved", &["null", "0", "1"]),
    ];
    for (column, values) in wanted {
        for value in values {
            assert!(met.contains(&format!("{column} {value}")), "{column} was never {value}");
        }
    }
}

#[test]
fn rows_are_inserted_updated_deleted_corrected_and_get_other_keys() {
    let mut seen = BTreeSet::new();
    for change in changes(&mut life(2), 100_000) {
        let op = match (&change.before, &change.after) {
            (None, _) => "insert",
            (_, None) => "delete",
            (Some(a), Some(b)) if a.id() != b.id() => "rekey",
            _ => "update",
        };
        let table = change.after.as_ref().or(change.before.as_ref()).unwrap().table();
        seen.insert(format!("{table} {op}"));
        if change.correction {
            seen.insert(format!("{table} correction"));
        }
    }
    for table in ["ticket", "call_record", "im_session", "agent_state", "survey"] {
        for op in ["insert", "update", "delete", "correction"] {
            assert!(seen.contains(&format!("{table} {op}")), "{table}: {op}");
        }
    }
    assert!(seen.contains("ticket rekey"));
    assert!(seen.contains("agent update") && seen.contains("queue update"));
}

#[test]
fn the_wanted_rate_is_met_over_a_day_and_memory_stays_bounded() {
    let mut life = Life::new(&Options::new(3, START, 20.0));
    let mut of_table: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut all, mut alive, mut corrections, mut long_states) = (0u64, 0, 0u64, 0u64);
    while life.next_at() < START + 24 * HOUR {
        let change = life.next_change();
        corrections += u64::from(change.correction);
        if let (Some(Row::State(before)), Some(Row::State(after))) = (&change.before, &change.after) {
            long_states += u64::from(after.since - before.since > 24 * HOUR);
        }
        let row = change.after.or(change.before).unwrap();
        *of_table.entry(row.table()).or_default() += 1;
        all += 1;
        alive = alive.max(life.alive());
    }
    let rate = all as f64 / 86_400.0;
    assert!((17.0..23.0).contains(&rate), "{rate} changes a second: {of_table:?}");
    let share = |table: &str| of_table[table] as f64 / all as f64;
    assert!((0.25..0.45).contains(&share("ticket")), "{of_table:?}");
    assert!((0.15..0.35).contains(&share("call_record")), "{of_table:?}");
    assert!((0.08..0.25).contains(&share("im_session")), "{of_table:?}");
    assert!((0.08..0.35).contains(&share("agent_state")), "{of_table:?}");
    assert!((0.02..0.12).contains(&share("survey")), "{of_table:?}");
    let corrected = corrections as f64 / all as f64;
    assert!((0.001..0.03).contains(&corrected), "{corrections} of {all} changes are corrections");
    assert!((1..50).contains(&long_states), "{long_states} states lasted longer than a day");
    assert!(alive < 15_000, "{alive} rows were alive at once");
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
    assert!(agents.len() > 440 && agents.len() <= 500, "{} agents", agents.len());
}
