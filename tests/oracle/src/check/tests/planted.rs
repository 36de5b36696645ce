//! Of each form of metric: what a right host writes agrees, and a wrong number, a missing row and a row
//! too many do not.

use super::*;

/// A little of everything.
fn world() -> Maker {
    let mut maker = Maker::default();
    // Nothing is ahead of the epochs' clock, which begins at ten.
    let eight = TEN - 2 * HOUR;
    let s = |second: i64| super::s(second - 7_200);
    for id in 1..=6 {
        let row =
            with(&ticket(id, eight), &[("customer_id", json!(id)), ("resolve_due_at", s(7_200 + 1_000))]);
        maker.insert("ticket", row.clone());
        let solved = [("status", json!("solved")), ("solved_at", s(60 * id)), ("assignee_id", json!(id % 2))];
        if id > 3 {
            maker.update("ticket", &row, &with(&row, &solved));
        }
        maker.insert("call_record", with(&call(id, s(100 * id)), &[("customer_id", json!(id % 3))]));
        maker.insert("im_session", with(&session(id), &[("queued_at", s(50 * id))]));
        let state = agent(id, "available", eight);
        maker.insert("agent_state", state.clone());
        maker.update("agent_state", &state, &agent(id, "break", eight + id * 10 * MINUTE));
    }
    maker
}

fn right(name: &str, maker: &Maker) -> Found {
    let is_now = by_name(name).unwrap().is_now();
    let now = if is_now { standing(name, maker) } else { Now::default() };
    Found {
        realtime: match is_now {
            true => as_found(&now.history, false),
            false => as_found(&recomputed(name, maker, &[]), true),
        },
        latest: as_found(&now.latest, false),
        late: Vec::new(),
    }
}

/// Another value of the same type, well beyond any rounding.
fn other(value: &Number) -> Number {
    match value {
        Number::Null => Number::Int(1),
        Number::Int(value) => Number::Int(value + 2),
        Number::Float(value) => Number::Float(value * 1.02 + 1.0),
        Number::Text(text) => Number::Text(format!("{text}!").into()),
        Number::Ints(list) => Number::Ints(list.iter().rev().copied().chain([1]).collect()),
    }
}

/// Plants errors in rows of one table and says whether each was noticed.
fn is_strict(name: &str, maker: &Maker, rows: fn(&mut Found) -> &mut Vec<(Key, Row)>) {
    let good = right(name, maker);
    let differ = |found: Found| checked(name, maker, found, &[]).differ();
    assert_eq!(differ(good.clone()), 0, "{name}: {}", checked(name, maker, good, &[]).text());
    let good = right(name, maker);
    let count = rows(&mut good.clone()).len();
    assert!(count > 1, "{name} has {count} rows");
    for at in [0, count / 2, count - 1] {
        for output in 0..rows(&mut good.clone())[at].1.outputs.len() {
            let mut wrong = good.clone();
            let value = &mut rows(&mut wrong)[at].1.outputs[output].1;
            *value = other(value);
            assert!(differ(wrong) > 0, "{name}: a wrong number of row {at}");
        }
        let mut missing = good.clone();
        rows(&mut missing).remove(at);
        assert!(differ(missing) > 0, "{name}: row {at} is missing");
        let mut surplus = good.clone();
        let (key, mut row) = rows(&mut surplus)[at].clone();
        for (_, value) in &mut row.outputs {
            *value = other(value);
        }
        rows(&mut surplus)
            .push((Key { start: key.start + 7 * MINUTE, dims: vec!["77"; key.dims.len()], ..key }, row));
        assert!(differ(surplus) > 0, "{name}: a row too many");
        let mut twice = good.clone();
        let again = rows(&mut twice)[at].clone();
        rows(&mut twice).push(again);
        assert!(differ(twice) > 0, "{name}: two rows of one key");
    }
}

#[test]
fn errors_in_windows_are_noticed_whatever_the_form() {
    let maker = world();
    let forms = [
        "ticket.created",
        "ticket.resolution_time",
        "ticket.customers",
        "call.busiest_customers",
        "call.offered_rate",
        "im.session_bursts",
        "agent.state_time",
        "ticket.net_change",
        "ticket.one_touch_rate",
        "agent.occupancy",
    ];
    for name in forms {
        is_strict(name, &maker, |found| &mut found.realtime);
    }
}

#[test]
fn errors_in_current_values_and_in_their_history_are_noticed() {
    let maker = world();
    let forms = [
        "ticket.backlog",
        "ticket.oldest_open",
        "ticket.age_buckets",
        "ticket.sla_at_risk",
        "agent.by_state",
        "agent.current",
        "agent.utilisation",
    ];
    for name in forms {
        is_strict(name, &maker, |found| &mut found.latest);
        is_strict(name, &maker, |found| &mut found.realtime);
    }
}

#[test]
fn a_moved_end_and_too_few_samples_are_noticed() {
    let maker = world();
    let differ = |name: &str, change: fn(&mut Row)| {
        let mut found = right(name, &maker);
        change(&mut found.realtime[0].1);
        checked(name, &maker, found, &[]).differ()
    };
    for name in ["ticket.created", "im.session_bursts", "call.offered_rate", "agent.state_time"] {
        assert_eq!(differ(name, |row| row.end += 1), 1, "{name}");
        assert_eq!(differ(name, |row| row.samples -= 1), 1, "{name}");
    }
    assert_eq!(differ("ticket.net_change", |row| row.samples -= 1), 0, "which has none of its own");
}

#[test]
fn rows_of_a_window_that_the_metric_does_not_have_differ() {
    let maker = world();
    let mut found = right("agent.state_time", &maker);
    let (key, row) = found.realtime[0].clone();
    found.realtime.push((Key { window: "1m", ..key }, row));
    let report = checked("agent.state_time", &maker, found, &[]);
    assert_eq!(report.differ(), 5, "{}", report.text());
}

#[test]
fn of_many_estimates_nearly_all_must_be_close() {
    let mut maker = Maker::default();
    for id in 1..=100 {
        maker.insert("ticket", with(&ticket(id, TEN), &[("customer_id", json!(id))]));
    }
    let differ = |wrong: usize, estimate: i64| {
        let mut found = right("ticket.customers", &maker);
        found.realtime.iter_mut().take(wrong).for_each(|(_, row)| set(row, "count", Number::Int(estimate)));
        checked("ticket.customers", &maker, found, &[]).differ()
    };
    assert_eq!(differ(8, 98), 0);
    assert_eq!(differ(1, 97), 1, "of eight one is more than 5 %");
    assert_eq!(differ(1, 93), 2, "and 7 % off is never right");
}
