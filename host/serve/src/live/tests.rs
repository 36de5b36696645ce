#![allow(clippy::unwrap_used)]
use super::*;
use crate::cache::tests::{entry, row};
use weir_types::MINUTE;
use weir_types::live::LiveRow;

fn update(epoch: u64, rows: Vec<LiveRow>) -> EpochUpdate {
    EpochUpdate {
        epoch,
        clock: epoch as i64 * 1_000_000,
        generation: None,
        rows,
        catalogue: (epoch == 1).then(|| Arc::new(vec![entry("a.x", 1, "live")])),
        costs: BTreeMap::new(),
        sources: vec![SourceStatus {
            name: "ticket".into(),
            watermark: None,
            trouble: None,
            partitions: Vec::new(),
        }],
        stages_ns: BTreeMap::new(),
        write_bytes: 10,
    }
}

fn blocking(part: &'static str) -> Option<Condition> {
    Some(Condition { part, blocking: true, reason: format!("{part} is away") })
}

#[test]
fn a_subscription_sees_every_change_after_its_snapshot_and_none_before() {
    let live = Live::new(LiveOptions::default());
    live.publish(update(1, vec![row("a.x", "1m", &[], 0, 1)]));
    let mut subscription = live.subscribe(&Filter::default());
    assert_eq!((subscription.epoch, subscription.rows.len()), (Some(1), 1));
    live.publish(update(2, vec![row("a.x", "1m", &[], 0, 2)]));
    let change = subscription.changes.try_recv().unwrap();
    assert_eq!((change.epoch, change.rows.len()), (Some((2, 2_000_000)), 1));
    assert!(change.catalogue.is_none() && change.health.is_none());
    assert!(subscription.changes.try_recv().is_err());
}

#[test]
fn rows_of_a_metric_come_after_the_catalogue_that_names_it() {
    let live = Live::new(LiveOptions::default());
    live.publish(EpochUpdate { catalogue: None, ..update(2, vec![row("a.x", "1m", &[], 0, 1)]) });
    assert_eq!(live.subscribe(&Filter::default()).rows.len(), 0);
    live.publish(update(1, vec![row("a.x", "1m", &[], 0, 1)]));
    assert_eq!(live.subscribe(&Filter::default()).rows.len(), 1);
}

#[test]
fn it_is_not_ready_before_the_first_epoch_nor_while_something_blocks() {
    let live = Live::new(LiveOptions::default());
    assert!(!live.readiness().ready);
    assert_eq!(live.readiness().conditions[0].part, "recovery");
    live.publish(update(1, Vec::new()));
    assert!(live.readiness().ready);
    live.condition("kafka", blocking("kafka"));
    assert!(!live.readiness().ready);
    live.condition("kafka", None);
    live.condition(
        "clickhouse",
        Some(Condition { part: "clickhouse", blocking: false, reason: "waits".into() }),
    );
    assert!(live.readiness().ready);
    assert_eq!(live.readiness().conditions.len(), 1);
}

#[test]
fn trouble_of_a_source_makes_its_metrics_stale_with_the_cause() {
    let live = Live::new(LiveOptions::default());
    live.publish(update(1, Vec::new()));
    let mut subscription = live.subscribe(&Filter::default());
    let mut trouble = update(2, Vec::new());
    trouble.sources[0].trouble = Some("the broker does not answer".into());
    live.publish(trouble.clone());
    let health = subscription.changes.try_recv().unwrap().health.clone().unwrap();
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!(health["metrics"]["a.x"]["stale"], "source ticket: the broker does not answer");
    live.publish(EpochUpdate { epoch: 3, ..trouble });
    assert!(subscription.changes.try_recv().unwrap().health.is_none(), "it is told once");
}

#[test]
fn the_watermark_expires_rows_and_the_change_says_so() {
    let live = Live::new(LiveOptions::default());
    live.publish(update(1, vec![row("a.x", "1m", &[], 0, 1)]));
    let mut subscription = live.subscribe(&Filter::default());
    let mut later = update(2, Vec::new());
    later.sources[0].watermark = Some(2 * MINUTE);
    live.publish(later);
    assert_eq!(subscription.changes.try_recv().unwrap().gone.len(), 1);
    assert_eq!(live.lock().cache.len(), 0);
}

#[test]
fn a_seat_is_free_again_when_its_stream_ends() {
    let live = Arc::new(Live::new(LiveOptions::default()));
    let seat = live.seat(1);
    assert!(seat.is_some() && live.seat(1).is_none());
    drop(seat);
    assert!(live.seat(1).is_some());
}
