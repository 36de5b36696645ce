use super::*;
use weir_metric::derived::describe;

#[test]
fn rates_name_what_they_divide() {
    let given = [Some(Given::Int(1)), Some(Given::Int(8))];
    let out = Computed::of::<MissedRate>(&given);
    assert_eq!((out.float("ratio"), out.int("missed"), out.int("queued")), (0.125, 1, 8));
    let out = Computed::of::<BotContainment>(&given);
    assert_eq!((out.float("ratio"), out.int("bot_contained"), out.int("started")), (0.125, 1, 8));
}

#[test]
fn the_bot_is_measured_by_channel_because_its_sessions_have_no_queue_yet() {
    let info = describe::<BotContainment>();
    assert_eq!(
        (info.name.as_str(), info.dimensions.as_slice()),
        ("im.bot_containment", &["channel".into()][..])
    );
    assert_eq!(describe::<MissedRate>().name, "im.missed_rate");
}

#[test]
fn nothing_queued_has_no_missed_rate() {
    assert!(Computed::of::<MissedRate>(&[Some(Given::Int(0)), Some(Given::Int(0))]).is_null("ratio"));
}
