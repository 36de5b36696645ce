//! The catalogue's rules, over generated days: only rows marked as corrections may break them.

use super::*;
use crate::life::agent::State;

/// Changes of three lives, which begin at different hours.
fn all_lives(mut look: impl FnMut(&RowChange)) {
    for seed in 1..=3 {
        let start = START + seed as i64 * 7 * HOUR;
        let mut life = Life::new(&Options::new(seed, start, 20.0));
        for _ in 0..80_000 {
            look(&life.next_change());
        }
    }
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
    for change in changes(&mut life, 60_000) {
        assert!(!change.correction);
        let Some(after) = &change.after else { continue };
        // An agent's row that returns says how long the agent has been off; no metric asks then.
        if change.before.is_none() && matches!(after, Row::State(_)) {
            continue;
        }
        let before = change.before.as_ref().map(Row::cells);
        for (n, (name, cell)) in after.cells().into_iter().enumerate() {
            let is_new = before.as_ref().is_none_or(|before| before[n].1 != cell);
            // No metric's time.
            if name == "last_customer_message_at" || !is_new {
                continue;
            }
            if let Cell::Time(time) = cell {
                assert!(change.at - time <= 3_001, "{name} of {change:?}");
            }
        }
    }
}

/// Tables and columns whose time is set once and never changes.
fn set_once(table: &str, column: &str) -> bool {
    match table {
        "call_record" | "im_session" => {
            !matches!(column, "updated_at" | "last_customer_message_at" | "last_agent_message_at")
        }
        "ticket" => !matches!(column, "updated_at" | "solved_at"),
        "survey" => column != "updated_at",
        _ => false,
    }
}

#[test]
fn times_that_became_set_stay_set() {
    let mut corrected = BTreeSet::new();
    all_lives(|change| {
        let (Some(before), Some(after)) = (&change.before, &change.after) else { return };
        if change.correction {
            corrected.insert((before.table(), before.id()));
        }
        if corrected.contains(&(before.table(), before.id())) {
            return;
        }
        for ((name, old), (_, new)) in before.cells().into_iter().zip(after.cells()) {
            if matches!(old, Cell::Time(_)) {
                // A reply that is noted later was given earlier; that is a correction of the time.
                assert!(matches!(new, Cell::Time(_)), "{name}: {change:?}");
                assert!(old == new || !set_once(before.table(), name), "{name}: {change:?}");
            }
        }
    });
}

#[test]
fn queue_and_channel_of_calls_and_sessions_stay_once_they_are_queued() {
    let mut corrections = 0;
    all_lives(|change| {
        let kept = match (&change.before, &change.after) {
            (Some(Row::Call(b)), Some(Row::Call(a))) if b.queued_at.is_some() => {
                b.queue_id == a.queue_id && b.direction == a.direction
            }
            (Some(Row::Session(b)), Some(Row::Session(a))) if b.queued_at.is_some() => {
                b.queue_id == a.queue_id && b.channel == a.channel
            }
            _ => true,
        };
        assert!(kept || change.correction, "{change:?}");
        corrections += usize::from(!kept);
    });
    assert!(corrections > 10, "corrections break the rule: {corrections}");
}

#[test]
fn answered_abandoned_missed_done_and_closed_happen_once() {
    use crate::life::{call::Status as C, session::Status as S, ticket::Status as T};
    let mut ends = BTreeMap::new();
    // What is never left happens once.
    all_lives(|change| {
        let (Some(before), Some(after)) = (&change.before, &change.after) else { return };
        let (was, is, same) = match (before, after) {
            (Row::Call(b), Row::Call(a)) => {
                let ended = |status| matches!(status, C::Done | C::Abandoned);
                let answered = b.answered_at.is_none() || b.answered_at == a.answered_at;
                (ended(b.status), ended(a.status), b.status == a.status && answered)
            }
            (Row::Session(b), Row::Session(a)) => {
                let ended = |status| matches!(status, S::Closed | S::Missed);
                (ended(b.status), ended(a.status), b.status == a.status)
            }
            (Row::Ticket(b), Row::Ticket(a)) => {
                (b.status == T::Closed, a.status == T::Closed, b.status == a.status)
            }
            _ => return,
        };
        assert!(!was || same, "{change:?}");
        *ends.entry(after.table()).or_insert(0) += usize::from(is && !was);
    });
    assert!(ends.len() == 3 && ends.values().all(|n| *n > 1_000), "{ends:?}");
}

#[test]
fn agents_never_use_more_slots_than_they_have_and_none_while_offline() {
    let mut used_all = 0;
    all_lives(|change| {
        let Some(Row::State(row)) = &change.after else { return };
        assert!((0..=row.slots).contains(&row.slots_used), "{change:?}");
        assert!(row.state != State::Offline || row.slots_used == 0, "{change:?}");
        assert!(row.state != State::Available || row.slots_used == 0, "{change:?}");
        assert!(!matches!(row.state, State::OnContact | State::Wrapup) || row.slots_used > 0, "{change:?}");
        if let (Some(Row::State(before)), false) = (&change.before, change.correction) {
            let moved = before.state != row.state;
            assert_eq!(row.since, if moved { row.updated_at } else { before.since }, "{change:?}");
        }
        used_all += usize::from(row.slots_used == row.slots);
    });
    assert!(used_all > 1_000, "{used_all}");
}

#[test]
fn a_transfer_makes_a_row_in_another_queue_and_a_survey_follows_an_end() {
    let mut life = life(6);
    let (mut left, mut came, mut asked) = (BTreeSet::new(), 0, 0);
    let mut ended: BTreeSet<(&str, i64)> = BTreeSet::new();
    for change in changes(&mut life, 60_000) {
        match (&change.before, &change.after) {
            (Some(Row::Call(b)), Some(Row::Call(a))) if a.transferred_out > b.transferred_out => {
                left.insert((a.customer_id, a.updated_at));
            }
            (None, Some(Row::Call(row))) if row.transferred_in == 1 => {
                assert!(left.contains(&(row.customer_id, row.started_at)), "{row:?}");
                assert_eq!(row.queued_at, Some(row.started_at));
                came += 1;
            }
            // At first about what ended before the start.
            (None, Some(Row::Survey(row))) if row.sent_at > START + 30_000 => {
                assert!(ended.contains(&(row.subject, row.subject_id)), "{row:?}");
                asked += 1;
            }
            _ => {}
        }
        let _ = match &change.after {
            Some(Row::Ticket(row)) if row.solved_at.is_some() => ended.insert(("ticket", row.id)),
            Some(Row::Call(row)) if row.ended_at.is_some() => ended.insert(("call", row.id)),
            Some(Row::Session(row)) if row.closed_at.is_some() => ended.insert(("im", row.id)),
            _ => false,
        };
    }
    assert!(came > 100 && asked > 1_000, "{came} transfers, {asked} surveys");
}

#[test]
fn replies_to_a_session_wait_and_the_wait_only_grows() {
    let mut waited = 0;
    all_lives(|change| {
        if let (Some(Row::Session(before)), Some(Row::Session(row))) = (&change.before, &change.after) {
            assert!(row.reply_wait_seconds >= before.reply_wait_seconds);
            assert!(row.agent_messages >= before.agent_messages);
            assert!(row.customer_messages >= before.customer_messages);
            assert!(
                row.reply_wait_seconds == before.reply_wait_seconds
                    || row.agent_messages > before.agent_messages
            );
            waited += row.reply_wait_seconds - before.reply_wait_seconds;
        }
    });
    assert!(waited > 1_000);
}
