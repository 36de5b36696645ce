//! When records were read, to know later how long they were on their way.

use std::time::Duration;

/// Entries kept at most; beyond it neighbours are joined under the older time, so that a sink that is
/// away for hours costs no memory.
const MOST: usize = 1024;

/// (when read, records), oldest first.
#[derive(Clone, Debug, Default)]
pub struct Stamps(Vec<(Duration, u64)>);

impl Stamps {
    pub fn add(&mut self, read: Duration, records: u64) {
        self.0.push((read, records));
        if self.0.len() > MOST {
            self.join();
        }
    }

    pub fn append(&mut self, newer: Stamps) {
        newer.0.into_iter().for_each(|(read, records)| self.add(read, records));
    }

    /// How long ago the records were read, each with their number.
    pub fn ages(&self, now: Duration) -> Vec<(Duration, u64)> {
        self.0.iter().map(|(read, records)| (now.saturating_sub(*read), *records)).collect()
    }

    fn join(&mut self) {
        let pairs = self.0.chunks(2).map(|pair| (pair[0].0, pair.iter().map(|(_, records)| records).sum()));
        self.0 = pairs.collect();
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
}
