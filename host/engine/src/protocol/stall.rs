//! Whether the stream stands still although there is more to read.

use std::time::Duration;
use weir_types::live::Condition;
use weir_types::record::TopicPartition;

/// Partitions that are named.
const NAMED: usize = 3;

/// See the module.
#[derive(Debug)]
pub struct Stall {
    /// Real time without any movement after which it is told.
    after: Duration,
    since: Duration,
    told: bool,
}

impl Stall {
    pub fn new(after: Duration, now: Duration) -> Stall {
        Stall { after, since: now, told: false }
    }

    /// Something was read, or an end was reached. True if the opposite had been told.
    pub fn moved(&mut self, now: Duration) -> bool {
        self.since = now;
        std::mem::take(&mut self.told)
    }

    /// What is to be told now, if that has changed. `behind`: partitions that are not read to their ends,
    /// for no reason that is told otherwise; `trouble`: what the reader says.
    pub fn look(
        &mut self,
        now: Duration,
        behind: impl FnOnce() -> Vec<TopicPartition>,
        trouble: Option<&str>,
    ) -> Option<Option<Condition>> {
        if now.saturating_sub(self.since) < self.after {
            return None;
        }
        let behind = behind();
        if behind.is_empty() {
            return self.moved(now).then_some(None);
        }
        if std::mem::replace(&mut self.told, true) {
            return None;
        }
        let names: Vec<String> =
            behind.iter().take(NAMED).map(|p| format!("{} {}", p.topic, p.partition)).collect();
        let more = if behind.len() > NAMED { ", …" } else { "" };
        let cause = trouble.unwrap_or(
            "the broker is connected but gives nothing: look whether the partition has a leader, and at the broker's log",
        );
        let reason = format!(
            "nothing has come for {} s, though {} of the partitions are not read to their ends ({}{more}): {cause}",
            now.saturating_sub(self.since).as_secs(),
            behind.len(),
            names.join(", ")
        );
        Some(Some(Condition { part: "stalled", blocking: true, reason }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(60);

    fn behind() -> Vec<TopicPartition> {
        vec![TopicPartition { topic: "t".into(), partition: 3 }]
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_stream_that_stands_still_before_its_ends_is_told_once_with_its_cause() {
        let mut stall = Stall::new(AFTER, at(0));
        assert_eq!(stall.look(at(59), behind, None), None);
        let told = stall.look(at(61), behind, Some("no leader")).flatten().expect("a condition");
        assert!(told.blocking && told.reason.contains("61 s") && told.reason.contains("t 3"), "{told:?}");
        assert!(told.reason.contains("no leader"));
        assert_eq!(stall.look(at(62), behind, None), None);
        assert!(stall.moved(at(63)), "it had been told");
        assert!(!stall.moved(at(64)));
    }

    #[test]
    fn a_stream_that_is_read_to_its_ends_is_quiet_and_not_stalled() {
        let mut stall = Stall::new(AFTER, at(0));
        assert_eq!(stall.look(at(100), Vec::new, None), None);
        assert_eq!(stall.look(at(150), behind, None), None, "it was at its end a moment ago");
        assert!(stall.look(at(161), behind, None).is_some());
        assert_eq!(stall.look(at(170), Vec::new, None), Some(None), "what was told is taken back");
    }
}
