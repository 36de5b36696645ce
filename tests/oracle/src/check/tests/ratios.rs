//! The derived metrics, by hand, and the property that a share lies in 0..1.

use super::*;

#[test]
fn ratios_of_tickets() {
    let mut maker = Maker::default();
    for id in 1..=4 {
        let row = with(&ticket(id, TEN), &[("reply_count", json!(id)), ("first_reply_due_at", s(60))]);
        maker.insert("ticket", row.clone());
        if id < 3 {
            let solved = [("status", json!("solved")), ("solved_at", s(9)), ("first_reply_at", s(59 + id))];
            let solved = with(&row, &solved);
            maker.update("ticket", &row, &solved);
            let again = [("reopen_count", json!(2 * id)), ("escalated", json!(1)), ("updated_at", s(20))];
            maker.update("ticket", &solved, &with(&solved, &again));
        }
    }
    let of = |name: &str| hour(&recomputed(name, &maker, &[]), "queue_id", &["10"]);
    assert_eq!(of("ticket.net_change"), "count 2");
    assert_eq!(of("ticket.reopen_rate"), "ratio 3.0, reopened 6, solved 2");
    assert_eq!(of("ticket.one_touch_rate"), "ratio 0.5, one_touch 1, solved 2");
    assert_eq!(of("ticket.sla_first_reply_rate"), "ratio 0.5, met 1, total 2");
    assert_eq!(of("ticket.escalation_rate"), "ratio 0.5, escalated 2, created 4");
}

#[test]
fn ratios_of_calls_and_sessions() {
    let mut maker = Maker::default();
    let ended = |second: i64| [("status", json!("abandoned")), ("ended_at", s(second))];
    for (id, end) in [(1, 3), (2, 30)] {
        maker.insert("call_record", call(id, s(0)));
        maker.update("call_record", &call(id, s(0)), &with(&call(id, s(0)), &ended(end)));
    }
    for (id, wait) in [(3, 10), (4, 90)] {
        maker.insert("call_record", call(id, s(0)));
        let changes = [("answered_at", s(wait)), ("transferred_out", json!(id % 2))];
        maker.update("call_record", &call(id, s(0)), &with(&call(id, s(0)), &changes));
    }
    let of = |name: &str, set: &str, dim: &str| hour(&recomputed(name, &maker, &[]), set, &[dim]);
    assert_eq!(of("call.abandon_rate", "queue_id", "20"), "ratio 0.5, abandoned 2, offered 4");
    let level = of("call.service_level", "queue_id", "20");
    assert!(level.starts_with("ratio 0.333") && level.ends_with("in_target 1, counted 3"), "{level}");
    assert_eq!(of("call.transfer_rate", "queue_id", "20"), "ratio 0.5, transferred_out 1, answered 2");
    let mut maker = Maker::default();
    for (id, status, queued) in [(1, "missed", s(5)), (2, "closed", Value::Null), (3, "active", s(5))] {
        let now = [("status", json!(status)), ("queued_at", queued), ("closed_at", s(9))];
        maker.insert("im_session", session(id));
        maker.update("im_session", &session(id), &with(&session(id), &now));
    }
    let of = |name: &str, set: &str, dim: &str| hour(&recomputed(name, &maker, &[]), set, &[dim]);
    assert_eq!(of("im.missed_rate", "queue_id", "30"), "ratio 0.5, missed 1, queued 2");
    let contained = of("im.bot_containment", "channel", "app");
    assert!(contained.starts_with("ratio 0.333") && contained.ends_with("bot_contained 1, started 3"));
}

#[test]
fn a_base_without_a_row_counts_as_nothing_and_nothing_is_no_divisor() {
    let mut maker = Maker::default();
    maker.insert("ticket", ticket(2, TEN));
    let net = recomputed("ticket.net_change", &maker, &[]);
    assert_eq!(hour(&net, "queue_id", &["10"]), "count 1");
    assert_eq!(net.len(), 2 * 4, "by the derived metric's sets, not by its bases'");
    let solved = with(&ticket(4, TEN), &[("status", json!("solved")), ("solved_at", s(3_600))]);
    maker.update("ticket", &ticket(4, TEN), &solved);
    let net = recomputed("ticket.net_change", &maker, &[]);
    assert_eq!(outputs(&net, "1h", "", &[], TEN + HOUR), "count -1");
    let escalated = with(&ticket(6, TEN), &[("escalated", json!(1)), ("updated_at", s(3_600))]);
    maker.update("ticket", &ticket(6, TEN), &escalated);
    let rate = recomputed("ticket.escalation_rate", &maker, &[]);
    assert_eq!(outputs(&rate, "1h", "priority", &["2"], TEN + HOUR), "ratio null, escalated 1, created 0");
}

/// Calls of which all are given up; the second's offer was unseen, mended or seen.
fn shares(second: &str) -> Report {
    let mut maker = Maker::default();
    let gone = |row: &Value| with(row, &[("status", json!("abandoned")), ("ended_at", s(30))]);
    let one = call(1, s(0));
    maker.insert("call_record", one.clone());
    maker.update("call_record", &one, &gone(&one));
    let two = call(2, s(0));
    let header = if second == "mended" { json!([["generator.correction", "1"]]) } else { json!([]) };
    match second {
        "seen" => maker.insert("call_record", two.clone()),
        "mended" => maker.insert("call_record", call(2, Value::Null)),
        _ => maker.change("call_record", "r", Value::Null, two.clone()),
    };
    maker.change_with("call_record", "u", two.clone(), gone(&two), header);
    let name = "call.abandon_rate";
    let realtime = as_found(&recomputed(name, &maker, &[]), true);
    checked(name, &maker, Found { realtime, ..Found::default() }, &[])
}

#[test]
fn a_share_lies_in_0_to_1_but_where_a_row_was_mended_or_not_seen_whole() {
    let seen = shares("seen");
    assert!(seen.is_good(), "{}", seen.text());
    // Recomputed and found, by two sets, in four windows.
    assert_eq!(seen.shares["call.abandon_rate"], 16);
    for left_out in ["mended", "unseen"] {
        let report = shares(left_out);
        assert!(report.is_good(), "{}", report.text());
        assert_eq!(report.shares["call.abandon_rate"], 0);
    }
}

#[test]
fn a_share_beyond_1_of_rows_that_were_seen_whole_differs() {
    let mut maker = Maker::default();
    maker.insert("call_record", call(1, s(0)));
    let mut realtime = as_found(&recomputed("call.abandon_rate", &maker, &[]), true);
    set(&mut realtime[0].1, "ratio", Number::Float(1.5));
    let report = checked("call.abandon_rate", &maker, Found { realtime, ..Found::default() }, &[]);
    assert!(report.others.iter().any(|text| text.contains("is 1.5")), "{}", report.text());
}
