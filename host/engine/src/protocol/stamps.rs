//! When records were read, to know later how long they were on their way.

use std::time::Duration;

/// Entries kept at most; beyond it neighbours are joined under the older time and the newer epoch, so
/// that a sink that is away for hours costs no memory.
const MOST: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Stamp {
    read: Duration,
    records: u64,
    /// The epoch that took them; 0 while it is running.
    epoch: u64,
}

/// Oldest first.
#[derive(Clone, Debug, Default)]
pub struct Stamps(Vec<Stamp>);

impl Stamps {
    /// Records of the running epoch.
    pub fn add(&mut self, read: Duration, records: u64) {
        self.push(Stamp { read, records, epoch: 0 });
    }

    /// All records of a newer epoch.
    pub fn append(&mut self, epoch: u64, newer: Stamps) {
        newer.0.into_iter().for_each(|stamp| self.push(Stamp { epoch, ..stamp }));
    }

    /// Takes out those of epochs up to this one.
    pub fn take_upto(&mut self, epoch: u64) -> Stamps {
        let newer = self.0.partition_point(|stamp| stamp.epoch <= epoch);
        Stamps(self.0.drain(..newer).collect())
    }

    /// How long ago the records were read, each with their number.
    pub fn ages(&self, now: Duration) -> Vec<(Duration, u64)> {
        self.0.iter().map(|stamp| (now.saturating_sub(stamp.read), stamp.records)).collect()
    }

    fn push(&mut self, stamp: Stamp) {
        self.0.push(stamp);
        if self.0.len() > MOST {
            let pairs = self.0.chunks(2).map(|pair| Stamp {
                records: pair.iter().map(|stamp| stamp.records).sum(),
                epoch: pair[pair.len() - 1].epoch,
                ..pair[0]
            });
            self.0 = pairs.collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_no_record_is_forgotten_or_made_younger() {
        let mut stamps = Stamps::default();
        for at in 0..100_000u64 {
            stamps.add(Duration::from_millis(at), 3);
        }
        let ages = stamps.ages(Duration::from_secs(100));
        assert!(ages.len() <= MOST);
        assert_eq!(ages.iter().map(|(_, records)| records).sum::<u64>(), 300_000);
        assert_eq!(ages[0].0, Duration::from_secs(100));
        assert!(ages.is_sorted_by(|a, b| a.0 >= b.0));
    }

    #[test]
    fn no_record_counts_as_delivered_before_its_epoch_is() {
        let mut stamps = Stamps::default();
        for epoch in 1..=5_000u64 {
            let mut read = Stamps::default();
            read.add(Duration::from_millis(epoch), 1);
            stamps.append(epoch, read);
        }
        let mut told = 0;
        for epoch in (0..=5_000).step_by(100) {
            let ages = stamps.take_upto(epoch).ages(Duration::ZERO);
            told += ages.iter().map(|(_, records)| records).sum::<u64>();
            assert!(told <= epoch, "{told} records are told, delivered are {epoch}");
        }
        assert_eq!(told, 5_000);
    }
}
