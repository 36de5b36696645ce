//! Calls, by hand.

use super::*;

/// A change of a call, after which the columns are these.
fn step(maker: &mut Maker, before: &Value, changes: &[(&str, Value)]) -> Value {
    let after = with(before, changes);
    maker.update("call_record", before, &after);
    after
}

/// One call of queue 20 that agent 9 answers after 20 s and transfers, one that waits for 21 s, one that
/// is given up after 4.999 s and one after 5 s.
fn calls() -> Maker {
    let mut maker = Maker::default();
    for (id, wait) in [(2, 20), (4, 21)] {
        let queued = call(id, s(0));
        maker.insert("call_record", queued.clone());
        let rings = step(&mut maker, &queued, &[("missed_count", json!(2)), ("agent_id", json!(9))]);
        let talks = [("status", json!("talking")), ("answered_at", s(wait))];
        let talks = step(&mut maker, &rings, &talks);
        let ends = [("status", json!("wrapup")), ("ended_at", s(100)), ("talk_seconds", json!(60 + wait))];
        let ends = [&ends[..], &[("hold_seconds", json!(10)), ("transferred_out", json!(id / 4))]].concat();
        let ends = step(&mut maker, &talks, &ends);
        step(&mut maker, &ends, &[("status", json!("done")), ("wrapup_ended_at", s(130))]);
    }
    for (id, ms) in [(6, 4_999), (8, 5_000)] {
        let queued = call(id, s(0));
        maker.insert("call_record", queued.clone());
        let ended = json!(TEN / 1_000 + ms);
        step(&mut maker, &queued, &[("status", json!("abandoned")), ("ended_at", ended)]);
    }
    maker
}

#[test]
fn counts_of_transitions() {
    let maker = calls();
    let of = |name: &str, set: &str, dims: &[&str]| hour(&recomputed(name, &maker, &[]), set, dims);
    assert_eq!(of("call.offered", "queue_id", &["20"]), "count 4");
    assert_eq!(of("call.answered", "queue_id,agent_id", &["20", "9"]), "count 2");
    assert_eq!(of("call.abandoned", "queue_id", &["20"]), "count 2");
    assert_eq!(of("call.short_abandons", "", &[]), "count 1");
    assert_eq!(of("call.transferred_out", "agent_id", &["9"]), "count 1");
    assert_eq!(of("call.missed", "agent_id", &["9"]), "count 4");
    assert_eq!(of("call.answered_in_target", "queue_id", &["20"]), "count 1");
    assert_eq!(of("call.callers", "queue_id", &["20"]), "count 1");
    assert_eq!(of("call.busiest_customers", "", &[]), "ids [5], counts [4]");
    for none in ["call.outbound", "call.callbacks"] {
        assert!(recomputed(none, &maker, &[]).is_empty());
    }
}

#[test]
fn times_of_calls() {
    let maker = calls();
    let of = |name: &str, set: &str, dims: &[&str]| hour(&recomputed(name, &maker, &[]), set, dims);
    assert_eq!(of("call.speed_of_answer", "queue_id", &["20"]), "mean 20.5, p90 21.0, max 21.0, count 2");
    assert_eq!(of("call.abandon_time", "queue_id", &["20"]), "mean 4.9995, count 2");
    assert_eq!(of("call.talk_time", "queue_id,agent_id", &["20", "9"]), "mean 80.5, p90 81.0, count 2");
    assert_eq!(of("call.hold_time", "agent_id", &["9"]), "mean 10.0, max 10.0, count 2");
    assert_eq!(of("call.wrapup_time", "", &[]), "mean 30.0, count 2");
    assert_eq!(of("call.handle_time", "agent_id", &["9"]), "mean 120.5, p50 120.0, p90 121.0, count 2");
}

