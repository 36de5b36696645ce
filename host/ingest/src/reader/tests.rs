use super::*;

/// The fingerprint of the record at an offset of the topic as it was.
fn print_of(offset: i64) -> u64 {
    offset as u64 * 31
}

/// As it stands after the records up to 999 were given, with the topic away for a moment since.
fn suspect() -> Partition {
    let name = TopicPartition { topic: "t".into(), partition: 0 };
    let last = Some((999, print_of(999)));
    Partition { last, suspect: true, ..Partition::new(name, 1000, None) }
}

/// Judges records as one list of messages, as the reader does; gives the offsets that go to the engine.
fn sort(partition: &mut Partition, offsets: impl Iterator<Item = i64>) -> (Vec<i64>, Option<Fate>) {
    let (mut given, mut stopped) = (Vec::new(), None);
    for offset in offsets {
        match partition.judge(offset, || print_of(offset)) {
            Fate::New => given.push(offset),
            Fate::CompareAgain => partition.goes_back_to(999),
            Fate::MadeAnew => stopped = Some(Fate::MadeAnew),
            Fate::Known | Fate::PassedOver => {}
        }
    }
    partition.outdated = false;
    (given, stopped)
}

#[test]
fn what_was_polled_before_the_last_record_is_read_again_is_not_taken() {
    let mut partition = suspect();
    assert_eq!(sort(&mut partition, 1000..1051), (vec![], None));
    assert_eq!((partition.next, partition.verify), (1000, Some((999, print_of(999)))));
    assert_eq!(sort(&mut partition, 999..1051), ((1000..1051).collect(), None));
}

#[test]
fn a_topic_made_anew_while_it_was_away_is_found_behind_a_list_of_its_records() {
    let mut partition = suspect();
    assert_eq!(sort(&mut partition, 1000..1051), (vec![], None));
    let other = partition.judge(999, || print_of(999) + 1);
    assert_eq!(other, Fate::MadeAnew);
}

#[test]
fn an_end_that_was_polled_before_a_move_is_not_told() {
    let mut partition = suspect();
    assert_eq!(partition.judge(1000, || 0), Fate::CompareAgain);
    partition.goes_back_to(999);
    assert!(!partition.ends_at(1001));
    assert_eq!((partition.position, partition.verify.is_some()), (Some(999), true));
    partition.outdated = false;
    assert_eq!(sort(&mut partition, 999..1001).0, [1000]);
    assert!(partition.ends_at(1001));
}

#[test]
fn an_end_before_the_record_to_compare_does_not_give_up_the_comparison() {
    let mut partition = suspect();
    partition.goes_back_to(999);
    partition.outdated = false;
    // A topic made anew with as many records less one: the next that is written to it is another one.
    assert!(partition.ends_at(999));
    assert_eq!(partition.judge(999, || 1), Fate::MadeAnew);
}

#[test]
fn nothing_counts_until_a_move_that_waits_is_done() {
    let name = TopicPartition { topic: "t".into(), partition: 0 };
    let mut partition =
        Partition { seek: Some(Seek::At(StartAt { next: 5, last: None })), ..Partition::new(name, 5, None) };
    assert_eq!(partition.judge(5, || 0), Fate::PassedOver);
    assert!(!partition.ends_at(6));
    assert_eq!((partition.next, partition.position), (5, None));
}

#[test]
fn an_idle_partition_that_has_more_and_gives_nothing_is_noticed() {
    let at = Duration::from_secs;
    let mut partition = suspect();
    partition.suspect = false;
    assert_eq!(partition.unread_for(2000, at(0)), at(0), "it has not come to its end yet");
    assert!(partition.ends_at(1000));
    assert_eq!(partition.unread_for(1000, at(10)), at(0));
    assert_eq!(partition.unread_for(1001, at(20)), at(0));
    assert_eq!(partition.unread_for(1005, at(80)), at(60));
    assert_eq!(partition.judge(1000, || 0), Fate::New);
    assert_eq!(partition.unread_for(1005, at(90)), at(0));
}
