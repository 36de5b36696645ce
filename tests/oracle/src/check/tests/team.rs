//! Agents and surveys, by hand.

use super::*;

fn seconds(in_states: [f64; 5]) -> String {
    let names = ["available", "on_contact", "wrapup", "break", "error"];
    let parts = names.iter().zip(in_states).map(|(name, time)| format!("{name} {time:?}"));
    parts.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_state_that_is_left_counts_in_each_window_that_it_lasted_in() {
    let mut maker = Maker::default();
    let at = |minutes: i64| TEN + minutes * MINUTE;
    // In contact from 10:05 to 11:10, in queue 40; then in another queue.
    let before = agent(2, "on_contact", at(5));
    let after = with(&agent(2, "wrapup", at(70)), &[("queue_id", json!(41))]);
    maker.update("agent_state", &before, &after);
    maker.update("agent_state", &after, &agent(2, "offline", at(71)));
    let time = recomputed("agent.state_time", &maker, &[]);
    let of = |window: &str, start: i64, queue: &str| outputs(&time, window, "queue_id", &[queue], start);
    assert_eq!(of("15m", at(0), "40"), seconds([0.0, 600.0, 0.0, 0.0, 0.0]));
    assert_eq!(of("15m", at(15), "40"), seconds([0.0, 900.0, 0.0, 0.0, 0.0]));
    assert_eq!(of("15m", at(60), "40"), seconds([0.0, 600.0, 0.0, 0.0, 0.0]));
    assert_eq!(of("1h", at(0), "40"), seconds([0.0, 3_300.0, 0.0, 0.0, 0.0]));
    assert_eq!(of("1h", at(60), "41"), seconds([0.0, 0.0, 60.0, 0.0, 0.0]));
    assert_eq!(of("day", TEN - 10 * HOUR, "40"), seconds([0.0, 3_900.0, 0.0, 0.0, 0.0]));
    assert_eq!(of("1m", at(5), "40"), "no row");
    let all = Key { window: "1h", set: "queue_id", dims: vec!["40"], start: TEN };
    assert_eq!(time[&all].samples, Some(4), "parts of quarters of an hour");
    let occupancy = recomputed("agent.occupancy", &maker, &[]);
    assert_eq!(outputs(&occupancy, "1h", "", &[], TEN), "ratio 1.0, busy 3300.0, staffed 3300.0");
}

#[test]
fn what_is_no_span_gives_no_sample() {
    let change = |before: Value, after: Value| {
        let mut maker = Maker::default();
        maker.update("agent_state", &before, &after);
        recomputed("agent.state_time", &maker, &[]).len()
    };
    let from = |state: &str| agent(2, state, TEN);
    let busy = |since| agent(2, "on_contact", since);
    assert!(change(from("break"), busy(TEN + DAY)) > 0, "a day is not over a day");
    assert_eq!(change(from("break"), busy(TEN + DAY + 1_000)), 0, "over a day");
    assert_eq!(change(from("offline"), busy(TEN + HOUR)), 0);
    assert_eq!(change(from("break"), busy(TEN)), 0, "empty");
    assert_eq!(change(from("break"), busy(TEN - HOUR)), 0, "it ends before it begins");
    assert_eq!(change(from("break"), with(&from("break"), &[("slots", json!(4))])), 0);
    let mut maker = Maker::default();
    maker.insert("agent_state", from("break"));
    assert_eq!(recomputed("agent.state_time", &maker, &[]).len(), 0, "an insert leaves no state");
}

#[test]
fn agents_as_they_stand() {
    let mut maker = Maker::default();
    maker.insert("agent_state", agent(2, "available", TEN));
    maker.insert("agent_state", with(&agent(4, "on_contact", TEN), &[("slots_used", json!(3))]));
    maker.insert("agent_state", agent(6, "offline", TEN));
    let latest =
        |name: &str, set: &str, dims: &[&str]| outputs(&standing(name, &maker).latest, "now", set, dims, 0);
    let states = "offline 1, available 1, on_contact 1, wrapup 0, break 0, error 0";
    assert_eq!(latest("agent.by_state", "queue_id", &["40"]), states);
    assert_eq!(latest("agent.slots", "queue_id", &["40"]), "slots 6, used 4");
    let utilisation = latest("agent.utilisation", "", &[]);
    assert!(utilisation.starts_with("ratio 0.666") && utilisation.ends_with("used 4, slots 6"));
    let current = format!("state \"available\", since {TEN}, queue_id 40, slots 3, slots_used 1");
    assert_eq!(latest("agent.current", "agent_id", &["2"]), current);
    let none = "state null, since null, queue_id null, slots null, slots_used null";
    assert_eq!(latest("agent.current", "", &[]), none);
}

#[test]
fn answers_to_surveys() {
    let mut maker = Maker::default();
    for (id, score, resolved) in
        [(2, json!(5), json!(1)), (4, json!(3), json!(0)), (6, Value::Null, Value::Null)]
    {
        let sent = survey(id, TEN);
        maker.insert("survey", sent.clone());
        let rated = [("rated_at", s(7_200)), ("score", score), ("resolved", resolved)];
        maker.update("survey", &sent, &with(&sent, &rated));
    }
    maker.insert("survey", survey(8, TEN));
    let of =
        |name: &str, start: i64| outputs(&recomputed(name, &maker, &[]), "1h", "queue_id", &["50"], start);
    let rated = TEN + 2 * HOUR;
    assert_eq!(of("survey.csat", rated), "good 1, rated 3, mean_score 4.0");
    assert_eq!(of("survey.resolved_rate", rated), "resolved 1, rated 2, ratio 0.5");
    assert_eq!(of("survey.response_rate", TEN), "rated 3, sent 4, ratio 0.75");
    assert_eq!(of("survey.response_rate", rated), "no row");
}
