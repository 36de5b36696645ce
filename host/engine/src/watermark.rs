//! Watermarks: how far a source's event time is known to have come.

use weir_types::Micros;

/// Before any event time is known.
pub const BEGINNING: Micros = Micros::MIN;

/// How far ahead of the clock a time may be before it is taken for an error.
pub const FUTURE: Micros = 5 * weir_types::MINUTE;

/// One partition's part in its source's watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Greatest event time of its changes (snapshot reads and times in the future apart).
    pub greatest: Option<Micros>,
    /// Whether its end was reached after the last record.
    pub caught_up: bool,
    /// The clock when its last record came, or when it was first seen.
    pub last_record: Micros,
}

/// What a source's watermark is made from.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub out_of_orderness: Micros,
    pub idle_after: Micros,
}

/// A source's watermarks. They never go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Watermarks {
    /// Closes windows; follows the clock when all partitions are idle.
    pub closing: Micros,
    /// Ends the time of correction; moved by records alone.
    pub records: Micros,
}

impl Default for Watermarks {
    fn default() -> Self {
        Watermarks { closing: BEGINNING, records: BEGINNING }
    }
}

impl Partition {
    /// Idle: caught up, and nothing came for the time set. Never because the host is behind.
    pub fn is_idle(&self, now: Micros, bounds: Bounds) -> bool {
        self.caught_up && now.saturating_sub(self.last_record) >= bounds.idle_after
    }
}

impl Watermarks {
    /// The watermarks after an epoch.
    ///
    /// | partitions | closing | records |
    /// |---|---|---|
    /// | none | as before | as before |
    /// | some not idle | least of theirs, less the bound | the same |
    /// | all idle | the clock less the bound | as before |
    pub fn advance(self, partitions: &[Partition], now: Micros, bounds: Bounds) -> Watermarks {
        if partitions.is_empty() {
            return self;
        }
        let busy = partitions.iter().filter(|p| !p.is_idle(now, bounds));
        match busy.map(|p| p.greatest.unwrap_or(BEGINNING)).min() {
            Some(least) => {
                let mark = least.saturating_sub(bounds.out_of_orderness);
                Watermarks { closing: self.closing.max(mark), records: self.records.max(mark) }
            }
            None => {
                let mark = now.saturating_sub(bounds.out_of_orderness);
                Watermarks { closing: self.closing.max(mark), ..self }
            }
        }
    }

    /// The watermarks of a metric over several sources: the least of theirs.
    pub fn least(all: impl Iterator<Item = Watermarks>) -> Watermarks {
        all.reduce(|a, b| Watermarks { closing: a.closing.min(b.closing), records: a.records.min(b.records) })
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::{HOUR, SECOND};

    const BOUNDS: Bounds = Bounds { out_of_orderness: 5 * SECOND, idle_after: 30 * SECOND };

    fn partition(greatest: Micros, caught_up: bool, last_record: Micros) -> Partition {
        Partition { greatest: Some(greatest), caught_up, last_record }
    }

    #[test]
    fn a_source_is_as_far_as_its_slowest_partition() {
        let partitions = [partition(100 * SECOND, true, 0), partition(60 * SECOND, true, 0)];
        let marks = Watermarks::default().advance(&partitions, 10 * SECOND, BOUNDS);
        assert_eq!(marks, Watermarks { closing: 55 * SECOND, records: 55 * SECOND });
    }

    #[test]
    fn a_partition_that_is_behind_holds_the_watermark_however_quiet_it_is() {
        let partitions = [partition(100 * SECOND, true, 0), partition(60 * SECOND, false, 0)];
        let marks = Watermarks::default().advance(&partitions, HOUR, BOUNDS);
        assert_eq!(marks.closing, 55 * SECOND);
    }

    #[test]
    fn an_idle_partition_no_longer_holds_it() {
        let partitions = [partition(100 * SECOND, true, HOUR), partition(60 * SECOND, true, 0)];
        let marks = Watermarks::default().advance(&partitions, HOUR, BOUNDS);
        assert_eq!(marks, Watermarks { closing: 95 * SECOND, records: 95 * SECOND });
    }

    #[test]
    fn with_all_idle_windows_close_by_the_clock_but_corrections_do_not_end() {
        let partitions = [partition(100 * SECOND, true, 0)];
        let before = Watermarks { closing: 95 * SECOND, records: 95 * SECOND };
        let marks = before.advance(&partitions, HOUR, BOUNDS);
        assert_eq!(marks, Watermarks { closing: HOUR - 5 * SECOND, records: 95 * SECOND });
    }

    #[test]
    fn they_never_go_back_and_an_unread_partition_keeps_all_windows_open() {
        let before = Watermarks { closing: HOUR, records: HOUR };
        assert_eq!(before.advance(&[partition(SECOND, true, 0)], 0, BOUNDS), before);
        let unread = Partition { greatest: None, caught_up: false, last_record: 0 };
        let marks = Watermarks::default().advance(&[unread, partition(HOUR, true, 0)], 0, BOUNDS);
        assert_eq!(marks.closing, BEGINNING);
    }
}
