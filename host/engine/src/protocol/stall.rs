//! Whether a partition stands still although there is more to read of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use weir_types::live::Condition;
use weir_types::record::TopicPartition;

/// Partitions that are named.
const NAMED: usize = 3;
/// How often it is looked at most.
const PACE: Duration = Duration::from_secs(1);

/// Each partition is looked at by itself: what others give, and ends that are told again and again, say
/// nothing of it. Time counts only while the engine waits for something to read.
#[derive(Debug)]
pub struct Stall {
    /// Time without any movement after which it is told.
    after: Duration,
    looked: Duration,
    /// Time that was spent waiting.
    waited: Duration,
    /// By partition that is behind: what `waited` was when it last gave something, or was first seen so.
    since: BTreeMap<u32, Duration>,
    /// Partitions that were told and have given nothing since.
    told: BTreeSet<u32>,
    /// Whether what was told names others too.
    outdated: bool,
}

impl Stall {
    pub fn new(after: Duration, now: Duration) -> Stall {
        let (since, told) = (BTreeMap::new(), BTreeSet::new());
        Stall { after, looked: now, waited: Duration::ZERO, since, told, outdated: false }
    }

    /// Something of a partition was read, or its end was reached. True if it was told, and no other is.
    pub fn moved(&mut self, partition: u32) -> bool {
        self.since.remove(&partition);
        let was_told = self.told.remove(&partition);
        self.outdated = !self.told.is_empty() && (self.outdated || was_told);
        was_told && self.told.is_empty()
    }

    /// Called while nothing waits to be taken: what is to be told now, if that has changed. `behind`: partitions that are
    /// not read to their ends, for no reason that is told otherwise; `trouble`: what the reader says.
    pub fn look(
        &mut self,
        now: Duration,
        behind: impl FnOnce() -> Vec<(u32, TopicPartition)>,
        trouble: Option<&str>,
    ) -> Option<Option<Condition>> {
        let passed = now.saturating_sub(self.looked);
        if passed < PACE {
            return None;
        }
        self.looked = now;
        // An engine that was busy for longer has not waited for that long.
        self.waited += passed.min(2 * PACE);
        let behind: BTreeMap<u32, TopicPartition> = behind().into_iter().collect();
        self.since.retain(|index, _| behind.contains_key(index));
        let mut silent = BTreeSet::new();
        let mut longest = Duration::ZERO;
        for index in behind.keys() {
            let silence = self.waited - *self.since.entry(*index).or_insert(self.waited);
            if silence >= self.after {
                silent.insert(*index);
                longest = longest.max(silence);
            }
        }
        if silent == self.told && !self.outdated {
            return None;
        }
        (self.told, self.outdated) = (silent, false);
        let names = self.told.iter().filter_map(|index| behind.get(index));
        let names: Vec<String> = names.map(|p| format!("{} {}", p.topic, p.partition)).collect();
        Some((!names.is_empty()).then(|| condition(&names, longest, trouble)))
    }
}

fn condition(names: &[String], silence: Duration, trouble: Option<&str>) -> Condition {
    let more = if names.len() > NAMED { ", …" } else { "" };
    let cause = trouble.unwrap_or(
        "the broker is connected but gives nothing of them: look whether they have a leader, and at the broker's log",
    );
    let reason = format!(
        "nothing has come for {} s of {} of the partitions, though they are not read to their ends ({}{more}): {cause}",
        silence.as_secs(),
        names.len(),
        names[..names.len().min(NAMED)].join(", ")
    );
    Condition { part: "stalled", blocking: true, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(60);

    fn partition(index: u32) -> (u32, TopicPartition) {
        (index, TopicPartition { topic: "t".into(), partition: index as i32 })
    }

    /// Looks every second of (from, to]; gives what was told, with its second.
    fn wait(stall: &mut Stall, from: u64, to: u64, behind: &[u32]) -> Vec<(u64, Option<Condition>)> {
        let behind = || behind.iter().copied().map(partition).collect();
        let look = |second| Some((second, stall.look(Duration::from_secs(second), behind, None)?));
        (from + 1..=to).filter_map(look).collect()
    }

    #[test]
    fn a_partition_that_stands_still_before_its_end_is_told_once_with_its_cause() {
        let mut stall = Stall::new(AFTER, Duration::ZERO);
        let behind = || vec![partition(3)];
        assert_eq!(wait(&mut stall, 0, 60, &[3]), []);
        let told = stall.look(Duration::from_secs(61), behind, Some("no leader")).flatten();
        let told = told.expect("a condition");
        assert!(told.blocking && told.reason.contains("60 s") && told.reason.contains("t 3"), "{told:?}");
        assert!(told.reason.contains("no leader"));
        assert_eq!(wait(&mut stall, 61, 70, &[3]), []);
        assert!(stall.moved(3), "it had been told");
        assert!(!stall.moved(3));
    }

    #[test]
    fn what_other_partitions_give_does_not_hide_one_that_gives_nothing() {
        let mut stall = Stall::new(AFTER, Duration::ZERO);
        let mut told = Vec::new();
        for second in 0..70 {
            // One is at its end, which is told again; one is read all the time.
            stall.moved(0);
            stall.moved(1);
            told.extend(wait(&mut stall, second, second + 1, &[1, 2]));
        }
        let [(61, Some(condition))] = &told[..] else { panic!("{told:?}") };
        assert!(condition.reason.contains("1 of the partitions") && condition.reason.contains("(t 2)"));
        assert!(!stall.moved(1) && stall.moved(2));
    }

    #[test]
    fn what_is_told_names_those_that_still_give_nothing() {
        let mut stall = Stall::new(AFTER, Duration::ZERO);
        let told = wait(&mut stall, 0, 70, &[1, 2]);
        assert!(matches!(&told[..], [(61, Some(told))] if told.reason.contains("(t 1, t 2)")), "{told:?}");
        assert!(!stall.moved(1), "another is still told");
        let told = wait(&mut stall, 70, 80, &[1, 2]);
        assert!(matches!(&told[..], [(71, Some(told))] if told.reason.contains("(t 2)")), "{told:?}");
    }

    #[test]
    fn a_stream_that_is_read_to_its_ends_is_quiet_and_not_stalled() {
        let mut stall = Stall::new(AFTER, Duration::ZERO);
        assert_eq!(wait(&mut stall, 0, 100, &[]), []);
        assert_eq!(wait(&mut stall, 100, 160, &[3]), [], "it was at its end a moment ago");
        assert_eq!(wait(&mut stall, 160, 161, &[3]).len(), 1);
        assert_eq!(wait(&mut stall, 161, 170, &[]), [(162, None)], "what was told is taken back");
    }

    #[test]
    fn time_in_which_the_engine_was_busy_does_not_count() {
        let mut stall = Stall::new(AFTER, Duration::ZERO);
        let behind = || vec![partition(0)];
        for hour in 1..20 {
            assert_eq!(stall.look(Duration::from_secs(hour * 3600), behind, None), None);
        }
    }
}
