use super::*;
use crate::tests::*;
use weir_metric::harness::Harness;

const AGENT: [(&str, &str); 2] = [("queue_id", "3"), ("agent_id", "41")];

#[test]
fn a_callback_counts_once_when_it_is_done() {
    let back = |call: Call<'static>| Call { direction: Text("callback"), ..call };
    let harness = life::<Callbacks>(&[back(call()), back(ended()), back(done()), back(done())]);
    assert_eq!(harness.samples().len(), 1);
    assert_eq!(harness.output("1m", &[("queue_id", "3")], at(205)).int("count"), 1);
    for direction in ["inbound", "outbound", "Callback"] {
        let other = Call { direction: Text(direction), ..done() };
        assert!(life::<Callbacks>(&[call(), other]).samples().is_empty(), "{direction}");
    }
}

#[test]
fn talk_and_hold_count_when_the_call_is_done_in_the_window_of_its_end() {
    let long = Call { talk_seconds: 180, hold_seconds: 10, ..done() };
    let mut talk = life::<TalkTime>(&[call(), taken(), ended(), done(), Call { talk_seconds: 1, ..done() }]);
    talk.insert(&long);
    let out = talk.output("15m", &AGENT, at(205));
    assert_eq!((out.float("mean"), out.int("count")), (150.0, 2));
    assert!((out.float("p90") / 180.0 - 1.0).abs() < 0.01);
    let mut hold = life::<HoldTime>(&[call(), taken(), ended(), done()]);
    hold.insert(&long);
    let out = hold.output("15m", &AGENT, at(205));
    assert_eq!((out.float("mean"), out.float("max"), out.int("count")), (35.0, 60.0, 2));
}

#[test]
fn calls_of_every_direction_are_work_and_other_statuses_are_not_done() {
    for direction in ["inbound", "outbound", "callback"] {
        let one = Call { direction: Text(direction), ..done() };
        assert_eq!(life::<TalkTime>(&[call(), one]).samples().len(), 1, "{direction}");
        assert_eq!(life::<HandleTime>(&[call(), one]).samples().len(), 1, "{direction}");
    }
    for status in ["wrapup", "abandoned", "Done", ""] {
        let other = Call { status: Text(status), ..done() };
        assert!(life::<TalkTime>(&[call(), other]).samples().is_empty(), "{status}");
        assert!(life::<HoldTime>(&[call(), other]).samples().is_empty(), "{status}");
        assert!(life::<Callbacks>(&[call(), other]).samples().is_empty(), "{status}");
    }
}

#[test]
fn a_call_that_is_done_without_an_end_is_skipped() {
    let endless = Call { direction: Text("callback"), ended_at: None, ..done() };
    let samples = [
        life::<Callbacks>(&[call(), endless]).samples().to_vec(),
        life::<TalkTime>(&[call(), endless]).samples().to_vec(),
        life::<HoldTime>(&[call(), endless]).samples().to_vec(),
    ];
    for samples in samples {
        assert_eq!((samples.len(), samples[0].at), (1, None), "a sample without a time");
    }
    assert!(life::<WrapupTime>(&[call(), endless]).samples().is_empty());
    assert!(life::<HandleTime>(&[call(), endless]).samples().is_empty());
}

#[test]
fn wrap_up_and_handling_count_once_when_wrapup_ended_at_becomes_set() {
    // Done comes a second time: wrapup_ended_at was set before.
    let rows = [call(), ended(), done(), ended(), done(), Call { hold_seconds: 0, ..done() }];
    let wrapup = life::<WrapupTime>(&rows);
    let out = wrapup.output("1m", &AGENT, at(245));
    assert_eq!((out.float("mean"), out.int("count")), (40.0, 2));
    let handle = life::<HandleTime>(&rows[..3]);
    let out = handle.output("1m", &AGENT, at(245));
    assert_eq!((out.float("mean"), out.int("count")), (220.0, 1));
    for name in ["p50", "p90"] {
        assert!((out.float(name) / 220.0 - 1.0).abs() < 0.01);
    }
    assert_eq!(handle.output("1m", &AGENT, at(205)).int("count"), 0);
}

#[test]
fn work_counts_for_the_agent_of_the_after_image() {
    let mut harness = Harness::<TalkTime>::new();
    harness.update(&ended(), &Call { agent_id: Some(42), queue_id: 5, ..done() });
    assert_eq!(harness.samples()[0].dims, ["5", "42"]);
    harness.insert(&Call { agent_id: None, ..done() });
    assert_eq!(harness.output("day", &[("agent_id", "\\N")], at(205)).int("count"), 1);
}
