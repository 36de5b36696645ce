//! IM sessions, by hand.

use super::*;

fn step(maker: &mut Maker, before: &Value, changes: &[(&str, Value)]) -> Value {
    let after = with(before, changes);
    maker.update("im_session", before, &after);
    after
}

/// One session that an agent answers, one that nobody does, one that the bot ends.
fn sessions() -> Maker {
    let mut maker = Maker::default();
    for id in [2, 4, 6] {
        maker.insert("im_session", session(id));
    }
    let queued = step(&mut maker, &session(2), &[("status", json!("queued")), ("queued_at", s(10))]);
    let active = [("status", json!("active")), ("agent_id", json!(9)), ("assigned_at", s(20))];
    let active = step(&mut maker, &queued, &active);
    let reply = [("first_reply_at", s(25)), ("agent_messages", json!(4)), ("reply_wait_seconds", json!(50))];
    let reply = step(&mut maker, &active, &reply);
    step(&mut maker, &reply, &[("status", json!("closed")), ("closed_at", s(80))]);
    let queued = step(&mut maker, &session(4), &[("status", json!("queued")), ("queued_at", s(10))]);
    step(&mut maker, &queued, &[("status", json!("missed"))]);
    step(&mut maker, &session(6), &[("status", json!("closed")), ("closed_at", s(30))]);
    maker
}

#[test]
fn counts_and_times_of_sessions() {
    let maker = sessions();
    let of = |name: &str, set: &str, dims: &[&str]| hour(&recomputed(name, &maker, &[]), set, dims);
    assert_eq!(of("im.started", "queue_id,channel", &["30", "app"]), "count 3");
    assert_eq!(of("im.queued", "queue_id", &["30"]), "count 2");
    assert_eq!(of("im.missed", "queue_id", &["30"]), "count 1");
    assert_eq!(of("im.closed", "agent_id", &["9"]), "count 1");
    assert_eq!(of("im.closed", "", &[]), "count 2");
    assert_eq!(of("im.bot_contained", "channel", &["app"]), "count 1");
    let reply = "mean 15.0, p50 15.0, p90 15.0, count 1";
    assert_eq!(of("im.first_reply_time", "queue_id,agent_id", &["30", "9"]), reply);
    assert_eq!(of("im.duration", "agent_id", &["9"]), "mean 60.0, p90 60.0, count 1");
    assert_eq!(of("im.duration", "", &[]), "mean 60.0, p90 60.0, count 1");
    // The bot's session has no message of an agent, but is one.
    assert_eq!(of("im.reply_wait", "", &[]), "mean 12.5, count 2");
    assert_eq!(of("im.reply_wait", "agent_id", &["\\N"]), "mean null, count 1");
}

#[test]
fn sessions_as_they_stand() {
    let mut maker = Maker::default();
    let in_state = |id, state: &str, queued| {
        with(&session(id), &[("status", json!(state)), ("queued_at", queued), ("agent_id", json!(9))])
    };
    maker.insert("im_session", in_state(2, "queued", s(-5)));
    maker.insert("im_session", in_state(4, "queued", s(-6)));
    maker.insert("im_session", in_state(6, "active", s(-7)));
    let latest =
        |name: &str, set: &str, dims: &[&str]| outputs(&standing(name, &maker).latest, "now", set, dims, 0);
    assert_eq!(latest("im.waiting", "queue_id", &["30"]), "count 2");
    assert_eq!(latest("im.active", "queue_id,agent_id", &["30", "9"]), "count 1");
    assert_eq!(latest("im.longest_wait", "", &[]), format!("oldest_at {}", TEN - 6_000_000));
}

#[test]
fn a_burst_lasts_while_no_gap_is_over_a_minute_and_each_set_has_its_own() {
    let mut maker = Maker::default();
    let queued =
        |id, queue: i64, second| with(&session(id), &[("queued_at", s(second)), ("queue_id", json!(queue))]);
    for (id, queue, second) in [(2, 30, 0), (4, 30, 60), (6, 30, 121), (8, 31, 90), (10, 31, 200)] {
        maker.insert("im_session", queued(id, queue, second));
    }
    let bursts = recomputed("im.session_bursts", &maker, &[]);
    let of = |set: &str, dims: &[&str], second: i64| {
        outputs(&bursts, "session-60s", set, dims, TEN + second * 1_000_000)
    };
    assert_eq!(of("queue_id", &["30"], 0), "count 2, length 60.0");
    assert_eq!(of("queue_id", &["30"], 121), "count 1, length 0.0");
    assert_eq!(of("queue_id", &["31"], 90), "count 1, length 0.0");
    // In total the queues' sessions join; 79 s lie before the last.
    assert_eq!(of("", &[], 0), "count 4, length 121.0");
    assert_eq!(of("", &[], 200), "count 1, length 0.0");
    assert_eq!(bursts.len(), 4 + 2);
    let key = Key { window: "session-60s", set: "", dims: vec![], start: TEN };
    assert_eq!(bursts[&key].end, TEN + 181_000_000, "a gap after the last");
}