#[test]
fn calls_that_go_out_and_those_that_are_called_back() {
    let mut maker = Maker::default();
    let out = with(&call(2, Value::Null), &[("direction", json!("outbound")), ("agent_id", json!(9))]);
    maker.insert("call_record", out.clone());
    step(&mut maker, &out, &[("answered_at", s(5)), ("transferred_out", json!(1))]);
    let back = with(&call(4, s(0)), &[("direction", json!("callback"))]);
    maker.insert("call_record", back.clone());
    step(&mut maker, &back, &[("status", json!("done")), ("ended_at", s(30)), ("answered_at", s(3))]);
    // Done without an end has no time.
    step(&mut maker, &back, &[("status", json!("done"))]);
    assert_eq!(hour(&recomputed("call.outbound", &maker, &[]), "agent_id", &["9"]), "count 1");
    assert_eq!(hour(&recomputed("call.callbacks", &maker, &[]), "queue_id", &["20"]), "count 1");
    assert_eq!(hour(&recomputed("call.talk_time", &maker, &[]), "", &[]), "mean 0.0, p90 0.0, count 1");
    for none in ["call.offered", "call.answered", "call.transferred_out", "call.speed_of_answer"] {
        assert!(recomputed(none, &maker, &[]).is_empty(), "{none}");
    }
}

#[test]
fn the_busiest_customers_are_ten_and_ties_go_to_the_smaller_id() {
    let mut maker = Maker::default();
    let mut id = 0;
    for customer in (1..=12).rev() {
        for _ in 0..if customer == 12 { 3 } else { 1 + customer % 2 } {
            id += 1;
            maker.insert("call_record", with(&call(id, s(0)), &[("customer_id", json!(customer))]));
        }
    }
    let busiest = hour(&recomputed("call.busiest_customers", &maker, &[]), "", &[]);
    assert_eq!(busiest, "ids [12, 1, 3, 5, 7, 9, 11, 2, 4, 6], counts [3, 2, 2, 2, 2, 2, 2, 1, 1, 1]");
}

#[test]
fn calls_as_they_stand() {
    let mut maker = Maker::default();
    let in_state = |id, state: &str, queued| with(&call(id, queued), &[("status", json!(state))]);
    maker.insert("call_record", in_state(2, "queued", s(-30)));
    maker.insert("call_record", in_state(4, "queued", s(-50)));
    maker.insert("call_record", in_state(6, "held", s(-90)));
    maker.insert("call_record", in_state(8, "wrapup", s(-90)));
    let latest = |name: &str| outputs(&standing(name, &maker).latest, "now", "queue_id", &["20"], 0);
    assert_eq!(latest("call.in_queue"), "count 2");
    assert_eq!(latest("call.active"), "count 1");
    assert_eq!(latest("call.longest_wait"), format!("oldest_at {}", TEN - 50_000_000));
}

#[test]
fn the_last_five_minutes_move_on_every_ten_seconds() {
    let mut maker = Maker::default();
    maker.insert("call_record", call(2, s(3)));
    maker.insert("call_record", call(4, s(303)));
    let rate = recomputed("call.offered_rate", &maker, &[]);
    let at = |seconds: i64| outputs(&rate, "5m/10s", "queue_id", &["20"], TEN + seconds * 1_000_000);
    assert_eq!(at(-290), "count 1, per_minute 0.2");
    assert_eq!(at(-300), "no row");
    assert_eq!(at(0), "count 1, per_minute 0.2");
    assert_eq!(at(10), "count 1, per_minute 0.2");
    assert_eq!(at(300), "count 1, per_minute 0.2");
    assert_eq!(at(310), "no row");
    // Two sets, and thirty windows of each call, of which none is shared: five minutes lie between.
    assert_eq!(rate.len(), 2 * 60);
    maker.insert("call_record", call(6, s(302)));
    let rate = recomputed("call.offered_rate", &maker, &[]);
    assert_eq!(outputs(&rate, "5m/10s", "", &[], TEN + 20_000_000), "count 2, per_minute 0.4");
}
